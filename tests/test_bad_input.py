"""What a user sees when something is wrong: exit code, place, key, value, nearest name, remedy; nothing spent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_server import FaultServer, Reply, error, ok, raw
from support_project import BANK, MESSAGES, ROWS, TEMPLATE, Project, command, told

from promptlab.prepare import opened

SECRET = "sk-very-secret-0123456789abcdef"
HERE = str(Path(__file__).parents[1])


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: FaultServer) -> Project:
    """A project at a real endpoint, where calls would be seen."""
    monkeypatch.chdir(tmp_path)
    server.seen.clear()
    server.default = lambda _: ok("billing")
    return Project(tmp_path, f"{{base_url: {server.url}}}")


def refused(project: Project, server: FaultServer, *options: str) -> list[str]:
    """The problems that `mine` tells: exit 2, nobody asked, no run begun."""
    code, output = command("mine", "p", *options)
    assert code == 2, output
    assert "Traceback" not in output
    assert server.seen == []
    assert not (project.folder / "runs").exists()
    assert not (project.folder / "splits.csv").exists()
    return told(output)


# --- one mistake, one sentence ---

Edit = Callable[[Project], None]


def file(name: str, text: str) -> Edit:
    return lambda project: project.write(name, text)


def key(old: str, new: str) -> Edit:
    return lambda project: project.experiment(old, new)


def text(name: str, old: str, new: str) -> Edit:
    return lambda project: project.change(name, old, new)


def both(*edits: Edit) -> Edit:
    return lambda project: [each(project) for each in edits] and None


CASES: dict[str, tuple[Edit, list[str]]] = {
    "missing file": (
        key("rows.csv", "row.csv"),
        ["p/experiment.yaml:6: `data.path`: there is no file 'row.csv'. Did you mean 'rows.csv'?"],
    ),
    "a folder for a file": (
        key("rows.csv", "templates"),
        ["p/experiment.yaml:6: `data.path` must be a file, and 'templates' is a folder"],
    ),
    "wrong column": (
        key("inputs: [message]", "inputs: [mesage]"),
        [
            "p/rows.csv: no column 'mesage'. Did you mean 'message'? Columns: id, message, intent.",
            "p/bank.jsonl: no column 'mesage'. Did you mean 'message'? Columns: message, intent.",
        ],
    ),
    "unknown key": (
        key("finalists", "finalist"),
        ["p/experiment.yaml:15: unknown key `search.finalist`. Did you mean 'finalists'?"],
    ),
    "duplicate key": (
        key("answer: label\n", "answer: label\nname: other\n"),
        ["p/experiment.yaml:13: the key `name` is given twice, on lines 1 and 13. Keep one of them."],
    ),
    "header alone": (file("rows.csv", "id,message,intent\n"), ["p/rows.csv: holds no rows. Add labelled rows."]),
    "empty file": (file("rows.csv", ""), ["p/rows.csv: holds no rows. Add labelled rows."]),
    "one class": (
        both(text("rows.csv", "shipping", "billing"), text("rows.csv", "account", "billing")),
        [
            (
                "p/rows.csv: column 'intent' says 'billing' in every row: there is nothing to tell variants apart by. "
                "Add rows of other classes, or name another label column."
            )
        ],
    ),
    "a split too small": (
        file("rows.csv", "".join(ROWS.splitlines(keepends=True)[:4])),
        [
            (
                "p/experiment.yaml:5: too few rows for test: 3 rows in 3 groups give train 0, dev 2, test 1. "
                "Add rows or use `split: all`."
            )
        ],
    ),
    "no label": (
        both(key("  label: intent\n", ""), key("bank: {", "bank: {label: intent, ")),
        [
            (
                "p/experiment.yaml:5: no labels: these metrics compare answers with labels. "
                "Name the column of the right answers: data.label."
            )
        ],
    ),
    "all labels empty": (
        file("rows.csv", "id,message,intent\n" + "".join(f"{n},{t},\n" for n, (t, _) in enumerate(MESSAGES))),
        ["p/rows.csv: the label in column 'intent' is empty in every row. Name another column, or fill it in."],
    ),
    "a template column that is not an input": (
        text("templates/plain.j2", "{{ message }}", "{{ message }} {{ intent }}"),
        ["p/templates/plain.j2:8: `intent` is no input column, slot or scope name. Add it to data.inputs."],
    ),
    "a template variable misspelt": (
        text("templates/plain.j2", "{{ message }}", "{{ mesage }}"),
        ["p/templates/plain.j2:8: `mesage` is no input column, slot or scope name. Did you mean 'message'?"],
    ),
    "a slot named like a column": (
        text("templates/plain.j2", "Answer", "{% choice message %}{% option a %}A{% endchoice %}Answer"),
        ["p/templates/plain.j2:2: the slot `message` has the name of an input column. Rename one of them."],
    ),
    "passages that no row has": (
        text("templates/plain.j2", "Answer", "{{ passages | length }} Answer"),
        [
            (
                "p/templates/plain.j2:2: the template reads `passages`, and no row has any. "
                "Name the column that holds them (data.passages), or a corpus: retrieval: {corpus: …}."
            )
        ],
    ),
    "a bank nobody shows": (
        both(file("templates/plain.j2", "{{ labels }} {{ message }}"), key("baseline: {bank.k: 0}\n", "")),
        ["p/experiment.yaml:11: there is a bank, and no template shows `demos`. Remove one."],
    ),
    "answer.by nothing": (
        file("templates/plain.j2", f"---\nanswer: {{by: ask, first: label}}\n---\n{TEMPLATE}"),
        ["p/templates/plain.j2:2: `answer.by` names no choice of this template: `ask`. This template has no choices."],
    ),
    "a template's parser": (
        file("templates/plain.j2", f"---\nanswer: lable\n---\n{TEMPLATE}"),
        ["p/templates/plain.j2:2: answer 'lable': there is no such parser. Did you mean 'label'?"],
    ),
    "no template": (
        key("templates/*.j2", "prompts/*.j2"),
        ["p/experiment.yaml:10: `templates[0]`: no file matches 'prompts/*.j2'. Paths are relative to p."],
    ),
    "a baseline slot": (
        key("baseline: {bank.k", "baseline: {bank.n"),
        ["p/experiment.yaml:14: `baseline`: there is no slot `bank.n`. Did you mean 'bank.k'?"],
    ),
    "a baseline value": (
        key("baseline: {bank.k: 0}", "baseline: {bank.k: 3}"),
        ["p/experiment.yaml:14: `baseline`: the slot `bank.k` has no value 3. Known: 0, 2."],
    ),
    "a built-in metric misspelt": (
        key("exact", "exakt"),
        ["p/experiment.yaml:13: `metrics.main`: there is no 'exakt'. Did you mean 'exact'? Or package.module:name."],
    ),
    "a metric without its name": (
        both(key("exact", "own_scores:score"), file("own_scores.py", "def scores(example, completion): return 1\n")),
        ["p/own_scores.py: metric 'own_scores:score': module 'own_scores' has no 'score'. Did you mean 'scores'?"],
    ),
    "a metric that fails to import": (
        both(key("exact", "broken_scores:score"), file("broken_scores.py", "\nimport not_installed_anywhere\n")),
        [
            (
                "p/broken_scores.py:2: metric 'broken_scores:score': importing 'broken_scores' failed: "
                "ModuleNotFoundError: No module named 'not_installed_anywhere'. Mend the module, then run again."
            )
        ],
    ),
    "a metric that cannot score any row": (
        key("exact", "numeric"),
        [
            (
                "p/experiment.yaml:13: the metric `main` (numeric) can score no row; the first: label 'LABEL' is not a "
                "number. Take another metric, or label column."
            )
        ],
    ),
    "a parser that can never be right": (
        key("answer: label", "answer: number"),
        [
            (
                "p/experiment.yaml:12: with `answer: number` no answer of plain can ever equal a label like 'LABEL'. "
                "Use another parser (answer), or another metric."
            )
        ],
    ),
    "a parser that is none": (
        key("answer: label", "answer: lable"),
        ["p/experiment.yaml:12: answer 'lable': there is no such parser. Did you mean 'label'?"],
    ),
    "dollars without a price": (
        key("calls: 500", "usd: 2"),
        [
            (
                "p/experiment.yaml:3: a usd budget needs a price, and the model 'small' has none. "
                "Give it price: {input: …, output: …} in US dollars per million tokens."
            )
        ],
    ),
    "tokens without max_tokens": (
        both(key("calls: 500", "tokens: 50000"), key(", max_tokens: 16", "")),
        [
            (
                "p/experiment.yaml:15: a budget of tokens needs `params.max_tokens`, "
                "else the cost of a call to 'small' has no bound. Add max_tokens to params."
            )
        ],
    ),
    "no budget": (
        key("budget: {calls: 500}, ", ""),
        [
            (
                "p/experiment.yaml:15: `search.budget` is missing: it needs calls, tokens or usd. "
                "Like budget: {calls: 3000, usd: 2.00}."
            )
        ],
    ),
    "a label that is not listed": (
        file("labels.yaml", "[billing, shipment, account]\n"),
        [
            "p/rows.csv:3: the label 'shipping' of rows 2, 5, 8, 11 is not in `data.labels`. Did you mean 'shipment'?",
            "p/bank.jsonl:2: the label 'shipping' of row 2 is not in `data.labels`. Did you mean 'shipment'?",
        ],
    ),
    "too few demos": (
        key("k: [0, 2]", "k: [0, 4]"),
        ["p/experiment.yaml:11: `bank.k` asks for 4 demos, and there are 3. Lower k, or add demos."],
    ),
    "a strange fold": (
        both(
            key("labels: labels.yaml", "labels: labels.yaml\n  split: {column: fold}"),
            file(
                "rows.csv",
                "message,intent,fold\n"
                + "".join(f"{t},{i},{'tset' if n == 3 else 'dev'}\n" for n, (t, i) in enumerate(MESSAGES)),
            ),
        ),
        ["p/rows.csv:5: row 4: column 'fold' holds 'tset'. It says train, dev or test. Did you mean 'test'?"],
    ),
    "a fold without dev": (
        both(
            key("labels: labels.yaml", "labels: labels.yaml\n  split: {column: fold}"),
            file("rows.csv", "message,intent,fold\n" + "".join(f"{t},{i},test\n" for t, i in MESSAGES)),
        ),
        ["p/experiment.yaml:10: the dev split has no rows. Add rows, or use `split: all`."],
    ),
    "an id twice": (
        text("rows.csv", "\n7,", "\n3,"),
        ["p/rows.csv:8: row 7: the id '3' is also that of row 3. Give every row its own id."],
    ),
    "a label file": (
        file("labels.yaml", "[billing, billing]\n"),
        [
            "p/labels.yaml:1: the label 'billing' is given twice. Remove one.",
        ],
    ),
    "an own proposer": (
        key("search: {", "search: {propose: [own_ideas:propose], "),
        [
            (
                "p/experiment.yaml:15: proposer 'own_ideas:propose': there is no module 'own_ideas'. "
                "It is looked for in HERE/p, in HERE and among the installed packages."
            )
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_has_its_place_its_sentence_and_its_remedy(
    name: str, project: Project, server: FaultServer, tmp_path: Path
) -> None:
    """Exit 2 with exactly these problems, nobody asked, no run begun."""
    edit, expected = CASES[name]
    edit(project)
    found = refused(project, server)
    shown = [each.replace(str(tmp_path.resolve()), "HERE").replace(str(tmp_path), "HERE") for each in found]
    for label in ("billing", "shipping", "account"):
        shown = [each.replace(f"'{label}' is not a", "'LABEL' is not a") for each in shown]
        shown = [each.replace(f"like '{label}'", "like 'LABEL'") for each in shown]
    assert shown == expected


def test_a_demo_that_says_what_a_scored_row_says_is_named_with_that_row(project: Project, server: FaultServer) -> None:
    """Case and punctuation do not hide it; both places are told."""
    project.write("bank.jsonl", BANK + f'{{"message": "{MESSAGES[4][0].upper()}!", "intent": "shipping"}}\n')
    (only,) = refused(project, server)
    assert only.startswith("p/bank.jsonl:4: demo r")
    assert "(row 4) says what the scored row 5 says (p/rows.csv:6). Remove one of them" in only


def test_a_metric_that_cannot_be_found_is_told_at_its_key(project: Project, server: FaultServer) -> None:
    project.experiment("exact", "exakt:score")
    (only,) = refused(project, server)
    assert only.startswith("p/experiment.yaml:13: metric 'exakt:score': there is no module 'exakt'.")
    assert "Did you mean 'exact'?" in only


def test_rows_that_a_metric_cannot_score_are_named_before_anything_is_spent(
    project: Project, server: FaultServer
) -> None:
    project.experiment("labels: labels.yaml", "split: all")
    project.experiment("answer: label", "answer: number")
    project.experiment("exact", "numeric:0.1")
    project.experiment("bank: {from: bank.jsonl, k: [0, 2]}\n", "")
    project.experiment("baseline: {bank.k: 0}\n", "")
    rows = "".join(f"{t},{'many' if n in (2, 7) else n}\n" for n, (t, _) in enumerate(MESSAGES))
    project.write("rows.csv", "message,intent\n" + rows)
    assert refused(project, server) == [
        "p/rows.csv:4: row 3: label 'many' is not a number. Mend the label, or take another metric than `main`.",
        "p/rows.csv:9: row 8: label 'many' is not a number. Mend the label, or take another metric than `main`.",
    ]


def test_a_metric_whose_own_check_fails_is_no_traceback(project: Project, server: FaultServer) -> None:
    project.experiment("exact", "checked_scores:Score")
    source = "class Score:\n def __call__(self, example, completion): return 1\n def check(self, example): 1 / 0\n"
    project.write("checked_scores.py", source)
    assert refused(project, server) == [
        (
            "p/experiment.yaml:13: the metric `main` failed to check a label: ZeroDivisionError: division by zero. "
            "Mend its `check`."
        )
    ]


def test_a_template_error_names_file_and_line(project: Project, server: FaultServer) -> None:
    project.change("templates/plain.j2", "{% endfor %}\n", "")
    (only,) = refused(project, server)
    assert only.startswith("p/templates/plain.j2:7: ")
    assert "endfor" in only


def test_a_template_that_fails_on_one_row_only_fails_before_anything_is_spent(
    project: Project, server: FaultServer
) -> None:
    """Every template is rendered on every row first: the last row to be scored has no `tone.kind`."""
    rows = [{"id": str(n), "message": t, "intent": i, "tone": {"kind": 1}} for n, (t, i) in enumerate(MESSAGES)]
    project.write("rows.jsonl", "\n".join(map(json.dumps, rows)))
    project.experiment("rows.csv", "rows.jsonl")
    project.experiment("inputs: [message]", "inputs: [message, tone]")
    project.experiment("bank: {", "bank: {inputs: [message, tone], ")
    project.write("bank.jsonl", BANK.replace('"message"', '"tone": {"kind": 2}, "message"'))
    project.change("templates/plain.j2", "{{ message }}", "{{ message }} {{ tone.kind }}")
    last = opened("p").rows.scored[-1]
    rows[int(last.id)]["tone"] = {}
    project.write("rows.jsonl", "\n".join(map(json.dumps, rows)))
    (only,) = refused(project, server)
    assert only.startswith("p/templates/plain.j2:8: ")
    assert f"(row {last.id}, " in only


def test_a_file_that_is_not_utf8_names_line_and_byte(project: Project, server: FaultServer) -> None:
    (project.folder / "rows.csv").write_bytes(ROWS.replace("invoice", "invo\u00efce").encode("latin-1"))
    assert refused(project, server) == ["p/rows.csv:5: byte 0xEF (byte 10 of line 5) is not UTF-8. Save it as UTF-8."]


def test_paths_are_told_as_they_were_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From inside the folder, from outside, and absolute."""
    project = Project(tmp_path)
    project.change("templates/plain.j2", "{{ message }}", "{{ mesage }}")
    monkeypatch.chdir(project.folder)
    for typed in (".", "experiment.yaml", "../p"):
        place = "../p/" if typed == "../p" else ""
        assert told(command("plan", typed)[1])[0].startswith(f"{place}templates/plain.j2:8: `mesage`")
    assert told(command("plan", str(project.folder))[1])[0].startswith(f"{project.folder}/templates/plain.j2:8: ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--set", "budget"],
            "--set budget: needs a key, '=' and a value. Write it like --set search.budget.calls=500.",
        ),
        (["--set", "serch.seed=1"], "--set serch.seed: unknown key `serch`. Did you mean 'search'?"),
        (
            ["--set", "search.budget.calls=many"],
            "--set search.budget.calls: `search.budget.calls` must be a whole number above 0, not 'many'",
        ),
    ],
)
def test_set_with_nonsense_names_itself(
    options: list[str], sentence: str, project: Project, server: FaultServer
) -> None:
    assert refused(project, server, *options) == [sentence]


