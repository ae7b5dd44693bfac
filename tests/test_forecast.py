"""The plan: what it says a run would ask is what the run asks, and what it says it could tell."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from project import project
from typer.testing import CliRunner

from promptlab.api import Experiment
from promptlab.cli import app
from promptlab.cli.show import dollars, plan_lines
from promptlab.finished import Run
from promptlab.forecast import forecast
from promptlab.prepare import opened, prepare
from promptlab.stats.power import smallest_difference

FULL = {"propose": ["grid"], "allocate": "full", "budget": {"calls": 2000}, "finalists": 3}
HALVING = {**FULL, "allocate": "halving", "finalists": 2}


def asked(run: Run) -> tuple[int, int]:
    """Requests of the search and of the test."""
    found = run.findings
    return len(found.search.predictions), len(found.test)


@pytest.mark.parametrize(
    "search",
    [
        FULL,
        HALVING,
        {**FULL, "propose": ["random"]},
        {**FULL, "propose": ["random", "grid"]},
        {**HALVING, "budget": {"calls": 220}},
        {**FULL, "budget": {"calls": 150}, "finalists": 1},
        {**FULL, "finalists": 5},
    ],
    ids=["full", "halving", "random", "two proposers", "halving on a budget", "full past the budget", "seats for all"],
)
def test_the_plan_asks_what_the_run_asks(tmp_path: Path, search: dict[str, Any]) -> None:
    experiment = Experiment.load(project(tmp_path, search=search))
    plan = experiment.plan()
    run = experiment.mine()
    searched, tested = asked(run)
    assert (plan.search_calls, plan.variants) == (searched, len(run.results))
    assert plan.test_calls >= tested
    if run.findings.choice.finalists and len(run.findings.choice.finalists) == min(
        search["finalists"], plan.variants - 1
    ):
        assert plan.test_calls == tested
    if searched + tested < search["budget"]["calls"]:
        assert plan.rounds == run.findings.search.view.round
    assert searched + tested <= search["budget"]["calls"]
    assert (plan.dev_rows, plan.test_rows) == (30, 30)


@pytest.mark.parametrize("tones", [["short"], ["long"]], ids=["the baseline alone", "one beside it"])
def test_a_space_of_one_point_is_planned_as_it_is_run(tmp_path: Path, tones: list[str]) -> None:
    """And no seat is kept for finalists that there cannot be: the budget pays for what is there, exactly."""
    space = {"tone": tones, "place": ["first"]}
    calls = 60 if tones == ["short"] else 120
    search = {**FULL, "finalists": 2, "budget": {"calls": calls}}
    path = project(tmp_path, space=space, search=search, baseline={"tone": "short", "place": "first"})
    experiment = Experiment.load(path)
    plan, run = experiment.plan(), experiment.mine()
    assert (plan.search_calls, plan.test_calls) == asked(run)
    assert sum(asked(run)) == run.findings.calls == calls


def test_without_test_rows_no_test_call_is_planned(tmp_path: Path) -> None:
    prepared = prepare(Experiment.load(project(tmp_path)).parsed, test=False)
    plan = forecast(prepared)
    assert (plan.test_calls, plan.test_rows) == (0, 0)
    assert plan.resolves == {share: smallest_difference(30, share) for share in (0.1, 0.2, 0.3)}


def test_dollars_are_tokens_in_and_full_answers_at_list_price(tmp_path: Path) -> None:
    model = {"id": "m", "price": {"input": 3.0, "output": 15.0}}
    path = project(tmp_path, models=[model], endpoint={"base_url": "http://127.0.0.1:9/v1"})
    plan = Experiment.load(path).plan()
    calls = plan.search_calls + plan.test_calls
    assert plan.tokens_out == 16
    assert plan.usd == pytest.approx(calls * (plan.tokens_in * 3.0 + 16 * 15.0) / 1e6)
    [line] = [each for each in CliRunner().invoke(app, ["plan", str(path)]).output.splitlines() if "calls (" in each]
    assert f"at most about {dollars(plan.usd or 0)}" in line


def test_no_dollars_are_shown_where_nothing_has_a_price(tmp_path: Path) -> None:
    free = project(tmp_path / "a")
    unpriced = project(tmp_path / "b", endpoint={"base_url": "http://127.0.0.1:9/v1"})
    for path in (free, unpriced):
        assert "$" not in CliRunner().invoke(app, ["plan", str(path)]).output
    assert Experiment.load(unpriced).plan().usd is None


@pytest.mark.parametrize(("value", "text"), [(1234.5, "$1,234.50"), (0.01, "$0.01"), (0.00123, "$0.0012")])
def test_small_amounts_are_not_rounded_to_nothing(value: float, text: str) -> None:
    assert dollars(value) == text


def test_the_smallest_difference_is_said_before_anything_is_spent(tmp_path: Path) -> None:
    experiment = Experiment.load(project(tmp_path))
    prepared = prepare(experiment.parsed)
    lines = plan_lines(prepared, forecast(prepared))
    gap = smallest_difference(30, 0.3)
    assert gap is not None
    assert f"{100 * gap:.1f} points if 30% of answers differ" in "\n".join(lines)
    assert "$" not in " ".join(lines)
    few = prepare(Experiment.load(project(tmp_path / "few", rows=8)).parsed)
    assert "4 rows cannot resolve any difference: add rows" in plan_lines(few, forecast(few))


def test_a_search_that_never_ends_by_itself_is_planned_all_the_same(tmp_path: Path) -> None:
    """An allocator that wants variants for ever gets no more than the space holds."""
    path = project(tmp_path, search={**FULL, "allocate": "greedy:more"})
    (tmp_path / "greedy.py").write_text(
        "from promptlab.view import Plan, block\n"
        "def more(view, rng):\n"
        "    return Plan(block({v: range(9) for v in range(len(view.variants))}, view.asked), (), 2)\n",
        encoding="utf-8",
    )
    plan = Experiment.load(path).plan()
    assert plan.variants == 6
    assert plan.search_calls == 54
    assert math.isfinite(plan.tokens_in)


def test_the_plan_refuses_what_the_run_would_refuse(tmp_path: Path) -> None:
    """A budget that cannot pay for the test is said before anything is asked, and leaves no folder behind."""
    path = project(tmp_path, search={**FULL, "budget": {"calls": 50}})
    for command in ("plan", "mine"):
        done = CliRunner().invoke(app, [command, str(path)])
        assert done.exit_code == 2
        assert "the budget cannot pay for the test: 3 finalists and the baseline on 30 test rows" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_points_that_are_not_tried_are_explained(tmp_path: Path) -> None:
    holes = {"exclude": [{"tone": "kind", "place": "last"}]}
    path = project(tmp_path, space=holes, search={**HALVING, "budget": {"calls": 120}})
    prepared = prepare(Experiment.load(path).parsed)
    plan = forecast(prepared)
    assert (plan.points, plan.holes) == (6, 1)
    assert "6 variants in the space (1 excluded)" in plan_lines(prepared, plan)[0]


def test_the_plan_says_what_a_prompt_cache_can_hold(tmp_path: Path) -> None:
    """Fixed text in front of the row's own is shared from row to row; fixed text behind it is not, and is noted."""
    rules = " ".join(f"Rule {n}: a message about a thing is of that thing's kind." for n in range(20))
    plans = []
    for name, source in (("front", f"{rules}\n{{{{ message }}}}"), ("behind", f"{{{{ message }}}}\n{rules}")):
        path = project(tmp_path / name, search=FULL)
        (path.parent / "t.j2").write_text(source)
        prepared = opened(path)
        expected = forecast(prepared)
        plans.append((expected, plan_lines(prepared, expected)))
    (front, told), (behind, noted) = plans
    assert front.tokens_shared > 0.8 * front.tokens_in
    assert front.tokens_behind < 0.05 * front.tokens_in
    assert behind.tokens_behind > 0.8 * behind.tokens_in
    assert not any("stand behind the row" in line for line in told)
    assert any("stand behind the row's own; in front of it" in line for line in noted)


