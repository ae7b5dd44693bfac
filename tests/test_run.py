"""A run from the outside: what it leaves, what the log alone gives back, what is counted, what is refused."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, Reply, error, ok
from project import project
from small_project import VARYING, answer, tables, write

from promptlab.errors import BadInput, EndpointUnusable, Interrupted, PromptlabError
from promptlab.experiment import Experiment
from promptlab.finished import Run
from promptlab.prepare import prepare
from promptlab.records import Prediction
from promptlab.run import load_run, mine, rebuild
from promptlab.session import Unwatched
from promptlab.view import Plan, View

OWN = """\
from scales import scale


async def kind(example, completion):
    return scale(len(completion.text))
"""


@pytest.fixture(scope="module")
def one_server() -> Iterator[FaultServer]:
    with FaultServer() as served:
        yield served


@pytest.fixture
def server(one_server: FaultServer) -> FaultServer:
    one_server.default = quick
    one_server.seen.clear()
    return one_server


def quick(body: Any) -> Reply:
    reply = answer(body)
    return Reply(reply.status, reply.body)


ONE_FILE = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id"}


def small(folder: Path, server: FaultServer, **changes: Any) -> Path:
    """A run of some 100 calls."""
    return write(folder, server.url, concurrency=16, **{"budget": "{calls: 150}"} | changes)


def start(path: Path, *overrides: str, **options: Any) -> Run:
    fresh = options.pop("fresh", False)
    return mine(prepare(Experiment.load(path, overrides), **options), fresh=fresh)


def whole(run: Run) -> tuple[str, str]:
    return tuple((run.folder / name).read_text() for name in ("results.csv", "predictions.csv"))  # type: ignore[return-value]


def test_a_completed_run_asked_for_again_gives_the_same_tables_for_no_calls(
    server: FaultServer, tmp_path: Path
) -> None:
    path = small(tmp_path, server)
    first = start(path)
    before, sent = whole(first), len(server.posts)
    assert 90 < sent <= 150
    for name in ("results.csv", "predictions.csv"):
        (first.folder / name).unlink()
    again = start(path)
    assert whole(again) == before
    assert len(server.posts) == sent
    assert again.test_reads == 1
    assert (tmp_path / "results.csv").read_text() == before[0]
    assert [each.name for each in (tmp_path / "runs").iterdir()] == [first.id]


def test_a_changed_experiment_is_a_new_run_whose_known_calls_are_free_and_reads_test_again(
    server: FaultServer, tmp_path: Path
) -> None:
    path = small(tmp_path, server)
    first = start(path)
    sent = len(server.posts)
    second = start(path, "search.budget.calls=160")
    assert second.id != first.id
    assert second.test_reads == 2
    assert len(server.posts) - sent < 60
    counts = {each.content for each in server.posts}
    assert len(counts) == len(server.posts)  # nothing was paid for twice
    assert start(path).test_reads == 1, "what it read was read before the others"


def test_fresh_asks_everything_anew_in_a_run_of_its_own(server: FaultServer, tmp_path: Path) -> None:
    path = small(tmp_path, server)
    first = start(path)
    sent = len(server.posts)
    fresh = start(path, fresh=True)
    assert (fresh.id, len(server.posts)) == (f"{first.id}-2", 2 * sent)
    told = [name for name in first.results if name not in (*VARYING, "run", "p_adjusted")]
    assert fresh.results[told].equals(first.results[told])
    assert fresh.test_reads == 2, "the test rows were asked again: what they say costs more to believe"
    assert start(path, fresh=True).id == f"{first.id}-3"


def test_a_run_is_read_back_from_its_log_alone_whatever_became_of_its_files(
    server: FaultServer, tmp_path: Path
) -> None:
    path = small(tmp_path / "here", server)
    run = start(path, "seed=6")
    before, sent = whole(run), len(server.posts)
    kept = tmp_path / "kept" / "elsewhere"
    kept.mkdir(parents=True)
    shutil.copy(run.folder / "run.sqlite", kept)
    shutil.rmtree(tmp_path / "here")
    loaded = load_run(kept)
    assert loaded.rows == run.rows
    assert loaded.id == run.id
    assert loaded.results.equals(run.results)
    assert loaded.predictions.equals(run.predictions)
    assert loaded.winner.messages(message="x") == run.winner.messages(message="x")
    assert loaded.test_reads == 1
    rebuild(kept)
    assert whole(loaded) == before
    assert len(server.posts) == sent


def test_edited_files_change_nothing_about_a_finished_run(server: FaultServer, tmp_path: Path) -> None:
    run = start(small(tmp_path, server))
    before = whole(run)
    for name in ("templates/colour.j2", "rows.csv", "bank.jsonl", "splits.csv", "experiment.yaml"):
        (tmp_path / name).write_text("something else\n")
        rebuild(run.folder)
        assert whole(run) == before


@pytest.mark.parametrize("place", ["beside the experiment", "in the current directory"])
def test_a_users_own_metric_is_kept_with_the_modules_it_imports(
    server: FaultServer, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metric is an async function of a package that imports a module beside the package."""
    home = tmp_path / "project"
    path = small(home / "experiments", server, metrics="{main: exact, kind: own_code.judging:kind}")
    code = home / "experiments" if place.startswith("beside") else home
    (code / "own_code").mkdir()
    (code / "own_code" / "__init__.py").write_text("")
    (code / "own_code" / "judging.py").write_text(OWN)
    (code / "scales.py").write_text("def scale(length):\n    return length / 10\n")
    monkeypatch.chdir(home)
    run = start(path)
    assert {row["dev.kind"] for row in run.rows if "dev.kind" in row} != {0.0}
    before = whole(run)
    (code / "scales.py").write_text("def scale(length):\n    raise ValueError('changed since')\n")
    shutil.rmtree(code / "own_code")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("own_code", "scales")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.chdir(tmp_path)
    rebuild(run.folder)
    assert whole(run) == before


