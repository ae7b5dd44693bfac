"""The design block: drawn points on the first rows, before the search and apart from it; counted, planned, resumed."""

from __future__ import annotations

import signal
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_server import FaultServer
from project import project
from search_world import World, outcome
from small_project import answer, repeated, running, tables, write

from promptlab.admit import Door
from promptlab.allocators import ALLOCATORS
from promptlab.api import Experiment
from promptlab.closing import joined
from promptlab.design import Design, drawn
from promptlab.errors import BadInput
from promptlab.importing import implementation
from promptlab.planner import Planner
from promptlab.prepare import opened
from promptlab.proposers import PROPOSERS
from promptlab.rewritten import Rewritten
from promptlab.run import mine as run_of
from promptlab.view import Plan, View

SEARCH: dict[str, Any] = {
    "propose": ["grid"],
    "budget": {"calls": 2000},
    "finalists": 2,
    "design": {"variants": 4, "rows": 7},
}


@pytest.mark.parametrize("allocate", ["full", "halving", "ranks", "race"])
def test_the_block_is_whole_comes_first_and_is_planned_and_paid_for(allocate: str, tmp_path: Path) -> None:
    experiment = Experiment.load(project(tmp_path, search={**SEARCH, "allocate": allocate}))
    plan = experiment.plan()
    run = experiment.mine()
    rows = run.predictions
    dev = rows[rows.split == "dev"]
    block = dev[dev.phase == "design"]
    design = run.prepared.design
    assert design is not None
    assert len(block) == design.calls == 28
    assert Counter(block.variant) == dict.fromkeys(design.ids, 7)
    assert set(block.example) == {each.id for each in run.prepared.rows.dev[:7]}
    assert (dev.phase[:28] == "design").all()
    assert (dev.phase[28:] == "search").all()
    assert not dev.duplicated(["variant", "example"]).any(), "no cell is asked again by the allocator"
    if allocate in ("full", "halving"):
        assert plan.search_calls == len(dev)
    assert plan.variants == len(run.results)
    assert set(rows[rows.split == "test"].phase) == {"final"}


def test_a_block_as_large_as_the_space_is_all_of_it_and_costs_a_full_search_nothing(tmp_path: Path) -> None:
    """Its answers are there when the allocator asks: the calls and the tables are those of a search without it."""
    whole = {**SEARCH, "allocate": "full", "design": {"variants": 6, "rows": 30}}
    plain = {key: value for key, value in whole.items() if key != "design"}
    found = [Experiment.load(project(tmp_path / name, search=said)) for name, said in (("a", whole), ("b", plain))]
    assert found[0].plan().search_calls == found[1].plan().search_calls
    one, other = [each.mine() for each in found]
    assert set(one.predictions.phase) == {"design", "final"}
    order = ["variant"]
    columns = ["variant", "dev_n", "dev_score", "test_score", "status", "p_adjusted", "calls"]
    assert (
        one.results.sort_values(order)[columns].reset_index(drop=True)
        .equals(other.results.sort_values(order)[columns].reset_index(drop=True))
    )  # fmt: skip


def test_points_are_drawn_uniformly_by_the_seed_and_the_baseline_is_one_like_others(tmp_path: Path) -> None:
    prepared = opened(project(tmp_path, search=SEARCH))
    drawing = [drawn(prepared.view(), (3, 2), np.random.default_rng(seed), prepared.door) for seed in range(60)]
    found = Counter(each for design in drawing for each in design.ids)
    assert all(len(design.ids) == 3 for design in drawing)
    assert len(found) == 6
    assert prepared.baseline.id in found
    assert not any(prepared.baseline in design.variants for design in drawing)
    assert min(found.values()) > 15, "30 each, on average"
    assert not any(isinstance(each, Rewritten) for each in prepared.start().variants[-1].slots.values())
    assert opened(project(tmp_path, search=SEARCH)).design == prepared.design
    assert opened(project(tmp_path, search=SEARCH, seed=8)).design != prepared.design


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"variants": 7}, "search.design.variants is 7, and the space has 6 points. Write 6 or less."),
        ({"rows": 31}, "search.design.rows is 31, and dev has 30 rows. Write 30 or less."),
        ({"variants": 0}, "search.design.variants must be"),
        ({"varaints": 3}, "unknown key `search.design.varaints`. Did you mean 'variants'?"),
        (12, "search.design must be a mapping"),
    ],
    ids=["variants", "rows", "zero", "unknown", "a number"],
)
def test_what_cannot_be_is_told_before_anything_is_spent(changes: Any, told: str, tmp_path: Path) -> None:
    design = {**SEARCH["design"], **changes} if isinstance(changes, dict) else changes
    path = project(tmp_path, search={**SEARCH, "design": design})
    with pytest.raises(BadInput) as caught:
        opened(path)
    assert told.replace("`", "") in str(caught.value).replace("`", "")
    assert "experiment.yaml" in str(caught.value)


