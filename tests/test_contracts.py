"""What every proposer and every allocator keeps to, in every pairing, a user's own included.

The rounds are driven for real, with the real driver and budget; only the wire is made up: an answer is a fixed
function of variant and row.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.allocators import ALLOCATORS
from promptlab.allocators.halving import next_depth
from promptlab.drive import Driver, Halt
from promptlab.importing import implementation
from promptlab.meter import Cost, Meter
from promptlab.mine import Rules, Search, draw, mine
from promptlab.proposers import PROPOSERS
from promptlab.records import Call, Completion, Endpoint, Example, Flow, Model, Prediction, Request, Slot, Variant
from promptlab.space import Space
from promptlab.view import Plan, View

OWN = '''
from promptlab.view import Plan

def backwards(n, view, rng):
    """Every point from the last to the first, some of them known and one of them twice."""
    yield from ()
    points = [view.space.point(i) for i in range(view.space.size - 1, max(-1, view.space.size - 1 - n), -1)]
    found = [view.space.variant(values, "own") for values in points if not view.space.excluded(values)]
    return tuple(found[:1] + found)[:n]

def one_by_one(view, rng):
    """A few new variants at a time, each round thirty cells."""
    cells = [(v, i) for v in range(len(view.variants)) for i in range(len(view.dev)) if not view.asked[v, i]]
    return Plan(tuple(cells[:30]), (), 3 if view.round < 4 else 0)
'''
PROPOSING = [*PROPOSERS, "own_search:backwards"]
ALLOCATING = [*ALLOCATORS, "own_search:one_by_one"]
PAIRS = list(itertools.product(PROPOSING, ALLOCATING))
MODEL = Model("m", Endpoint("http://nowhere.invalid/v1"), "m")
HUGE = 10**9


@pytest.fixture(autouse=True)
def _own(tmp_path: Path) -> Any:
    (tmp_path / "own_search.py").write_text(OWN, encoding="utf-8")
    yield
    sys.modules.pop("own_search", None)


@dataclass
class World:
    """A space, dev rows, and what every variant answers on every row."""

    slots: tuple[int, ...] = (3, 4)
    rows: int = 20
    calls: float = math.inf
    finalists: int = 3
    truth: Callable[[Variant, Example], float] = lambda v, e: float(zlib.crc32(f"{v.id}{e.id}".encode()) % 3 == 0)
    log: dict[str, Call] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    rounds: list[list[str]] = field(default_factory=list)

    def view(self) -> View:
        slots = (
            Slot("model", "choice", ("m",)),
            Slot("template", "choice", ("t",)),
            *(Slot(f"s{k}", "choice", tuple(range(n))) for k, n in enumerate(self.slots)),
        )
        space = Space(slots)
        baseline = space.variant(space.point(0), "baseline")
        dev = tuple(Example(f"r{i}", {"x": i}, "yes", row=i + 1) for i in range(self.rows))
        shape = (1, self.rows)
        return View(
            space, (), dev, (baseline,), np.full(shape, np.nan), np.zeros(shape, bool), np.ones(1, bool),
            finalists=self.finalists,
        )  # fmt: skip

    def predict(self, variant: Variant, example: Example, repeat: int) -> Flow[Prediction]:
        yield Request(MODEL, "/chat/completions", {"v": variant.id, "x": example.id}, draw=str(repeat))
        score = self.truth(variant, example)
        return Prediction(variant.id, example.id, repeat, "dev", "search", "ok", score=score)

    # the wire and the log
    width = 4

    async def call(self, request: Request) -> Call:
        self.sent.append(request.key)
        await asyncio.sleep(0)
        return Call(request.key, "answer", Completion("yes"))

    def known(self, key: str) -> Call | None:
        return self.log.get(key)

    found = known

    def record(self, *calls: Call) -> None:
        self.log |= {call.key: call for call in calls}

    def run(self, proposer: Any, allocator: Any) -> Search:
        def opened(view: View, plan: Plan) -> None:
            self.views.append(replace(view, scores=view.scores.copy(), asked=view.asked.copy(), live=view.live.copy()))
            self.plans.append(plan)
            self.rounds.append(list(self.log))

        async def whole() -> Search:
            driver = Driver(self, self, Meter(Cost(self.calls, math.inf, math.inf)), Halt())
            rules = Rules((proposer,), allocator, opened=opened)
            return await asyncio.wait_for(mine(self.view(), rules, self.predict, driver), 30)

        return asyncio.run(whole())


def pair(names: tuple[str, str], folder: Path) -> tuple[Any, Any]:
    return (
        implementation("proposer", names[0], PROPOSERS, folder, {}),
        implementation("allocator", names[1], ALLOCATORS, folder, {}),
    )


def outcome(search: Search) -> Any:
    return (
        [v.id for v in search.view.variants],
        search.view.scores.tobytes(),
        search.view.live.tolist(),
        sorted(search.fell.items()),
        [(row.variant, row.example, row.score) for row in search.predictions],
    )


def value_of(flow: Flow[tuple[Variant, ...]]) -> tuple[Variant, ...]:
    try:
        next(flow)
    except StopIteration as stop:
        found: tuple[Variant, ...] = stop.value
        return found
    raise AssertionError("asks a model")


WORLDS: dict[str, Callable[[], World]] = {
    "plain": World,
    "rows missing": lambda: World(truth=lambda v, e: math.nan if int(e.id[1:]) % 3 == 0 else float(v.slots["s0"] == 1)),
    "baseline missing": lambda: World(truth=lambda v, e: math.nan if v.origin == "baseline" else 1.0),
    "one variant missing": lambda: World(truth=lambda v, e: math.nan if v.slots["s1"] == 2 else 0.5),
    "all equal": lambda: World(truth=lambda v, e: 1.0),
    "one variant": lambda: World(slots=(1,)),
    "one row": lambda: World(rows=1),
    "huge": lambda: World(slots=(10,) * 9, calls=400),
    "more finalists than variants": lambda: World(finalists=50),
    "fewer calls than variants": lambda: World(calls=7),
    "one call": lambda: World(calls=1),
    "budget ends in mid-round": lambda: World(calls=133),
    "many": lambda: World(slots=(8, 8), rows=40, calls=900, finalists=5),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("names", PAIRS, ids="-".join)
def test_every_pair_ends_within_its_calls_and_asks_no_cell_twice(
    names: tuple[str, str], world: str, tmp_path: Path
) -> None:
    made = WORLDS[world]()
    search = made.run(*pair(names, tmp_path))
    assert len(made.sent) == len(set(made.sent)) <= made.calls
    cells = [(row.variant, row.example) for row in search.predictions]
    assert len(cells) == len(set(cells)) == len(made.sent)
    assert search.view.live[0], "the baseline cannot fall"
    assert len({variant.id for variant in search.view.variants}) == len(search.view.variants)
    if made.calls == math.inf and names[1] in ALLOCATORS and names[0] in PROPOSERS:
        assert len(search.view.variants) == search.view.space.size


@pytest.mark.parametrize("names", PAIRS, ids="-".join)
def test_every_pair_is_pure_in_view_and_generator(names: tuple[str, str], tmp_path: Path) -> None:
    """On every view of a run: the same plan and the same proposals again, and the view is left as it was."""
    proposer, allocator = pair(names, tmp_path)
    made = WORLDS["many"]()
    made.run(proposer, allocator)
    assert len(made.views) > 1
    for view, planned in zip(made.views, made.plans, strict=True):
        held = [view.scores.tobytes(), view.asked.tobytes(), view.live.tobytes()]
        # mine shows the view after the drops; the allocator saw it before
        before = replace(view, live=view.live | np.isin(np.arange(len(view.live)), planned.dropped))
        plans = [allocator(before, draw(7, "allocate", view.round)) for _ in range(2)]
        assert plans[0] == plans[1] == planned
        found = [value_of(proposer(9, view, draw(7, "propose 0", view.round))) for _ in range(2)]
        assert found[0] == found[1]
        assert len(found[0]) <= 9
        assert held == [view.scores.tobytes(), view.asked.tobytes(), view.live.tobytes()]


@pytest.mark.parametrize("names", PAIRS, ids="-".join)
@pytest.mark.parametrize("calls", [133, math.inf])
def test_every_pair_resumes_from_any_closed_round_to_the_same_end(
    names: tuple[str, str], calls: float, tmp_path: Path
) -> None:
    whole = World(calls=calls)
    expected = outcome(whole.run(*pair(names, tmp_path)))
    for keys in whole.rounds:
        again = World(calls=calls, log={key: whole.log[key] for key in keys})
        assert outcome(again.run(*pair(names, tmp_path))) == expected
        assert not set(again.sent) & set(keys)
        assert len(again.sent) == len(whole.sent) - len(keys)


@pytest.mark.parametrize("name", ALLOCATING)
def test_a_plan_names_live_variants_rows_that_exist_and_no_scored_cell(name: str, tmp_path: Path) -> None:
    for make in WORLDS.values():
        made = make()
        made.run(*pair(("random", name), tmp_path))
        for view, plan in zip(made.views, made.plans, strict=True):
            assert len(set(plan.cells)) == len(plan.cells)
            assert 0 not in plan.dropped
            for v, i in plan.cells:
                assert view.live[v]
                assert not view.asked[v, i]
            assert plan.want >= 0


@pytest.mark.parametrize("name", [*PROPOSERS])
def test_a_proposer_gives_new_points_of_the_space_without_holes_or_repeats(name: str, tmp_path: Path) -> None:
    propose = pair((name, "full"), tmp_path)[0]
    view = World(slots=(6, 6)).view()
    view = replace(view, space=replace(view.space, exclude=({"s0": 2}, {"s1": 5, "s0": 1})))
    for n in (1, 5, 28, 29, 100):
        found = value_of(propose(n, view, draw(1, "p", 0)))
        assert len(found) == min(n, 36 - 6 - 1 - 1), "all but the holes and the baseline, as far as asked for"
        assert len({variant.id for variant in found}) == len(found)
        assert view.variants[0].id not in {variant.id for variant in found}
        assert not any(view.space.excluded(variant.slots) for variant in found)


@pytest.mark.parametrize("name", [*PROPOSERS])
def test_a_space_of_a_billion_points_is_sampled_not_gone_through(name: str, tmp_path: Path) -> None:
    propose = pair((name, "full"), tmp_path)[0]
    view = World(slots=(10,) * 9).view()
    assert view.space.size == HUGE
    found = value_of(propose(200, view, draw(1, "p", 0)))
    assert len({variant.id for variant in found}) == 200
    for k in range(9):  # uniform: every value of every slot is drawn about 20 times
        counts = np.bincount([variant.slots[f"s{k}"] for variant in found], minlength=10)
        assert counts.min() > 3
        assert counts.max() < 45


@pytest.mark.parametrize("name", [*PROPOSERS])
def test_the_few_points_between_many_holes_are_found(name: str, tmp_path: Path) -> None:
    view = World(slots=(70, 70)).view()
    holes = tuple({"s0": k} for k in range(70) if k not in (0, 33)) + tuple({"s1": k} for k in range(70) if k != 5)
    view = replace(view, space=replace(view.space, exclude=holes))
    found = value_of(pair((name, "full"), tmp_path)[0](3, view, draw(1, "p", 0)))
    assert sorted((variant.slots["s0"], variant.slots["s1"]) for variant in found) == [(0, 5), (33, 5)]


def test_a_space_that_is_all_holes_ends_the_drawing(tmp_path: Path) -> None:
    view = World(slots=(10,) * 9).view()
    view = replace(view, space=replace(view.space, exclude=({"model": "m"},)))
    for name in PROPOSERS:
        assert value_of(pair((name, "full"), tmp_path)[0](10, view, draw(1, "p", 0))) == ()


# Halving -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [60, 133, 300, 900, 3000, math.inf])
def test_halving_scores_all_live_variants_on_one_prefix_and_ends_on_every_row_if_it_can(
    calls: float, tmp_path: Path
) -> None:
    made = World(slots=(8, 8), rows=40, calls=calls, finalists=5)
    search = made.run(*pair(("grid", "halving"), tmp_path))
    for view, plan in zip(made.views[1:], made.plans[1:], strict=True):
        deep = {int(view.asked[v].sum()) for v in range(len(view.variants)) if view.live[v]}
        assert len(deep) == 1, "every live variant was asked as many rows"
        depth = deep.pop()
        assert all(view.asked[v, :depth].all() for v in range(len(view.variants)) if view.live[v]), "the first ones"
        planned = {v: [i for w, i in plan.cells if w == v] for v, _ in plan.cells}
        assert set(planned) == set(np.flatnonzero(view.live).tolist())
        assert len({tuple(sorted(columns)) for columns in planned.values()}) == 1
        assert len(plan.cells) <= view.calls_left
    full = [v for v in range(len(search.view.variants)) if search.view.asked[v].all()]
    if calls >= 900:
        assert len(full) >= 6, "the finalists and the baseline on every row"
    ranked = search.view.ranking()
    assert set(full) <= set(ranked)


def test_halving_drops_the_worse_half_and_never_the_baseline(tmp_path: Path) -> None:
    made = World(slots=(16,), rows=64, finalists=2, truth=lambda v, e: v.slots["s0"] / 100)
    made.truth = lambda v, e: v.slots["s0"] / 100 if v.origin != "baseline" else -1.0
    search = made.run(*pair(("grid", "halving"), tmp_path))
    fell = {search.view.variants[v].slots["s0"]: number for v, number in search.fell.items()}
    order = sorted(fell, key=lambda s: (fell[s], s))
    assert order == sorted(order), "the lowest fall first"
    assert sorted(set(range(1, 16)) - set(order)) == [14, 15]
    assert 0 not in search.fell


def test_halving_judges_nobody_by_a_rung_that_the_budget_cut_short(tmp_path: Path) -> None:
    """Tokens or dollars may end in mid-rung; the rung is finished before anybody falls, or the search ends."""
    allocator = pair(("grid", "halving"), tmp_path)[1]
    view = World(slots=(12,), rows=32, finalists=2).view()
    variants = tuple(view.space.variant(view.space.point(i), "grid") for i in range(12))
    asked = np.zeros((12, 32), bool)
    asked[:, :8] = True
    asked[:5, 8:16] = True
    scores = np.where(asked, 0.5, np.nan)
    view = replace(view, variants=variants, asked=asked, scores=scores, live=np.ones(12, bool), round=3)
    plan = allocator(view, draw(1, "allocate", 3))
    assert plan.dropped == ()
    assert sorted(plan.cells) == [(v, i) for v in range(5, 12) for i in range(8, 16)]


@given(
    variants=st.integers(1, 300),
    depth=st.integers(0, 300),
    rows=st.integers(1, 300),
    seats=st.integers(1, 20),
    calls=st.one_of(st.integers(0, 5000), st.just(math.inf)),
)
@settings(max_examples=150, deadline=None)
def test_a_rung_never_plans_more_than_the_calls_left(
    variants: int, depth: int, rows: int, seats: int, calls: float
) -> None:
    depth = min(depth, rows - 1)
    goal = next_depth(variants, depth, rows, seats, calls)
    assert depth <= goal <= rows
    assert (variants + 1) * (goal - depth) <= calls
    if calls >= (variants + 1) * rows and variants <= seats:
        assert goal == rows
    if calls >= variants + 1:
        assert goal > depth


@pytest.mark.parametrize("calls", [500, 1200, 2500, math.inf])
def test_nobody_falls_on_hardly_more_evidence(calls: float) -> None:
    """Every rung is half as deep again as the one before, or the last one that the calls allow."""
    variants, depth, rows, seats = 64, 0, 215, 5
    depths = []
    while (goal := next_depth(variants, depth, rows, seats, calls)) > depth:
        calls -= (variants + 1) * (goal - depth)
        depths.append(goal)
        depth, variants = goal, max(seats, math.ceil(variants / 2))
    assert calls >= 0
    assert all(after >= 1.5 * before for before, after in itertools.pairwise(depths[:-1]))
