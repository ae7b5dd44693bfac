"""What every proposer and every allocator keeps to, in every pairing, a user's own included.

The rounds are driven for real, with the real driver and budget; only the wire is made up: an answer is a fixed
function of variant and row.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_world import MODEL, World, outcome, value_of

from promptlab.admit import admit
from promptlab.allocators import ALLOCATORS
from promptlab.allocators import full as everything
from promptlab.allocators.halving import next_depth
from promptlab.errors import BadInput
from promptlab.importing import implementation
from promptlab.mine import draw
from promptlab.proposers import PROPOSERS
from promptlab.proposers.grid import grid
from promptlab.records import Call, Flow, Request, Variant
from promptlab.space import Space
from promptlab.turns import Turns
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
MISSING = {"tpe": find_spec("optuna") is None, "gepa": find_spec("gepa") is None}  # extras, which need not be there
OURS = [name for name in PROPOSERS if not MISSING.get(name)]
PROPOSING = [*OURS, "own_search:backwards"]
ALLOCATING = [*ALLOCATORS, "own_search:one_by_one"]
PAIRS = list(itertools.product(PROPOSING, ALLOCATING))
EXPLORING = bool(os.environ.get("PROMPTLAB_EXPLORE"))
SOME = [
    pair
    for place, pair in enumerate(PAIRS)
    if EXPLORING or (place // len(ALLOCATING) + place % len(ALLOCATING)) % 3 == 0  # every one of both, not every pair
]
POINTS = tuple(
    name for name in ("grid", "random", "tpe") if name in OURS
)  # proposers of nothing but points of the space
HUGE = 2 * 10**9
FEW = 150  # variants that `full` asks for at once here: more than these spaces have points, and enough texts


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(everything, "MOST", FEW)
    (tmp_path / "own_search.py").write_text(OWN, encoding="utf-8")
    yield
    sys.modules.pop("own_search", None)


def pair(names: tuple[str, str], folder: Path) -> tuple[Any, Any]:
    return (
        implementation("proposer", names[0], PROPOSERS, folder, {}),
        implementation("allocator", names[1], ALLOCATORS, folder, {}),
    )


WORLDS: dict[str, Callable[[], World]] = {
    "plain": World,
    "rows missing": lambda: World(truth=lambda v, e: math.nan if int(e.id[1:]) % 3 == 0 else float(v.slots["s0"] == 1)),
    "baseline missing": lambda: World(truth=lambda v, e: math.nan if v.origin == "baseline" else 1.0),
    "one variant missing": lambda: World(truth=lambda v, e: math.nan if v.slots["s1"] == 2 else 0.5),
    "nothing scored": lambda: World(truth=lambda v, e: math.nan),
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
CASES = [  # every proposer in every world, and with every allocator by turns
    ((name, allocator), world)
    for place, name in enumerate(PROPOSING)
    for number, world in enumerate(WORLDS)
    for turn, allocator in enumerate(ALLOCATING)
    if EXPLORING or (place + number - turn) % len(ALLOCATING) == 0
]
assert {names for names, _ in CASES} == set(PAIRS)
assert {(names[1], world) for names, world in CASES} == set(itertools.product(ALLOCATING, WORLDS))


@pytest.mark.parametrize(("names", "world"), CASES, ids=lambda each: each if isinstance(each, str) else "-".join(each))
def test_every_pair_ends_within_its_calls_and_asks_no_cell_twice(
    names: tuple[str, str], world: str, tmp_path: Path
) -> None:
    """Every proposer with every allocator and in every world; every allocator in every world.

    A plan names live variants, rows that exist, and no scored cell.
    """
    made = WORLDS[world]()
    if made.calls == math.inf and names[0] not in POINTS:
        made.calls = 300  # there is no end of texts
    search = made.run(*pair(names, tmp_path))
    assert made.answered("answer") + made.answered("meta") <= made.calls
    cells = [(row.variant, row.example) for row in search.predictions]
    assert len(cells) == len(set(cells)) == search.view.asked.sum() <= made.answered("answer")
    assert {variant.id for variant in search.view.variants} >= {variant for variant, _ in cells}
    assert search.view.live[0], "the baseline cannot fall"
    assert len({variant.id for variant in search.view.variants}) == len(search.view.variants)
    if made.calls == math.inf and names[1] in ("full", "halving") and names[0] in ("grid", "random"):
        assert len(search.view.variants) == search.view.space.size
    for view, plan in zip(made.views, made.plans, strict=True):
        assert len(set(plan.cells)) == len(plan.cells)
        assert 0 not in plan.dropped
        v, i = np.array(plan.cells, int).reshape(-1, 2).T
        assert (v >= 0).all()
        assert (i >= 0).all()
        assert view.live[v].all()
        assert not view.asked[v, i].any()
        assert plan.want >= 0


@pytest.mark.parametrize("name", PROPOSING)
def test_every_proposer_finds_something_new_in_the_course_of_a_search(name: str, tmp_path: Path) -> None:
    """Beside drawn points, where every variant is scored on every row, and the wrong answers are not all the same."""

    def whole(view: View, rng: np.random.Generator) -> Plan:
        cells = [(v, i) for v in range(len(view.variants)) for i in range(len(view.dev)) if not view.asked[v, i]]
        return Plan(tuple(cells), (), 8 if view.round < 4 else 0)

    made = World(slots=(8, 8), rows=40, truth=lambda v, e: float(zlib.crc32(f"{v.id}{e.id}".encode()) % 10 < 6))
    proposers = [implementation("proposer", each, PROPOSERS, tmp_path, {}) for each in ("random", name)]
    search = made.run(tuple(proposers), whole)
    origins = {variant.origin for variant in search.view.variants[1:]}
    assert name.partition(":")[0].removesuffix("_search") in origins


@pytest.mark.parametrize("names", SOME, ids="-".join)
def test_every_pair_is_pure_in_view_and_generator(names: tuple[str, str], tmp_path: Path) -> None:
    """On views of a run: the same plan and the same proposals again, and the view is left as it was."""
    proposer, allocator = pair(names, tmp_path)
    made = World(slots=(5, 5), rows=24, calls=400)
    made.run(proposer, allocator)
    assert len(made.views) > 1
    some = sorted({0, 1, len(made.views) // 2, len(made.views) - 1})
    for view, planned in [(made.views[at], made.plans[at]) for at in some]:
        held = [view.scores.tobytes(), view.asked.tobytes(), view.live.tobytes(), dict(view.wrong)]
        # mine shows the view after the drops; the allocator saw it before
        before = replace(view, live=view.live | np.isin(np.arange(len(view.live)), planned.dropped))
        plans = [allocator(before, draw(7, "allocate", view.round)) for _ in range(2)]
        assert plans[0] == plans[1] == planned
        found = [value_of(proposer(9, view, draw(7, "propose 0", view.round)), made) for _ in range(2)]
        assert found[0] == found[1]
        assert len(found[0]) <= 9
        assert held == [view.scores.tobytes(), view.asked.tobytes(), view.live.tobytes(), dict(view.wrong)]


@pytest.mark.parametrize("names", SOME, ids="-".join)
def test_every_pair_resumes_from_any_prefix_of_the_log_to_the_same_end(names: tuple[str, str], tmp_path: Path) -> None:
    """Killed in mid-round or between rounds: what was answered is not asked again, and the end is the same."""
    whole = World(calls=133 if zlib.crc32("-".join(names).encode()) % 2 else 300)
    expected = outcome(whole.run(*pair(names, tmp_path)))
    keys = list(whole.log)
    drawn = random.Random("-".join(names))
    for end in {0, drawn.choice(whole.rounds), drawn.randrange(len(keys)), drawn.randrange(len(keys)), len(keys)}:
        again = World(calls=whole.calls, log={key: whole.log[key] for key in keys[:end]})
        assert outcome(again.run(*pair(names, tmp_path))) == expected
        failed = {key for key in keys[:end] if whole.log[key].completion is None}
        assert not (set(again.sent) - failed) & set(keys[:end])
        assert set(again.log) == set(keys)


def test_a_mixture_resumes_and_keeps_its_shares(tmp_path: Path) -> None:
    """Three proposers by shares, in rounds that want few: over all rounds each has its share."""
    proposers = tuple(
        implementation("proposer", name, PROPOSERS, tmp_path, {}) for name in ("random", "evolve", "corpus")
    )
    wants = {number: 1 + number % 2 for number in range(40)}

    def few(view: View, rng: np.random.Generator) -> Plan:
        cells = [(v, i) for v in range(len(view.variants)) for i in range(3) if not view.asked[v, i]]
        return Plan(tuple(cells), (), wants.get(view.round, 0))

    def searched(log: dict[str, Call]) -> tuple[World, Any, list[int]]:
        asked = [0, 0, 0]

        def counting(place: int) -> Any:
            def propose(n: int, view: View, rng: np.random.Generator) -> Flow[Any]:
                asked[place] += n
                return (yield from proposers[place](n, view, rng))

            return propose

        made = World(slots=(20, 20), log=log)
        search = made.run(tuple(counting(place) for place in range(3)), few, shares=(3.0, 2.0, 1.0))
        return made, outcome(search), asked

    whole, expected, asked = searched({})
    assert asked == [30, 20, 10]
    _, again, asked = searched(dict(list(whole.log.items())[:50]))
    assert again == expected
    assert asked == [30, 20, 10]


def test_who_closes_is_asked_for_one_variant_once_when_all_is_scored() -> None:
    """Beside others it has no share; alone it has."""
    closing, other = implementation("proposer", "ensemble", PROPOSERS, Path(), {}), grid
    turns = Turns((other, closing), (1.0, 3.0))
    assert turns.seats(Plan(want=4)) == [4, 0]
    assert turns.seats(Plan(cells=((0, 0),))) == [0, 0]
    assert [turns.seats(Plan()) for _ in range(3)] == [[0, 1], None, None]
    assert Turns((closing,)).seats(Plan(want=4)) == [4]


@pytest.mark.parametrize("name", POINTS)
def test_a_proposer_gives_new_points_of_the_space_without_holes_or_repeats(name: str, tmp_path: Path) -> None:
    propose = pair((name, "full"), tmp_path)[0]
    view = World(slots=(6, 6)).view()
    space = Space(view.space.slots[:4], ({"s0": 2}, {"s1": 5, "s0": 1}))
    view = replace(view, space=space, variants=(space.variant(space.point(0), "baseline"),))
    for n in (1, 5, 28, 29, 100):
        found = value_of(propose(n, view, draw(1, "p", 0)))
        assert len(found) == min(n, 36 - 6 - 1 - 1), "all but the holes and the baseline, as far as asked for"
        assert len({variant.id for variant in found}) == len(found)
        assert view.variants[0].id not in {variant.id for variant in found}
        assert not any(view.space.excluded(variant.slots) for variant in found)


@pytest.mark.parametrize("name", OURS)
def test_a_space_of_a_billion_points_is_never_gone_through(name: str, tmp_path: Path) -> None:
    propose = pair((name, "full"), tmp_path)[0]
    made = World(slots=(10,) * 9)
    view = made.view()
    view = replace(view, space=Space(view.space.slots[:-2]))
    view = replace(view, variants=(view.space.variant(view.space.point(0), "baseline"),))
    assert view.space.size == HUGE
    started = time.monotonic()
    found = value_of(propose(200, view, draw(1, "p", 0)), made)
    assert time.monotonic() - started < 10
    assert len({variant.id for variant in found if variant}) == len([each for each in found if each]) <= 200
    for k in range(9) if name in POINTS else ():  # uniform: every value of every slot is drawn about 20 times
        assert len(found) == 200
        counts = np.bincount([variant.slots[f"s{k}"] for variant in found], minlength=10)
        assert counts.min() > 3
        assert counts.max() < 45


@pytest.mark.parametrize("name", POINTS)
def test_the_few_points_between_many_holes_are_found(name: str, tmp_path: Path) -> None:
    view = World(slots=(70, 70)).view()
    holes = tuple({"s0": k} for k in range(70) if k not in (0, 33)) + tuple({"s1": k} for k in range(70) if k != 5)
    view = replace(view, space=replace(view.space, slots=view.space.slots[:4], exclude=holes))
    found = value_of(pair((name, "full"), tmp_path)[0](3, view, draw(1, "p", 0)))
    assert sorted((variant.slots["s0"], variant.slots["s1"]) for variant in found) == [(0, 5), (33, 5)]


@pytest.mark.parametrize("name", OURS)
def test_a_space_that_is_all_holes_ends_the_drawing(name: str, tmp_path: Path) -> None:
    made = World(slots=(10,) * 9)
    view = made.view()
    view = replace(view, space=replace(view.space, exclude=({"model": "m"},)))
    found = value_of(pair((name, "full"), tmp_path)[0](10, view, draw(1, "p", 0)), made)
    assert admit(view, found).admitted == ()


# The rounds ----------------------------------------------------------------------------------------------------------


def two_rounds(view: View, rng: np.random.Generator) -> Plan:
    """Four variants a round for two rounds, each on three rows."""
    cells = [(v, i) for v in range(len(view.variants)) for i in range(3) if not view.asked[v, i]]
    return Plan(tuple(cells), (), 4 if view.round < 2 else 0)


def test_a_proposer_whose_call_fails_loses_its_turn_and_the_run_goes_on() -> None:
    def failing(n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
        yield Request(MODEL, "/chat/completions", {"round": view.round}, purpose="meta")
        return ()

    def steady(n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
        yield from ()
        return tuple(view.space.variant(view.space.point(int(i)), "steady") for i in rng.permutation(20)[:n])

    class Failing(World):
        def answer(self, request: Request) -> Call:
            return (
                Call(request.key, "meta", None, error="HTTP 500: gone")
                if request.purpose == "meta"
                else super().answer(request)
            )

    made = Failing()
    search = made.run((failing, steady), two_rounds)
    assert search.refused["failed"] == {"count": 4, "example": "failing, round 0: HTTP 500: gone"}
    assert len(search.predictions) == 3 * len(search.view.variants)
    assert 2 <= len(search.view.variants) <= 5


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (ValueError("odd"), "the proposer `broken` failed in round 0: ValueError: odd"),
        (("text",), "the proposer `broken` failed in round 0: TypeError: it gave 'text', and no variants"),
    ],
)
def test_a_proposer_of_ones_own_that_breaks_is_told_by_name(given: Any, told: str) -> None:
    def broken(n: int, view: View, rng: np.random.Generator) -> Flow[Any]:
        yield from ()
        if isinstance(given, Exception):
            raise given
        return given

    with pytest.raises(BadInput) as caught:
        World().run(broken, two_rounds)
    assert told in str(caught.value)


def test_nobody_gets_more_in_than_was_asked_for() -> None:
    def many(n: int, view: View, rng: np.random.Generator) -> Flow[list[Variant]]:
        yield from ()
        return [view.space.variant(view.space.point(k), "many") for k in range(1, 20)]

    assert len(World().run(many, two_rounds).view.variants) == 1 + 4


def test_proposals_see_closed_rounds_only_and_join_the_next_one() -> None:
    seen: list[tuple[int, int, int]] = []

    def looking(n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
        seen.append((view.round, len(view.variants), int(view.asked.sum())))
        yield from ()
        return tuple(view.space.variant(view.space.point(10 * view.round + k + 1), "looking") for k in range(n))

    search = World().run(looking, two_rounds)
    assert seen == [(0, 1, 0), (1, 5, 3)]
    assert [variant.origin for variant in search.view.variants] == ["baseline", *["looking"] * 8]


def test_failures_are_the_worst_of_the_latest_and_bounded() -> None:
    """Of each live variant at most fifty; a right answer is none; the output and what was right are told."""
    made = World(rows=90, truth=lambda v, e: (int(e.id[1:]) % 10) / 9)

    def whole(view: View, rng: np.random.Generator) -> Plan:
        depth = 30 * (view.round + 1)
        dropped = (1,) if view.round == 2 else ()
        cells = [(v, i) for v in range(len(view.variants)) for i in range(min(depth, 90)) if not view.asked[v, i]]
        return Plan(tuple(each for each in cells if each[0] not in dropped), dropped, 2 if view.round == 0 else 0)

    search = made.run(implementation("proposer", "grid", PROPOSERS, Path(), {}), whole)
    view = search.view
    assert {v for v, _ in view.wrong} == {0, 2}
    found = view.failures(0, 1000)
    assert len(found) == 50
    assert [each.score for each in found] == sorted(each.score for each in found)
    assert max(each.score for each in found) < 1
    assert view.failures(0, 3) == found[:3]
    assert found[0].expected == found[0].example.label
    assert found[0].output.startswith("because, ")
    last = [cell for cell in view.wrong if cell[0] == 0 and cell[1] >= 60]
    assert len(last) == 27, "all of the last round's, but for right answers"
    assert set(view.explained) == set(view.wrong)
    assert view.answers is not None
    assert view.answers.shape == view.scores.shape
    assert (view.answers[view.asked] != None).all()  # noqa: E711 - cell by cell


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