def test_a_path_to_no_experiment_says_what_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare").mkdir()
    Project(tmp_path)
    wanted = "Name an experiment.yaml, or the folder that holds one."
    cases = {
        "bare": f"bare/experiment.yaml: there is no such file. {wanted}",
        "p/experimnt.yaml": "p/experimnt.yaml: there is no such file. Did you mean 'experiment.yaml'?",
        "no/where": "no/where: there is no such file. There is no folder 'no', either.",
        "p/rows.csv": f"p/rows.csv: this is a table of rows, not an experiment. {wanted}",
        "p/templates/plain.j2": f"p/templates/plain.j2: this is a template, not an experiment. {wanted}",
    }
    for typed, sentence in cases.items():
        code, output = command("mine", typed)
        assert (code, told(output)) == (2, [sentence])


# --- all at once ---


def test_the_problems_of_all_files_are_told_together_in_order(project: Project, server: FaultServer) -> None:
    """Three mistakes in the experiment, two broken templates, a broken row, a broken demo: seven, by file and line."""
    project.experiment("finalists", "finalist")
    project.experiment("exact", "nowhere_scores:score")
    project.experiment("answer: label", "answer: lable")
    project.change("templates/plain.j2", "{% endfor %}\n", "")
    project.write("templates/other.j2", "---\nchoices: {a: [x, x]}\n---\n{{ a }}{{ message }}")
    project.change("rows.csv", "\n7,", "\n3,")
    project.write("bank.jsonl", BANK + "{nope\n")
    found = refused(project, server)
    assert [each.partition(": ")[0] for each in found] == [
        "p/experiment.yaml:12",
        "p/experiment.yaml:13",
        "p/experiment.yaml:15",
        "p/templates/other.j2:2",
        "p/templates/plain.j2:7",
        "p/rows.csv:8",
        "p/bank.jsonl:4",
    ]


