"""promptlab init: a project that mines at once, around the set that comes along or around any labelled file."""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from promptlab.cli import app
from promptlab.experiment import Experiment
from promptlab.experiment.data import TAKEN
from promptlab.prepare import Prepared, prepare
from promptlab.starter import bike_shop
from promptlab.starter.columns import answers_of
from promptlab.starter.lay import lay
from promptlab.starter.project import Project
from promptlab.starter.spelling import heading, slug, variables
from promptlab.yaml_file import read_yaml
from promptlab.yaml_text import flow, scalar

WORDS = [
    "amber", "basin", "cedar", "dune", "ember", "fjord", "grove", "heron", "islet", "jetty", "knoll", "larch", "mesa",
    "nook", "opal", "pier", "quartz",
]  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def texts(count: int) -> list[str]:
    """Wordings of their own: no two are alike."""
    return [" ".join(WORDS[(i * step + i // 17 + step) % 17] for step in (1, 3, 5, 7, 11)) for i in range(count)]


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tickets(path: Path, count: int = 80) -> Path:
    return write_csv(path, ["text", "team"], [(text, ("red", "blue")[i % 2]) for i, text in enumerate(texts(count))])


def made(folder: Path) -> Prepared:
    [path] = folder.glob("experiments/*/experiment.yaml")
    return prepare(Experiment.load(path))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_a_new_project_mines_at_once_and_leaves_results(tmp_path: Path) -> None:
    done = run("init", tmp_path / "shop")
    assert done.exit_code == 0, done.output
    command = done.output.strip().splitlines()[-1].removeprefix("Run:   promptlab ")
    mined = run(*command.split(), "--set", "search.budget.calls=240")
    assert mined.exit_code == 0, mined.output
    [results] = tmp_path.glob("shop/experiments/triage/results.csv")
    rows = list(csv.DictReader(results.read_text(encoding="utf-8").splitlines()))
    assert len(rows) >= 4
    assert next(row for row in rows if row["status"] == "baseline")["test_n"] == "37"


def test_the_layout_is_what_the_readme_says(tmp_path: Path) -> None:
    run("init", tmp_path / "shop", "--name", "mail")
    files = set(snapshot(tmp_path / "shop"))
    assert files == {
        "README.md", ".gitignore", ".promptlab/.gitignore", "templates/mail/message.j2",
        *(f"experiments/mail/{name}" for name in ("experiment.yaml", "labelled.csv", "labels.yaml", "bank.jsonl")),
    }  # fmt: skip
    readme = (tmp_path / "shop/README.md").read_text(encoding="utf-8")
    assert all(name in files for name in re.findall(r"`([^`]+\.\w+)`", readme))
    assert (tmp_path / "shop/.promptlab/.gitignore").read_text() == "*\n"
    assert "runs/" in (tmp_path / "shop/.gitignore").read_text().splitlines()


def test_the_last_three_lines_name_the_files_as_the_user_typed_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = run("init", "my shop").output.strip().splitlines()
    assert len(lines) == 3
    assert "my shop/templates/triage/message.j2" in lines[0]
    assert lines[2] == "Run:   promptlab mine 'my shop/experiments/triage/experiment.yaml'"


def test_the_bike_shop_set_is_balanced_enough_and_none_of_its_demos_is_in_it(tmp_path: Path) -> None:
    lay(tmp_path, [bike_shop()])
    prepared = made(tmp_path)  # checks demos against rows, and labels against labels.yaml
    assert [str(label) for label in prepared.task.labels] == ["booking", "status", "shop"]
    assert all(label.description for label in prepared.task.labels)
    rows = prepared.rows.scored
    assert len(rows) == 75
    assert min(sum(row.label == label for row in rows) for label in prepared.task.labels) >= 20
    assert prepared.task.bank is not None
    assert len(prepared.task.bank.demos) == 12
    assert {slot.name for slot in prepared.space.slots} >= {"task", "descriptions", "bank.k", "bank.select"}


def test_every_line_of_settings_has_a_comment_and_the_commented_endpoint_is_valid_yaml(tmp_path: Path) -> None:
    lay(tmp_path, [bike_shop()])
    text = (tmp_path / "experiments/triage/experiment.yaml").read_text(encoding="utf-8")
    bare = [line for line in text.splitlines() if re.match(r" *\w+: \S", line) and " # " not in line]
    assert [line.split(":")[0] for line in bare] == ["name"]
    on = text.replace("endpoint: embedded", "#").replace("models: [small]", "#")
    on = on.replace("# endpoint:", "endpoint:").replace("# models:", "models:")
    (tmp_path / "experiments/triage/experiment.yaml").write_text(on, encoding="utf-8")
    model = Experiment.load(tmp_path / "experiments/triage").models[0]
    assert (model.id, model.endpoint.api_key_env) == ("MODEL-ID", "OPENAI_API_KEY")
    assert model.price is not None


def test_labels_of_a_csv_become_classes_with_a_list_and_demos_from_train(tmp_path: Path) -> None:
    data = tickets(tmp_path / "Tickets 2024.csv")
    done = run("init", tmp_path / "p", "--data", data, "--label", "team")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "p/experiments/tickets-2024/labelled.csv").read_bytes() == data.read_bytes()
    prepared = made(tmp_path / "p")
    assert prepared.task.parser == "label"
    assert sorted(map(str, prepared.task.labels)) == ["blue", "red"]
    assert set(prepared.task.metrics) == {"main", "macro_f1"}
    assert len(prepared.rows.train) == 16
    assert {slot.name: slot.values for slot in prepared.space.slots}["bank.select"] == ("balanced", "nearest")


def test_a_project_around_hostile_columns_and_labels_mines_and_sends_the_data_as_it_is(tmp_path: Path) -> None:
    """BOM, CRLF, no names for variables, names that are taken, text like tags; labels that YAML could misread."""
    labels = ["no", "01", "null", "~"]
    header = ["id", "Customer Text", "class", "my-col", "{{ x }}", "labels", "demo", "_p", 'say "hi"', "a: b #c", "is?"]
    rows = [
        [i, f"{text}, {{{{ env.X }}}}", "c", "{% endsystem %}", "x", "l", "d", "u", 'a "b"', "---", labels[i % 4]]
        for i, text in enumerate(texts(64))
    ]
    path = tmp_path / "hostile.csv"
    write_csv(path, header, rows)
    assert b"\r\n" in path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    done = run("init", tmp_path / "p", "--data", path, "--label", "is?")
    assert done.exit_code == 0, done.output
    prepared = made(tmp_path / "p")
    assert sorted(map(str, prepared.task.labels)) == sorted(labels)
    row = prepared.rows.dev[0]
    content = prepared.task.prompt(prepared.baseline).messages(row)[-1].content
    assert f"Customer Text: {row.inputs['customer_text']}\nclass: c\nmy-col: {{% endsystem %}}\n" in content
    assert 'say "hi": a "b"' in content
    assert "is?" not in content
    mined = run("mine", tmp_path / "p/experiments/hostile", "--limit", 8)
    assert mined.exit_code == 0, mined.output
    assert "invalid" not in mined.output


@pytest.mark.parametrize(
    ("labels", "kind", "parser", "main"),
    [
        ([i * 3 + 0.5 for i in range(30)], "number.j2", "number", "Numeric"),
        ([f"{i * 1000:,}" for i in range(30)], "number.j2", "number", "Numeric"),
        ([i % 2 for i in range(30)], "classify.j2", "label", "exact"),
        (["01", "02", "07"] * 10, "classify.j2", "label", "exact"),
        ([i % 2 == 0 for i in range(30)], "decide.j2", "last-line", "normalised"),
        ([f"about {word} {i}" for i, word in enumerate((WORDS * 2)[:30])], "answer.j2", "text", "normalised"),
        ([[f"in {i}", f"{i}"] for i in range(30)], "answer.j2", "text", "normalised"),
    ],
    ids=["amounts", "thousands", "0-1", "codes", "true-false", "free", "several"],
)
def test_the_label_column_decides_template_parser_and_metric(
    tmp_path: Path, labels: list[object], kind: str, parser: str, main: str
) -> None:
    rows: list[dict[str, object]] = [
        {"question": text, "answer": label} for text, label in zip(texts(30), labels, strict=True)
    ]
    data = write_jsonl(tmp_path / "set.jsonl", rows)
    done = run("init", tmp_path / "p", "--data", data, "--label", "answer")
    assert done.exit_code == 0, done.output
    assert [each.name for each in tmp_path.glob("p/templates/set/*")] == [kind]
    prepared = made(tmp_path / "p")
    metric = prepared.task.metrics["main"]
    assert (prepared.task.parser, getattr(metric, "__name__", type(metric).__name__)) == (parser, main)
    assert len(prepared.space.names()) == 4  # model, template and two choices: too few rows for demos
    messages = prepared.task.prompt(prepared.baseline).messages(prepared.rows.dev[0])
    assert messages[-1].content == prepared.rows.dev[0].inputs["question"]  # one input is shown plainly


@pytest.mark.parametrize("labels", [[i % 2 == 0 for i in range(24)], [i + 0.5 for i in range(24)]])
def test_projects_of_true_false_and_of_numbers_mine(tmp_path: Path, labels: list[object]) -> None:
    data = write_jsonl(tmp_path / "d.jsonl", [{"q": t, "a": a} for t, a in zip(texts(24), labels, strict=True)])
    assert run("init", tmp_path / "p", "--data", data, "--label", "a").exit_code == 0
    mined = run("mine", tmp_path / "p/experiments/d", "--limit", 6)
    assert mined.exit_code == 0, mined.output


def test_ids_splits_and_columns_that_rows_lack_are_left_out_and_named(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": i, "customerId": "c", "fold": "dev", "body": text, "team": "ab"[i % 2], "note": None}
        | ({"extra": 1} if i % 2 else {})
        for i, text in enumerate(texts(30))
    ]
    data = write_jsonl(tmp_path / "d.jsonl", rows)
    done = run("init", tmp_path / "p", "--data", data, "--label", "team")
    assert done.exit_code == 0, done.output
    assert list(made(tmp_path / "p").rows.dev[0].inputs) == ["body"]
    for name in ("id", "customerId", "fold", "note", "extra"):
        assert f"'{name}'" in done.output


def test_a_small_set_is_not_split_and_neither_is_one_that_says_the_same_throughout(tmp_path: Path) -> None:
    small = tickets(tmp_path / "small.csv", 8)
    assert run("init", tmp_path / "a", "--data", small, "--label", "team").exit_code == 0
    assert made(tmp_path / "a").experiment.data.split.all
    same = write_csv(
        tmp_path / "same.csv", ["text", "team"], [("the very same words in every row", "ab"[i % 2]) for i in range(40)]
    )
    done = run("init", tmp_path / "b", "--data", same, "--label", "team")
    assert done.exit_code == 0, done.output
    assert made(tmp_path / "b").experiment.data.split.all


def test_nothing_that_is_there_is_overwritten_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    (tmp_path / "p/templates/triage").mkdir(parents=True)
    (tmp_path / "p/README.md").write_text("mine")
    (tmp_path / "p/templates/triage/message.j2").write_text("mine, too")
    before = snapshot(tmp_path)
    done = run("init", tmp_path / "p")
    assert done.exit_code == 2
    assert "README.md" in done.output
    assert "templates/triage/message.j2" in done.output
    assert "labelled.csv" not in done.output
    assert snapshot(tmp_path) == before


def test_a_folder_that_holds_other_files_is_fine(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".promptlab").mkdir()
    (tmp_path / ".promptlab/.gitignore").write_text("*\n")
    assert run("init", tmp_path).exit_code == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert run("init", tmp_path).exit_code == 2


def test_an_error_while_writing_takes_back_what_was_written(tmp_path: Path) -> None:
    project = Project({"a/one.txt": b"1", "a/b/two.txt": b"2", "x" * 300: b"3"}, "", "")
    from promptlab.errors import BadInput
    from promptlab.starter.lay import _write

    with pytest.raises(BadInput, match="cannot write here"):
        _write(tmp_path / "p", project.files)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "d.csv"], ["--label is missing", "text, team"]),
        (["--data", "d.csv", "--label", "taem"], ["no column 'taem'", "Did you mean 'team'?"]),
        (["--label", "team"], ["--label needs --data"]),
        (["--data", "e.csv", "--label", "team"], ["e.csv", "no such file"]),
        (["--data", "d.txt", "--label", "team"], ["d.txt", "unknown kind of file"]),
        (["--data", "empty.csv", "--label", "team"], ["empty.csv", "holds no rows"]),
        (["--data", "holes.csv", "--label", "team"], ["holes.csv:3", "row 2", "is empty"]),
        (["--data", "one.csv", "--label", "team"], ["one.csv: ", "'a' in every row"]),
        (["--data", "alone.csv", "--label", "team"], ["alone.csv", "no input beside the label"]),
        (["--data", "single.csv", "--label", "team"], ["single.csv: holds 1 labelled row; an experiment needs 2"]),
        (["--data", "d.csv"], ["--rubric"]),
        (["--data", "d.csv", "--label", "team", "--rubric", "x"], ["--label and --rubric do not go together"]),
        (["--rubric", "x"], ["--rubric needs --data"]),
        (["--data", "d.csv", "--rubric", " "], ["--rubric is empty"]),
        (["--data", "d.csv", "--rubric", "none.md"], ["none.md: cannot be read"]),
        (["--name", "../up"], ["--name '../up'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_named_with_its_remedy_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tickets(Path("d.csv"))
    Path("d.txt").write_text("x")
    Path("empty.csv").write_text("text,team\n")
    Path("holes.csv").write_text("text,team\nhello there,a\nhow are you,\n")
    write_csv(Path("one.csv"), ["text", "team"], [(text, "a") for text in texts(30)])
    Path("single.csv").write_text("text,team\nhello there,a\n")
    Path("alone.csv").write_text("team\na\nb\n")
    done = run("init", "p", *arguments)
    assert done.exit_code == 2, done.output
    for part in said:
        assert part in done.output
    assert "Traceback" not in done.output
    assert not Path("p").exists()


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("")
    done = run("init", tmp_path / "p")
    assert done.exit_code == 2
    assert "not a folder" in done.output
    (tmp_path / "q").mkdir()
    (tmp_path / "q/templates").write_text("")
    assert run("init", tmp_path / "q").exit_code == 2
    assert [each.name for each in (tmp_path / "q").iterdir()] == ["templates"]


def test_the_command_is_a_program_with_an_exit_code(tmp_path: Path) -> None:
    program = [
        sys.executable,
        "-c",
        "from promptlab.cli import main; main()",
        "init",
        str(tmp_path / "p"),
        "--label",
        "x",
    ]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 2
    assert "--label needs --data" in done.stderr


@given(st.lists(st.text(min_size=1).filter(lambda t: t.isprintable()), min_size=1, max_size=6, unique=True))
def test_every_column_gets_a_variable_of_its_own_that_templates_can_read(columns: list[str]) -> None:
    names = variables(columns)
    assert sorted(names.values()) == sorted(columns)
    for name in names:
        assert name.isidentifier()
        assert name not in TAKEN
        assert not name.startswith("_")


SENDABLE = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | SENDABLE,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SENDABLE, inner, max_size=4),
        max_leaves=8,
    )
)
def test_what_is_written_as_yaml_is_read_back_as_it_was(value: object) -> None:
    assert read_yaml(f"key: {flow(value)}\n", "").value == {"key": value}


