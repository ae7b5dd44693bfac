"""`promptlab tune` prints states, results and commands that work; what they leave is read by every other command."""

from __future__ import annotations

import asyncio
import csv
import json
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from fault_server import FaultServer, ok, raw
from rich.console import Console
from test_tuned_models import NAME, OPENAI, own_shelf, written
from typer.testing import CliRunner

from promptlab.api import Experiment as Api
from promptlab.choice.chosen import Chosen
from promptlab.cli import app
from promptlab.cli import training as shown
from promptlab.cli.training import Training
from promptlab.cli.tune import say
from promptlab.cli.tuned import use
from promptlab.embedded.tuned import SHELF
from promptlab.endpoint import cards
from promptlab.experiment import Experiment
from promptlab.export.chosen import chosen as exported
from promptlab.export.provenance import told
from promptlab.prepare import opened
from promptlab.records import Endpoint
from promptlab.run import load_run, mine
from promptlab.tune.tune import tune
from promptlab.tune.tuned import table
from promptlab.verdict import EMBEDDED

__all__ = ["own_shelf"]


def promptlab(folder: Path, *words: str) -> str:
    """A command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "promptlab", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def here(*words: object) -> str:
    """A command in this process."""
    done = CliRunner().invoke(app, [str(each) for each in words])
    assert done.exit_code == 0, done.output
    return done.output


def asked(run: Path) -> tuple[int, int]:
    """Calls of a run, and how many of them were not known before."""
    with closing(sqlite3.connect(run / "run.sqlite")) as db:
        return tuple(db.execute("select count(*), sum(cached = 0) from calls").fetchone())  # type: ignore[return-value]


def test_the_commands_that_tune_prints_work_as_they_are_pasted_and_so_does_all_that_reads_the_run(
    tmp_path: Path,
) -> None:
    """Tuned in one process, mined in another, retrained in a third: the cache answers for the model that it knows.

    The engine learns the same from the same, so a second training asks nothing anew; other rows make another model.
    """
    pins = {"tone": "short", "place": "last"}
    path = written(tmp_path, baseline=pins, space=pins, tune={"trainer": "openai", "sizes": [12]})
    said = here("tune", path)
    (line,) = [each for each in said.splitlines() if each.startswith("  promptlab mine")]
    words = shlex.split(line)[1:]
    assert words == ["mine", str(path), "--set", f"models=[small, {NAME}]"]
    told = promptlab(tmp_path, *words)
    [run] = [each.parent for each in tmp_path.glob("runs/*/results.csv")]
    with (run / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    assert rows[NAME]["method"] == "fine-tuning"
    assert rows[NAME]["error"] == "0"
    assert "Traceback" not in told
    calls, new = asked(run)
    assert calls == new > 20
    here("tune", path, "--fresh")
    here(*words)
    assert [each.parent for each in tmp_path.glob("runs/*/results.csv")] == [run], "the same model, the same run"
    here("tune", path, "--set", "tune.epochs=4")
    here(*words)
    [later] = [each.parent for each in tmp_path.glob("runs/*/results.csv") if each.parent != run]
    assert asked(later)[0] == calls
    assert asked(later)[1] == calls // 2, "what the tuned model said before is not what this one says"
    table(tmp_path).unlink()
    assert load_run(run).rows, "a run knows its models by itself"
    tuned = rows[NAME]["variant"]
    assert NAME in here("compare", run, later)
    here("report", run)
    for kind in ("python", "messages", "promptfoo"):
        here("export", run, "--to", kind, "--variant", tuned, "--out", tmp_path / kind)
    code = "".join(each.read_text(encoding="utf-8") for each in (tmp_path / "python").rglob("*") if each.is_file())
    assert "ft:small:promptlab::" in code


def test_a_model_that_is_named_before_it_is_trained_can_be_trained(tmp_path: Path) -> None:
    """`models` names it, and only `promptlab tune` makes it: tune passes over what is not there yet, mine does not."""
    path = written(tmp_path, models=["small", NAME], tune={"trainer": "openai", "sizes": [12]})
    before = CliRunner().invoke(app, ["mine", str(path)])
    assert before.exit_code == 2
    assert "promptlab tune" in before.output
    here("tune", path)
    assert [model.name for model in opened(path).experiment.models] == ["small", NAME]


def test_rows_that_come_later_move_no_training_row_into_test(tmp_path: Path) -> None:
    """Tuning remembers the splits as mining does: what was learned stays in train."""
    path = written(tmp_path, tune={"trainer": "openai", "sizes": [12]})
    here("tune", path)
    learned = {each.id for each in opened(path).rows.train}
    data = path.parent / "data.jsonl"
    lines = data.read_text(encoding="utf-8").splitlines()
    new = [json.dumps({**json.loads(line), "id": f"new{at}", "message": f"quite another one, number {at}{at}"})
           for at, line in enumerate(lines[:60])]  # fmt: skip
    data.write_text("\n".join([*new, *lines]) + "\n", encoding="utf-8")
    later = opened(path, [f"models=[small, {NAME}]"])
    assert learned <= {each.id for each in later.rows.train}
    assert later.skewed == []


def test_a_tuned_model_proposes_and_is_mined_in_this_process_too(tmp_path: Path) -> None:
    path = written(tmp_path)
    tune(opened(path), OPENAI)
    SHELF.clear()
    ready = opened(
        path, [f"models=[small, {NAME}]", "space={tone: [short], place: [first]}", f"search.meta={{id: {NAME}}}"]
    )
    assert ready.experiment.meta == ready.task.models[NAME]
    done = mine(ready)
    assert {row["model"]: row["error"] for row in done.rows} == {"small": 0, NAME: 0}


def test_what_is_printed_of_training_is_states_and_the_last_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, tune={"trainer": "openai", "sizes": [12], "price": {"train": 3.0}})
    said = CliRunner().invoke(app, ["tune", str(path)])
    assert said.exit_code == 0, said.output
    own = [line.removeprefix(f"{NAME}: ") for line in said.output.splitlines() if line.startswith(NAME)]
    assert own[0].startswith("12 rows, ")
    assert own[-1].startswith("ft:small:promptlab::")
    assert len(own) == 2, "what is over in a second is told once"
    again = CliRunner().invoke(app, ["tune", str(path)]).output
    assert "trained before)" in again
    assert "queued" not in again
    none = CliRunner().invoke(app, ["tune", str(path), "--set", "tune.trainer=none"]).output
    assert "succeeded" not in none
    assert f"{NAME}: files written to " in none
    assert "Use it" not in none


def test_a_long_training_says_how_far_it_is_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(shown.time, "monotonic", lambda: now[0])
    out = Console(record=True, width=140, force_terminal=False)
    seen = Training(out, {"t": "1 row, $0.04"})
    for name in "uv":
        seen(name, "no row is left")
        seen(name, "queued")
    assert out.export_text().splitlines() == ["u: no row is left", "u: queued", "v: queued"]
    for line in ("process 7 goes on", "queued", "running"):
        seen("t", line)
    for step in range(60):
        now[0] += 1.25
        seen("t", f"step {step}\x1b[31m of 60")
    seen("t", "succeeded")
    lines = out.export_text().splitlines()
    assert lines[:3] == ["t: process 7 goes on", "t: queued", "t: running · 1 row, $0.04 · process 7 goes on"]
    assert "t: running, 10 s · 1 row, $0.04 · step 7" in lines[3]
    assert "\x1b" not in "".join(lines)
    assert lines[-1] == "t: succeeded after 1 min 15 s"
    assert len(lines) < 13


def test_the_command_to_use_a_model_keeps_the_other_models_as_they_are_written(tmp_path: Path) -> None:
    mapping = {"id": "big", "price": {"input": 1, "output": 2}}
    path = written(tmp_path, models=["small", mapping, "no"])
    models = tune(opened(path), replace(OPENAI, seeds=(1, 2), sizes=(12, 20)))
    _, first, second = use(path, ["models.0=small", "tune.trainer=openai"], models)
    narrow = Console(record=True, width=40, force_terminal=True)
    say(narrow, first)
    assert narrow.export_text() == f"{first}\n", "it is pasted as one line"
    *_, sets = shlex.split(first)
    assert sets == f'models=[small, {json.dumps(mapping)}, "no", tuned-small-s1-n20]'
    assert "models.0" not in first, "the list says it"
    assert shlex.split(first)[-3] == "tune.trainer=openai"
    assert shlex.split(second)[-2:] == ["--set", "tune.trainer=openai"]
    assert [each.name for each in Experiment.load(path, [sets]).models] == ["small", "big", "no", "tuned-small-s1-n20"]
    assert list(use(path, (), ())) == []
    rag = replace(models[0], arm="fine-tuned+rag", model=replace(models[0].model, name="tuned-small-rag-s1-n12"))
    assert "tuned-small-s1-n20, tuned-small-rag-s1-n12]" in list(use(path, (), [*models, rag]))[1], "one of each arm"


def test_the_engine_has_its_tuned_models_wherever_it_is_opened_in_a_project(tmp_path: Path) -> None:
    """Served to others, and examined by doctor."""
    import openai

    path = written(tmp_path)
    (made,) = tune(opened(path), OPENAI)
    SHELF.clear()
    said = here("doctor", path, "--set", f"models=[{NAME}]", "--model", NAME, "--json")
    assert json.loads(said)["models"][0]["model"] == made.model.id
    command = [sys.executable, "-m", "promptlab", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as served:
        try:
            url = str(served.stdout and served.stdout.readline()).split()[-1]
            with openai.OpenAI(base_url=url, api_key="x") as client:
                assert client.models.retrieve(made.model.id).id == made.model.id
        finally:
            served.terminate()


def test_the_command_that_shows_the_winner_says_what_the_run_was_called_with(tmp_path: Path) -> None:
    path = written(tmp_path)
    sets = ["--set", "space={tone: [short], place: [first, last]}", "--set", "models=[{id: small, name: mine}]"]
    told = here("mine", path, *sets)
    [line] = [each for each in told.splitlines() if each.startswith("Look: promptlab render")]
    words = shlex.split(line.partition(" · ")[0].removeprefix("Look: promptlab "))
    assert "model=mine" in here(*words)


def test_from_python_and_in_a_notebook_tuning_and_choosing_give_tables(tmp_path: Path) -> None:
    """Inside a running loop, as a notebook has one: the same models, the same choice as choice.csv says."""
    path = written(tmp_path, tune={"trainer": "openai", "sizes": [12]}, choose={"arms": ["prompt", "fine-tuned"]})

    async def cell() -> tuple[pd.DataFrame, Chosen]:
        experiment = Api.load(path)
        return experiment.tune(), experiment.choose()

    made, chosen = asyncio.run(cell())
    assert list(made["name"]) == [NAME]
    left = pd.read_csv(path.parent / "choice.csv")
    assert list(chosen.table["arm"]) == list(left["arm"]) == ["prompt", "fine-tuned"]
    assert list(chosen.table.columns) == list(left.columns)
    assert chosen.name in (None, "prompt", "fine-tuned")
    assert chosen.decided == ("chosen" in set(left["verdict"]))
    assert chosen.sentences[0].startswith("Choice: " if chosen.decided else "Not decided")
    assert str(chosen).splitlines() == chosen.sentences
    assert EMBEDDED in chosen.sentences, "its scores prove no prompt"
    assert EMBEDDED.partition(":")[2].strip()[:40] in (path.parent / "choice.html").read_text(encoding="utf-8")


def test_an_endpoint_s_list_says_until_when_a_model_is_served(tmp_path: Path) -> None:
    """Nobody asked doctor: `choose` looks the day up itself, and an endpoint that lists nothing says nothing."""
    card = {"id": "m", "object": "model", "shutdown_date": "2031-05-06"}
    with FaultServer() as server:
        server.models = raw(json.dumps({"object": "list", "data": [card]}))
        assert cards.asked([Endpoint(server.url), Endpoint(server.url), Endpoint("embedded@1")])["m"] == card
        assert sum(each.path.endswith("/models") for each in server.seen) == 1
        server.models = raw("<html>")
        assert cards.asked([Endpoint(server.url)]) == {}
    assert cards.asked([Endpoint(server.url)]) == {}, "nobody answers any more"


def test_a_row_is_stamped_with_who_answered_it_and_an_export_says_whom_it_asks(tmp_path: Path) -> None:
    """The engine beside a server: each row of results.csv has its own stamp."""
    with FaultServer() as server:
        server.default = lambda body: ok("billing")
        there = {"id": "served-model", "name": "mine", "base_url": server.url, "recipe": "v1"}
        path = written(tmp_path, models=["small", there], space={"tone": "short", "place": "last"})
        run = mine(opened(path))
    stamps = dict(zip(run.results["model"], run.results["engine"], strict=True))
    assert stamps == {"small": "embedded", "mine": server.url.split("/")[2]}
    tuned = run.results.loc[run.results["model"] == "mine", "variant"].iloc[0]
    assert f"mine is asked as served-model at {server.url}" in told(exported(run, tuned))[-2]