def test_a_metric_that_cannot_be_imported_hides_no_other_problem(project: Project, server: FaultServer) -> None:
    """What only shows when files meet is told beside it: columns, labels, slots, demos."""
    project.experiment("{main: exact}", "{main: exact, own: nowhere_scores:score}")
    project.experiment("baseline: {bank.k", "baseline: {bank.n")
    project.experiment("k: [0, 2]", "k: [0, 9]")
    project.change("templates/plain.j2", "{{ message }}", "{{ mesage }}")
    project.change(
        "rows.csv", "parcel has still not arrived here,shipping", "parcel has still not arrived here,shiping"
    )
    found = refused(project, server)
    assert [each.partition(": ")[0] for each in found] == [
        "p/experiment.yaml:11",
        "p/experiment.yaml:13",
        "p/experiment.yaml:14",
        "p/rows.csv:3",
        "p/templates/plain.j2:8",
    ]


def test_a_wrong_part_of_the_experiment_brings_no_follow_up_problems(project: Project, server: FaultServer) -> None:
    """With the label column misspelt as a key, nobody is told that labels are missing from files."""
    project.experiment("  label: intent\n", "  lable: intent\n")
    assert refused(project, server) == [
        "p/experiment.yaml:8: unknown key `data.lable`. Did you mean 'label'?",
        "p/experiment.yaml:11: `bank.label` is missing: demos need answers. Name the column of the answers.",
    ]