def test_plain_words_stay_plain_in_yaml() -> None:
    assert [scalar(text) for text in ("refund_status", "change of plan", "no", "1e3", "a: b")] == [
        "refund_status", "change of plan", '"no"', '"1e3"', '"a: b"'
    ]  # fmt: skip


def test_a_heading_never_opens_a_tag() -> None:
    assert heading("{% x %}", "x") == "x"
    assert heading("Customer Text", "customer_text") == "Customer Text"
    assert slug("Ünïcode & more.v2") == "unicode-more-v2"
    assert slug("文本") == "experiment"


def test_few_rows_a_label_are_text_and_many_are_classes() -> None:
    assert answers_of(["a", "b", "c", "d"] * 2).kind == "text"
    assert answers_of(["b", "a"] * 3).classes == ("b", "a")
    assert answers_of(["10", "9", "8"] * 5).classes == ("8", "9", "10")
    assert answers_of([math.pi, 2.5, 1] * 5).kind == "number"


def test_rows_without_answers_are_scored_by_a_judge(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "d.csv", ["text"], [[text] for text in texts(70)])
    done = run("init", tmp_path / "p", "--data", data, "--rubric", 'Kind: and "short"? {x}')
    assert done.exit_code == 0, done.output
    prepared = made(tmp_path / "p")
    judge = prepared.experiment.metrics["main"]
    assert (judge.spec, judge.options["rubric"]) == ("judge", 'Kind: and "short"? {x}')
    assert prepared.rows.dev[0].answers == ()
    assert prepared.rows.test
    (tmp_path / "rubric.md").write_text("- kind\n- short\n")
    done = run("init", tmp_path / "q", "--data", data, "--rubric", tmp_path / "rubric.md")
    assert done.exit_code == 0, done.output
    assert made(tmp_path / "q").experiment.metrics["main"].options["rubric"] == "- kind\n- short"


@pytest.mark.parametrize(
    ("labels", "told"), [(["a", "b", "a|b", "b|c"], True), (["a", "x|y", "z|w", "b"], False), (["a", "b"], False)]
)
def test_cells_that_look_like_several_labels_are_named_with_what_to_write(
    tmp_path: Path, labels: list[str], told: bool
) -> None:
    rows = [(text, labels[i % len(labels)]) for i, text in enumerate(texts(40))]
    data = write_csv(tmp_path / "d.csv", ["text", "tags"], rows)
    done = run("init", tmp_path / "p", "--data", data, "--label", "tags")
    assert done.exit_code == 0, done.output
    assert ("`label: {column: tags, many: all}`" in done.output) == told, done.output