def test_a_metric_that_fails_is_bad_input_keeps_every_answer_and_resumes_once_mended(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small(tmp_path, server, metrics="{main: exact, own: mended_later:own}")
    (tmp_path / "mended_later.py").write_text(
        "def own(example, completion):\n    return 1 / (len(completion.text) - 3)\n"
    )
    with pytest.raises(BadInput, match=r"the metric `own` failed on row m.* ZeroDivisionError"):
        start(path)
    sent = len(server.posts)
    assert 1 <= sent < 60
    (tmp_path / "mended_later.py").write_text("def own(example, completion):\n    return len(completion.text) / 9\n")
    monkeypatch.delitem(sys.modules, "mended_later")  # the command would be a new process
    start(path)
    assert len({each.content for each in server.posts}) == len(server.posts)


def test_a_run_that_is_not_complete_says_so_when_it_is_read_back(server: FaultServer, tmp_path: Path) -> None:
    server.default = lambda body: quick(body) if len(server.posts) < 60 else error(500)
    with pytest.raises(EndpointUnusable):
        start(small(tmp_path, server, max_retries=0))
    [folder] = (tmp_path / "runs").iterdir()
    with pytest.raises(PromptlabError, match=r"not complete|calls failed") as caught:
        load_run(folder)
    assert caught.value.exit_code == 3
    with pytest.raises(BadInput, match="there is no run here"):
        load_run(tmp_path)


def test_a_signal_at_the_very_end_of_the_search_leaves_test_unread(server: FaultServer, tmp_path: Path) -> None:
    class Late(Unwatched):
        def closed(self, view: View, plan: Plan, rows: Sequence[Prediction]) -> None:
            if view.asked[0].all():  # the last rung
                os.kill(os.getpid(), signal.SIGTERM)

    path = small(tmp_path, server, budget="{calls: 330}")
    with pytest.raises(Interrupted, match="SIGTERM") as caught:
        mine(prepare(Experiment.load(path)), Late())
    assert caught.value.exit_code == 143
    assert not (tmp_path / ".promptlab" / "test_reads.json").exists()
    assert start(path).test_reads == 1


def test_a_few_errors_are_missing_never_wrong_and_are_read_back_as_they_were(
    server: FaultServer, tmp_path: Path
) -> None:
    """Five rows of a hundred fail for good; the round may close, and their scores are empty in every table."""
    poisoned = ["m1", "m7", "m12", "m30"]
    with (small(tmp_path, server, endpoint=", max_errors: 0.5").parent / "rows.csv").open() as file:
        texts = {row["message"] for row in csv.DictReader(file) if row["id"] in poisoned}
    server.default = lambda body: error(500) if body["messages"][-1]["content"] in texts else quick(body)
    run = start(tmp_path / "experiment.yaml")
    rows = [row for row in run.predictions.to_dict("records") if row["example"] in poisoned]
    assert rows
    assert {row["status"] for row in rows} == {"error"}
    assert all(row["score"] != row["score"] for row in rows)
    for row in run.rows:
        asked = [p for p in run.findings.search.predictions if p.variant == row["variant"]]
        assert row["dev_n"] == sum(p.status != "error" for p in asked)
        good = [p.score for p in asked if p.status != "error"]
        assert row["dev_score"] == pytest.approx(sum(good) / len(good), rel=1e-5)
    before = whole(run)
    server.seen.clear()
    rebuild(run.folder)
    assert whole(run) == before
    assert server.posts == []
    server.default = quick
    again = start(tmp_path / "experiment.yaml")  # what was missing is asked again
    assert {row["status"] for row in again.predictions.to_dict("records")} <= {"ok", "invalid"}


def test_limit_and_no_test_do_what_they_say(server: FaultServer, tmp_path: Path) -> None:
    path = small(tmp_path, server)
    limited = start(path, limit=8)
    found = limited.predictions
    assert {name: part["example"].nunique() for name, part in found.groupby("split")} == {"dev": 8, "test": 8}
    untested = start(path, test=False)
    assert set(untested.predictions["split"]) == {"dev"}
    assert untested.results["test_n"].isna().all()
    assert "winner" not in set(untested.results["status"])
    assert untested.test_reads == 0
    assert len({limited.id, untested.id, start(path).id}) == 3


@pytest.mark.parametrize("budget", ["{calls: 90}", "{tokens: 40000}", "{usd: 0.05}"])
def test_a_budget_below_the_reserve_for_test_is_refused_before_anything_is_sent(
    server: FaultServer, tmp_path: Path, budget: str
) -> None:
    """The prompts with demos are longer than the baseline's: only with them does the reserve pass the cap."""
    with pytest.raises(BadInput, match=r"experiment\.yaml:\d+: the budget cannot pay for the test: 3 finalists"):
        start(small(tmp_path, server, budget=budget))
    assert server.posts == []


@pytest.mark.parametrize(
    ("budget", "allocate"),
    [
        ("{calls: 104}", "full"),
        ("{tokens: 47000}", "halving"),
        ("{usd: 0.077}", "full"),
        ("{calls: 140, usd: 0.079}", "halving"),
    ],
)
def test_whatever_the_budget_test_is_scored_in_full_and_the_cap_holds(
    server: FaultServer, tmp_path: Path, budget: str, allocate: str
) -> None:
    run = start(small(tmp_path, server, budget=budget, allocate=allocate))
    assert {row["test_n"] for row in run.rows if row.get("test_n")} == {24}
    calls = {call.key: call for p in (*run.findings.search.predictions, *run.findings.test) for call in p.calls}
    cap = run.prepared.experiment.search.budget
    usages = [call.completion.usage for call in calls.values() if call.completion]
    assert len(calls) <= (cap.calls or 1e9)
    assert sum(usage.tokens_in + usage.tokens_out for usage in usages) <= (cap.tokens or 1e9)
    assert sum(call.usd for call in calls.values()) <= (cap.usd or 1e9)
    assert len(server.posts) == len(calls)


def test_a_cap_on_tokens_needs_max_tokens(server: FaultServer, tmp_path: Path) -> None:
    path = small(tmp_path, server, budget="{tokens: 90000}")
    path.write_text(path.read_text().replace(", max_tokens: 12", ""))
    with pytest.raises(BadInput, match="max_tokens"):
        start(path)
    assert server.posts == []


def test_an_endpoint_that_breaks_the_bound_ends_the_run_before_half_a_test_is_reported(
    server: FaultServer, tmp_path: Path
) -> None:
    """It counts ten times the tokens that it could have read."""

    def greedy(body: Any) -> Reply:
        reply = json.loads(quick(body).body)
        reply["usage"] = {"prompt_tokens": 9000, "completion_tokens": 1}
        return Reply(body=json.dumps(reply).encode())

    server.default = greedy
    with pytest.raises(PromptlabError, match=r"budget was spent before test was complete|really spent") as caught:
        start(small(tmp_path, server, budget="{tokens: 60000}"))
    assert caught.value.exit_code == 4
    assert not (tmp_path / "results.csv").exists()


def test_the_log_traces_rounds_and_who_asked_what(server: FaultServer, tmp_path: Path) -> None:
    run = start(small(tmp_path, server))
    db = sqlite3.connect(run.folder / "run.sqlite")
    rounds = [json.loads(text) for (text,) in db.execute("select summary from rounds order by round")]
    asks = set(db.execute("select phase, variant, example, repeat, step, key from asks"))
    keys = {key for (key,) in db.execute("select key from calls")}
    db.close()
    assert [each["phase"] for each in rounds] == ["search"] * (len(rounds) - 1) + ["final"]
    predictions = (*run.findings.search.predictions, *run.findings.test)
    assert asks == {(p.phase, p.variant, p.example, p.repeat, 0, p.calls[0].key) for p in predictions}
    assert {each[-1] for each in asks} == keys


def test_a_notebook_may_mine_inside_its_running_loop(server: FaultServer, tmp_path: Path) -> None:
    path = small(tmp_path, server)

    async def cell() -> Run:
        return start(path)

    run = asyncio.run(cell())
    assert len(run.results) > 1

    async def another() -> Run:
        return load_run(run.folder)

    assert asyncio.run(another()).rows == run.rows


def test_a_notebooks_stop_button_stops_the_run_and_lets_go_of_its_folder(server: FaultServer, tmp_path: Path) -> None:
    path = small(tmp_path, server)
    code = f"""
import asyncio, threading
from promptlab.experiment import Experiment
from promptlab.prepare import prepare
from promptlab.run import mine

async def cell():
    mine(prepare(Experiment.load({str(path)!r})))

loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(cell())
except KeyboardInterrupt:
    print("stopped", [t.name for t in threading.enumerate() if t.name.startswith("ThreadPool")])
"""
    server.default = lambda body: Reply(body=quick(body).body, delay=60)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not server.posts:
        assert child.poll() is None, child.communicate()
        time.sleep(0.05)
    started = time.monotonic()
    child.send_signal(signal.SIGINT)
    said, complaint = child.communicate(timeout=30)
    assert (said, child.returncode) == ("stopped []\n", 0), complaint
    assert time.monotonic() - started < 15
    server.default = quick
    start(path)


def test_two_experiments_mine_at_once_over_one_cache(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / ".promptlab").mkdir()
    paths = [small(tmp_path / name, server, budget=f"{{calls: {n}}}") for name, n in (("a", 150), ("b", 155))]
    runs: list[Run] = []
    threads = [threading.Thread(target=lambda p=path: runs.append(start(p))) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 2
    assert len(server.posts) <= 150 + 155
    server.seen.clear()
    shutil.rmtree(tmp_path / "b" / "runs")
    start(paths[1])
    assert server.posts == []  # what either asked is in the one cache


def test_a_run_folder_that_cannot_be_written_is_bad_input(server: FaultServer, tmp_path: Path) -> None:
    path = small(tmp_path, server)
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(BadInput, match="cannot write here"):
        start(path)
    assert server.posts == []


def test_the_tables_are_the_same_whatever_the_order_of_arrival(server: FaultServer, tmp_path: Path) -> None:
    found = []
    for place in range(2):
        server.default = answer if place else quick
        path = small(tmp_path / str(place), server, budget="{usd: 0.077}", endpoint=f", timeout: {60 + place}")
        start(path)
        found.append(tables(path))
    assert found[0] == found[1]


def test_a_space_of_one_point_is_scored(tmp_path: Path) -> None:
    """Round 0 finds nothing beside the baseline, and that is no reason to stop."""
    pins = {"tone": ["short"], "place": ["first"]}
    path = project(tmp_path, rows=20, space=pins, data={**ONE_FILE, "split": "all"})
    [row] = start(path).rows
    assert (row["status"], row["dev_n"]) == ("baseline", 20)


def test_repeats_are_paid_for_by_the_ladder(tmp_path: Path) -> None:
    """Calls left are divided by the repeats, so that halving ends with finalists that were scored alike."""
    search = {"propose": ["grid"], "allocate": "halving", "repeats": 2, "budget": {"calls": 400}, "finalists": 2}
    run = start(project(tmp_path, search=search))
    assert len(run.findings.choice.finalists) == 2
    assert all(row["test_n"] == 30 for row in run.rows if row["status"] in ("winner", "tied", "baseline"))


def test_a_budget_that_ends_in_mid_round_leaves_finalists(tmp_path: Path) -> None:
    """The baseline comes first in every block; the rows that all live variants have are what counts."""
    search = {"propose": ["grid"], "allocate": "full", "budget": {"calls": 200}, "finalists": 2}
    run = start(project(tmp_path, search=search))
    depths = {row["dev_n"] for row in run.rows}
    assert len(depths) > 1, "the budget ended in mid-round"
    assert len(run.findings.choice.finalists) == 2


def test_known_answers_cost_what_they_cost_today(server: FaultServer, tmp_path: Path) -> None:
    """A changed price is a new run whose answers are known, and its table is at the new price."""
    path = small(tmp_path, server)
    cheap = start(path, "models=[{id: tiny, price: {input: 1, output: 1}}]")
    dear = start(path, "models=[{id: tiny, price: {input: 100, output: 100}}]")
    assert cheap.id != dear.id
    by = {row["variant"]: row["usd_per_1k"] for row in cheap.rows}
    assert all(row["usd_per_1k"] == pytest.approx(100 * by[row["variant"]], rel=1e-4) for row in dear.rows)
    assert not sum(row["usd"] for row in dear.rows), "nothing was spent on what was known"


def test_only_a_whole_run_becomes_the_table_of_the_experiment(tmp_path: Path) -> None:
    path = project(tmp_path, rows=20)
    whole_run = start(path)
    before = (tmp_path / "results.csv").read_bytes()
    for options in ({"limit": 3}, {"test": False}):
        reduced = start(path, **options)
        assert (reduced.folder / "results.csv").is_file()
        assert reduced.id != whole_run.id
    assert (tmp_path / "results.csv").read_bytes() == before


def test_the_embedded_engine_is_stamped_however_it_is_reached(tmp_path: Path) -> None:
    from promptlab.embedded.server import Server

    with Server() as served:
        run = start(project(tmp_path, rows=12, endpoint={"base_url": served.base_url}))
    assert {"embedded"} < set(run.rows[0]["engine"].split()), "the host, and what it really is"


def test_the_stamp_does_not_hang_on_the_first_answer(server: FaultServer, tmp_path: Path) -> None:
    """The first call of the plan fails; the others tell who answers."""
    endpoint = {"base_url": server.url, "max_retries": 0, "max_errors": 0.5, "concurrency": 1}
    path = project(tmp_path, rows=12, endpoint=endpoint)
    prepared = prepare(Experiment.load(path), test=False)
    first = prepared.task.prompt(prepared.baseline).messages(prepared.rows.dev[0])[-1].content

    def reply(body: Any) -> Reply:
        asked = [each["content"] for each in body["messages"]]
        return error(500) if asked[-1] == first else ok("billing", system_fingerprint="embedded@1")

    server.default = reply
    run = mine(prepared)
    assert run.findings.search.predictions[0].status == "error"
    assert "embedded" in run.rows[0]["engine"].split()


def test_a_run_shows_itself_in_a_line(tmp_path: Path) -> None:
    assert len(repr(start(project(tmp_path, rows=12)))) < 200
