"""promptlab score: one template on one file, on the same path as every run."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, error, ok
from typer.testing import CliRunner, Result

from promptlab.cli import app
from promptlab.metrics.classification import macro_f1
from promptlab.run import load_run
from promptlab.stats.paired import rate_interval

TEMPLATE = """---
inputs: [text]
choices: {tone: [short, long]}
---
{% system %}
{% choice task %}{% option plain %}Choose one.{% option other %}Choose one of these.{% endchoice %}
Labels: {{ labels | join(", ") }}.{% if tone == "long" %} Take your time.{% endif %}
{% endsystem %}
{% for demo in demos %}
{% user %}{{ demo.text }}{% enduser %}{% assistant %}{{ demo.label }}{% endassistant %}
{% endfor %}
{% user %}{{ text }}{% enduser %}
"""
ROWS = [("the invoice is wrong", "money"), ("charged twice", "money"), ("parcel is late", "post"),
        ("where is my parcel", "post"), ("refund please", "money"), ("no delivery yet", "post"),
        ("I paid too much", "money"), ("courier never came", "post"), ("wrong amount, \n again", "money"),
        ("tracking is stuck", "post")]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project: a template and a file of ten rows, five of each label; the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".promptlab").mkdir()
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/sort.j2").write_text(TEMPLATE)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "team"), *ROWS])
    return tmp_path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def scored(*arguments: object) -> dict[str, Any]:
    done = run("templates/sort.j2", "rows.csv", "--label", "team", "--json", *arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def answering(server: FaultServer, wrong: tuple[str, ...] = (), text: str = "money") -> list[str]:
    """Make the server answer right, but for rows that hold one of ``wrong``. Gives the options that ask it."""
    known = dict(ROWS)

    def reply(body: Any) -> Any:
        asked = body["messages"][-1]["content"]
        return ok(text if any(part in asked for part in wrong) else known[asked])

    server.default = reply
    return ["--base-url", server.url, "--model", "m1", "--yes"]


def test_every_row_is_scored_by_the_offline_engine_with_its_warning(here: Path) -> None:
    done = run("templates/sort.j2", "rows.csv", "--label", "team")
    assert done.exit_code == 0, done.output
    assert "on 10 rows" in done.output
    assert "sort, tone=short, task=plain; answered by small" in done.output
    assert "Always answering 'money' would be right on 50.0 %" in done.output
    assert "no language model" in done.output


def test_score_interval_statuses_tokens_and_wrong_rows_are_those_of_the_answers(here: Path) -> None:
    with FaultServer() as server:
        options = answering(server, ("courier", "tracking", "parcel is late"), "money")
        found = scored(*options, "--price", "1000,2000")
        assert len(server.posts) == 10
    assert found["score"] == 0.7
    interval = rate_interval([1.0] * 7 + [0.0] * 3)
    assert (found["low"], found["high"]) == pytest.approx((interval.low, interval.high))
    assert (found["n"], found["statuses"], found["wrong_rows"]) == (10, {"ok": 10}, 3)
    assert [(each["row"], each["expected"], each["answered"]) for each in found["wrong"]] == [
        (3, "post", "money"), (8, "post", "money"), (10, "post", "money")
    ]  # fmt: skip
    assert (found["tokens_in"], found["tokens_out"]) == (120, 30)
    assert found["usd"] == pytest.approx(120 * 0.001 + 30 * 0.002)
    assert found["majority"] == {"label": "money", "share": 0.5}


def test_what_no_label_can_be_read_from_is_counted_and_shown_as_it_came(here: Path) -> None:
    with FaultServer() as server:
        options = answering(server, ("courier",), "I cannot say")
        done = run("templates/sort.j2", "rows.csv", "--label", "team", *options)
    assert "exact: 90.0" in done.output
    assert "invalid 1" in done.output
    assert "(invalid) I cannot say" in done.output
    assert "cost unknown" in done.output
    assert "no language model" not in done.output


def test_the_same_command_asks_nothing_again_and_fresh_does(here: Path) -> None:
    with FaultServer() as server:
        options = answering(server)
        first = scored(*options)
        again = scored(*options)
        assert len(server.posts) == 10
        scored(*options, "--fresh")
        assert len(server.posts) == 20
    assert (again["score"], again["run"]) == (first["score"], first["run"])


def test_a_row_that_is_added_is_the_only_one_asked(here: Path) -> None:
    with FaultServer() as server:
        options = answering(server, ("brand new",), "post")
        scored(*options)
        with (here / "rows.csv").open("a", newline="") as file:
            csv.writer(file).writerow(("something brand new", "post"))
        assert scored(*options)["n"] == 11
        assert len(server.posts) == 11


def test_choices_stand_at_their_first_option_and_set_takes_another(here: Path) -> None:
    with FaultServer() as server:
        options = answering(server)
        scored(*options)
        first = server.posts[0].body["messages"][0]["content"]
        scored(*options, "--set", "tone=long", "--set", "task=other", "--set", "params.max_tokens=9")
        second = server.posts[-1].body
    assert first == "Choose one.\nLabels: money, post."
    assert second["messages"][0]["content"] == "Choose one of these.\nLabels: money, post. Take your time."
    assert (second["max_tokens"], second["temperature"]) == (9, 0)


def test_limit_scores_fewer_rows_and_out_holds_one_line_for_each(here: Path) -> None:
    found = scored("--limit", 4, "--out", "out.csv")
    rows = list(csv.DictReader((here / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert (found["n"], len(rows)) == (4, 4)
    assert found["predictions"] == "out.csv"
    assert {row["label"] for row in rows} == {"money", "post"}


def test_macro_f1_is_the_f1_of_the_whole_set_and_not_the_mean_of_rows(here: Path) -> None:
    with FaultServer() as server:
        found = scored(*answering(server, ("courier", "tracking", "parcel is late"), "money"), "--metric", "macro_f1")
    labels = [label for _, label in ROWS]
    answers = ["money" if i in (2, 7, 9) else label for i, label in enumerate(labels)]
    assert found["score"] == pytest.approx(macro_f1(labels, answers, ["money", "post"]))
    assert found["score"] != 0.7
    assert 0 <= found["low"] < found["score"] < found["high"] <= 1


def test_numbers_are_compared_as_numbers(here: Path) -> None:
    (here / "sums.jsonl").write_text('{"text": "2+2", "sum": 4}\n{"text": "3+5", "sum": 8}\n')
    with FaultServer() as server:
        server.default = lambda body: ok("That is 4.0.")
        options = ["--base-url", server.url, "--model", "m", "--answer", "number", "--json"]
        done = run("templates/sort.j2", "sums.jsonl", "--label", "sum", *options)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["metric"], found["score"], found["majority"]) == ("numeric", 0.5, None)


def test_columns_can_be_picked_and_named(here: Path) -> None:
    with (here / "odd.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Customer Text", "tone", "team"), *((t, "x", team) for t, team in ROWS)])
    clash = run("templates/sort.j2", "odd.csv", "--label", "team")
    assert clash.exit_code == 2
    done = run("templates/sort.j2", "odd.csv", "--label", "team", "--inputs", "text=Customer Text")
    assert done.exit_code == 0, done.output


def test_the_run_is_in_the_project_and_can_be_read_back_after_the_data_is_gone(here: Path) -> None:
    found = scored()
    assert found["folder"].startswith(".promptlab/score/sort-")
    assert (here / ".promptlab/.gitignore").read_text() == "*\n"
    assert sorted(each.name for each in here.iterdir()) == [".promptlab", "rows.csv", "templates"]
    (here / "rows.csv").unlink()
    row = load_run(found["folder"]).rows[0]
    assert (row["dev_n"], row["dev_score"]) == (10, found["score"])


def test_a_template_with_brackets_in_its_name_and_no_project_around_it_can_be_scored(tmp_path: Path) -> None:
    folder = tmp_path / "a [1]"
    folder.mkdir()
    (folder / "t [1].j2").write_text(TEMPLATE)
    with (folder / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "team"), *ROWS])
    done = run(folder / "t [1].j2", folder / "rows.csv", "--label", "team")
    assert done.exit_code == 0, done.output
    assert (folder / ".promptlab/score").is_dir()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["rows.csv", "--label is missing", "text, team"]),
        (["--label", "taem"], ["rows.csv: no column 'taem'", "Did you mean 'team'?"]),
        (["--label", "team", "--set", "tune=long"], ["no choice 'tune'", "Did you mean 'tone'?"]),
        (["--label", "team", "--set", "tone=lnog"], ["no option 'lnog'", "Did you mean 'long'?"]),
        (["--label", "team", "--set", "tone"], ["--set tone", "choice=value"]),
        (["--label", "team", "--inputs", "txt"], ["no column 'txt'", "Did you mean 'text'?"]),
        (["--label", "team", "--answer", "lable"], ["'lable'", "Did you mean 'label'?"]),
        (["--label", "team", "--metric", "exakt"], ["'exakt'", "Did you mean 'exact'?"]),
        (["--label", "team", "--base-url", "http://x/v1"], ["--base-url needs --model"]),
        (["--label", "team", "--api-key-env", "KEY"], ["--api-key-env needs --base-url"]),
        (["--label", "team", "--base-url", "http://x/v1", "--model", "m", "--price", "a"], ["--price 'a'"]),
        (["--label", "team", "--base-url", "x", "--model", "m"], ["http(s) address"]),
        (["--label", "team", "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "--api-key-env", "NO_SUCH_KEY_"],
         ["NO_SUCH_KEY_", "not set"]),
        (["--label", "team", "--out", "no/such/folder.csv"], ["--out cannot be written"]),
        (["--label", "team", "--out", "rows.csv"], ["would overwrite"]),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) and "-" in "".join(value) else None,
)  # fmt: skip
def test_bad_options_are_named_with_their_remedy(here: Path, arguments: list[str], said: list[str]) -> None:
    before = (here / "rows.csv").read_bytes()
    done = run("templates/sort.j2", "rows.csv", *arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    for part in said:
        assert part in done.output
    assert (here / "rows.csv").read_bytes() == before


def test_files_that_do_not_fit_are_named(here: Path) -> None:
    (here / "short.csv").write_text("txet,team\nhello,a\nthere,b\n")
    lacking = run("templates/sort.j2", "short.csv", "--label", "team")
    assert (lacking.exit_code, "templates/sort.j2" in lacking.output) == (2, True)
    assert "Did you mean 'txet'?" in lacking.output
    nowhere = run("templates/srot.j2", "rows.csv", "--label", "team")
    assert (nowhere.exit_code, "Did you mean 'sort.j2'?" in nowhere.output) == (2, True)
    assert run("templates/sort.j2", "row.csv", "--label", "team").exit_code == 2
    assert run("rows.csv", "rows.csv", "--label", "team").exit_code == 2
    (here / "templates/own.j2").write_text("---\nanswer: last-line\n---\n{{ text }}\n")
    twice = run("templates/own.j2", "rows.csv", "--label", "team", "--answer", "label")
    assert (twice.exit_code, "says itself" in twice.output) == (2, True)


def test_an_endpoint_that_refuses_the_key_ends_with_3_and_the_same_command_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORE_KEY", "sk-very-secret")
    with FaultServer() as server:
        options = [*answering(server), "--api-key-env", "SCORE_KEY"]
        answers, server.default = server.default, lambda _: error(401, "bad key sk-very-secret")
        refused = run("templates/sort.j2", "rows.csv", "--label", "team", *options)
        assert refused.exit_code == 3
        server.default = answers
        assert scored(*options)["score"] == 1.0
        assert server.posts[-1].headers["Authorization"] == "Bearer sk-very-secret"
    kept = b"".join(each.read_bytes() for each in here.rglob("*") if each.is_file())
    assert b"sk-very-secret" not in kept
    assert "sk-very-secret" not in refused.output


def test_a_failed_row_is_missing_and_not_wrong(here: Path) -> None:
    rows = [(f"message number {i} of many", ("money", "post")[i % 2]) for i in range(60)]
    with (here / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "team"), *rows])
    known = dict(rows)
    with FaultServer() as server:

        def reply(body: Any) -> Any:
            asked = body["messages"][-1]["content"]
            return error(400, "odd row", code="weird") if "number 7 " in asked else ok(known[asked])

        server.default = reply
        found = scored("--base-url", server.url, "--model", "m1")
    assert (found["score"], found["n"], found["statuses"]) == (1.0, 59, {"ok": 59, "error": 1})
    assert not math.isnan(found["low"])