def test_null_is_a_value_of_a_slot_like_any_other(tmp_path: Path) -> None:
    """It means: not sent. The values of other slots are compared at it, too."""
    prepared = opened(project(tmp_path, params={"temperature": [None, 0], "max_tokens": 16}))
    assert forecast(prepared).points == 2 * forecast(opened(project(tmp_path / "one"))).points


def test_the_plan_tells_how_many_of_its_calls_are_answered_already(tmp_path: Path) -> None:
    """Of a run that was interrupted, and of a complete one; nothing is said, or left behind, where there is none."""

    def told() -> list[str]:
        shown = CliRunner().invoke(app, ["plan", str(path)])
        assert shown.exit_code == 0, shown.output
        return [line for line in shown.output.splitlines() if "answered" in line]

    path = project(tmp_path, search=FULL)
    assert told() == []
    assert not (tmp_path / "runs").exists()
    run = Experiment.load(path).mine()
    asked_in_all = sum(asked(run))
    assert told() == [
        f"run {run.id} is complete: its {asked_in_all} calls are answered, the same command asks none again"
    ]
    (run.folder / "results.csv").unlink()
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as db, db:
        db.execute("delete from calls where rowid % 3 = 0")
        db.execute("update calls set error = 'HTTP 500' where rowid % 7 = 0")
        [(left,)] = db.execute("select count(*) from calls where error = ''")
    assert 0 < left < asked_in_all
    assert told() == [f"{left} of these calls are already answered: run {run.id} was interrupted, mine goes on with it"]
    (run.folder / "run.sqlite").write_bytes(b"no log")
    assert told() == []