def test_a_budget_that_cannot_pay_for_the_block_is_refused(tmp_path: Path) -> None:
    """The test calls are set aside first; the plan says so as the run does."""
    path = project(tmp_path, search={**SEARCH, "budget": {"calls": 110}})
    for command in (lambda: Experiment.load(path).plan(), lambda: run_of(opened(path))):
        with pytest.raises(BadInput, match="cannot pay for the design: 4 variants on 7 rows take 28 calls, and 90 of"):
            command()
    assert not list((path.parent).glob("runs/*/results.csv"))


def test_a_limit_shortens_the_block(tmp_path: Path) -> None:
    prepared = opened(project(tmp_path, search=SEARCH), limit=5)
    assert prepared.design is not None
    assert prepared.design.calls == 4 * 5


def test_an_allocator_does_not_see_the_block_until_it_asks_for_it(tmp_path: Path) -> None:
    """Its plans are those of a search without one; only cells that are there already are not asked again."""
    base = World(slots=(4, 5), rows=16, calls=500)
    start = base.view()
    points = [start.space.variant(start.space.point(k), "random") for k in (3, 8, 0)]
    design = Design(tuple(points[:2]), frozenset(each.id for each in points), tuple(e.id for e in start.dev[:6]))

    def counting(view: View, rng: np.random.Generator) -> Plan:
        seen.append((view.round, int(view.asked.sum())))
        depth = 3 * view.round
        cells = [(v, i) for v in range(len(view.variants)) for i in range(min(depth, 12)) if not view.asked[v, i]]
        return Plan(tuple(cells), (), 2 if view.round == 0 else 0)

    seen: list[tuple[int, int]] = []
    planner = Planner(counting, lambda _: np.random.default_rng(0), design)
    view = World(slots=(4, 5), rows=16).view()
    view = joined(view, design.variants)
    plan = planner.plan(view)
    assert sorted(plan.cells) == [(v, i) for v in range(3) for i in range(6)]
    asked = view.asked.copy()
    for cell in plan.cells:
        asked[cell] = True
    view = replace(view, asked=asked, scores=np.where(asked, 1.0, np.nan), round=1)
    assert planner.plan(view) == Plan((), (), 2)
    view = replace(view, round=2)
    plan = planner.plan(view)
    assert seen[0] == (0, 0)
    assert seen[1] == (1, 0)
    assert [each for each, _ in seen] == list(range(len(seen))), "what is known needs no round of its own"
    assert sorted(plan.cells) == [(v, i) for v in range(3) for i in range(6, 9)]


@pytest.mark.parametrize("name", list(ALLOCATORS))
def test_every_allocator_goes_on_from_a_block_within_the_calls_and_asks_no_cell_twice(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for calls in (60, 133, 400):
        made = World(slots=(4, 5), rows=20, calls=calls)
        start = made.view()
        points = [start.space.variant(start.space.point(k), "random") for k in (0, 3, 8, 13, 17)]
        design = Design(tuple(points[1:]), frozenset(each.id for each in points), tuple(e.id for e in start.dev[:6]))

        begun = joined(start, design.variants)
        monkeypatch.setattr(made, "view", partial(lambda each: each, begun))
        search = made.run(
            implementation("proposer", "random", PROPOSERS, tmp_path, {}),
            implementation("allocator", name, ALLOCATORS, tmp_path, {}),
            design=design,
        )
        cells = [(row.variant, row.example) for row in search.predictions]
        assert len(cells) == len(set(cells)) == search.view.asked.sum() <= calls
        assert len(search.view.variants) > 5, "it looked for more"
        assert outcome(search)


# Killed --------------------------------------------------------------------------------------------------------------


def test_a_run_that_is_killed_in_its_block_or_after_it_ends_with_the_same_tables(tmp_path: Path) -> None:
    found = []
    with FaultServer() as server:
        server.default = answer
        for concurrency, moments in ((1, ()), (16, (20, 110))):
            server.seen.clear()
            experiment = write(tmp_path / str(concurrency), server.url, concurrency=concurrency, rows=40)
            text = experiment.read_text()
            experiment.write_text(text.replace("finalists: 3", "finalists: 3\n  design: {variants: 8, rows: 9}"))
            for moment in moments:
                with running("mine", experiment, "--yes") as process:
                    while len(server.posts) < moment and process.process.is_alive():
                        time.sleep(0.001)
                    process.send(signal.SIGKILL)
                    assert process.wait() == 128 + signal.SIGKILL
            run_of(opened(experiment))
            assert repeated(server) <= concurrency * len(moments)
            found.append(tables(experiment))
    assert found[0] == found[1]
    assert found[0]["predictions.csv"].count("\x1fdesign\x1f") == 72


def test_the_door_of_a_block_is_the_door_of_all(tmp_path: Path) -> None:
    """Points that send the same as another are not in it twice."""
    prepared = opened(project(tmp_path, search={**SEARCH, "design": {"variants": 6, "rows": 2}}))
    assert isinstance(prepared.door, Door)
    assert prepared.design is not None
    assert len({prepared.door.sent(each, 5) for each in prepared.start().variants}) == len(prepared.start().variants)