def test_an_unset_key_is_told_with_the_other_problems_and_before_any_question(
    project: Project, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAB_UNSET_KEY", raising=False)
    project.experiment("endpoint: {", "endpoint: {api_key_env: LAB_UNSET_KEY, ")
    project.change("templates/plain.j2", "{% endfor %}\n", "")
    first, second = refused(project, server)
    assert first == (
        "p/experiment.yaml:2: the environment variable LAB_UNSET_KEY is not set; it should hold the key for small. "
        "Set it: export LAB_UNSET_KEY=…"
    )
    assert second.startswith("p/templates/plain.j2:7: ")
    project.write("templates/plain.j2", TEMPLATE)
    assert refused(project, server) == [first]
    code, _ = command("plan", "p")
    assert code == 0, "plan asks nobody and needs no key"


def test_text_out_of_files_cannot_control_the_terminal(project: Project, server: FaultServer) -> None:
    """A label with an escape code and a line end is told printably, on one line."""
    project.change(
        "rows.csv", "3,resetting the password does not work,account", '"3\x1b[2J\nx",a b c d e f g h,account'
    )
    project.write("bank.jsonl", BANK + '{"message": "a b c d e f g h", "intent": "account"}\n')
    (only,) = refused(project, server)
    assert "\\x1b[2J" in only
    assert "\x1b" not in only


# --- the endpoint is wrong ---

HTML = "<html><head><title>Welcome</title></head><body>It works</body></html>"


@pytest.mark.parametrize(
    ("reply", "parts"),
    [
        (
            error(401, f"Incorrect API key provided: {SECRET}."),
            ["the endpoint turns the key away (HTTP 401: ", "Check the key in the environment variable LAB_KEY."],
        ),
        (
            error(404, "The model `small` does not exist", code="model_not_found"),
            ["no such model: 'small' (HTTP 404: ", "Known: served-model."],
        ),
        (raw(HTML), ["this is no OpenAI endpoint", "HTTP 200 with an HTML page", "Check base_url; is /v1 missing?"]),
    ],
    ids=["wrong key", "no such model", "HTML"],
)
def test_an_endpoint_that_cannot_go_on_is_exit_3_with_the_remedy(
    reply: Reply, parts: list[str], project: Project, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", SECRET)
    server.default = lambda _: reply
    project.experiment("endpoint: {", "endpoint: {api_key_env: LAB_KEY, concurrency: 2, ")
    code, output = command("mine", "p")
    assert code == 3
    (only,) = told(output)
    assert only.startswith(f"{server.url}: ")
    assert [part for part in parts if part not in only] == []
    assert "Traceback" not in output
    assert len(server.posts) <= 4, "given up at once"
    kept = [each.read_bytes() for each in project.folder.rglob("*") if each.is_file()]
    assert SECRET not in output
    assert not any(SECRET.encode() in each for each in kept), "no file holds the key"


def test_a_base_url_without_v1_is_told_the_right_one(project: Project, server: FaultServer) -> None:
    bare = server.url.removesuffix("/v1")
    server.default = lambda _: raw("<h1>Not Found</h1>", 404)
    project.experiment(server.url, bare)
    code, output = command("mine", "p")
    assert code == 3
    assert (
        f"there is no /chat/completions here (HTTP 404: Not Found). Is /v1 missing in base_url? Try {bare}/v1."
        in (told(output)[0])
    )


def test_nobody_listening_is_exit_3(project: Project, server: FaultServer) -> None:
    project.experiment(server.url, "http://127.0.0.1:9/v1")
    code, output = command("mine", "p")
    assert code == 3
    assert "nobody answers there" in told(output)[0]
    assert "Is the server running, and is base_url right?" in told(output)[0]


# --- as a real process ---


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": HERE}
    return subprocess.run(
        [sys.executable, "-c", "from promptlab.cli import main; main()", *words],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_real_process_says_it_on_standard_error_alone(project: Project, tmp_path: Path) -> None:
    project.change("rows.csv", "account", "acount")
    done = run(tmp_path, "mine", "p")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: p/rows.csv:4: the label 'acount' of rows 3, 6, 9, 12 is not in `data.labels`. Did you mean 'account'?\n"
    )


def test_a_terminal_that_lacks_characters_is_no_reason_to_fail(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASCII alone: what it cannot show is escaped."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    project.experiment("models: [small]", "models: [{id: small, name: gro\u00df}]")
    done = run(tmp_path, "plan", "p")
    assert (done.returncode, done.stderr) == (0, "")
    assert "gro\\xdf" in done.stdout
