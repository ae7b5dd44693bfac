"""Where the calls go: each policy on scores whose truth is known, beside the contract that all of them keep to."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.allocators import ALLOCATORS, CLAIMS, DEFAULT, cohort
from promptlab.allocators.betting import below
from promptlab.allocators.halving import shared_out
from promptlab.allocators.order import informative, item_order, shrunk
from promptlab.allocators.race import Race, proven, upper
from promptlab.claim import fixed, needed, raced
from promptlab.final import choose
from promptlab.importing import implementation
from promptlab.records import Example, Slot, Variant
from promptlab.space import Space
from promptlab.unit import Unit
from promptlab.view import Plan, View

SPENDING = [name for name in ALLOCATORS if name != "full"]
NAN = math.nan


def named(name: str, **options: Any) -> Any:
    return implementation("allocator", name, ALLOCATORS, Path.cwd(), options)


def start(
    truth: np.ndarray, calls: float = math.inf, finalists: int = 0, parents: dict[int, int] | None = None
) -> View:
    """A view of round 1: every row of ``truth`` is a variant, nothing is asked."""
    rows, columns = truth.shape
    above = parents or {}
    return View(
        space=Space((Slot("row", "choice", tuple(range(rows))),)),
        train=(),
        dev=tuple(Example(f"r{i}", {}) for i in range(columns)),
        variants=tuple(
            Variant(f"v{v}", {"row": v}, "test", (f"v{above[v]}",) if v in above else ()) for v in range(rows)
        ),
        scores=np.full((rows, columns), np.nan),
        asked=np.zeros((rows, columns), bool),
        live=np.ones(rows, bool),
        round=1,
        finalists=finalists,
        calls_left=calls,
    )


def known(view: View, truth: np.ndarray, rows: Any, columns: Any = slice(None)) -> View:
    """The view with these cells scored."""
    asked, scores = view.asked.copy(), view.scores.copy()
    for v in rows:
        asked[v, columns] = True
        scores[v, columns] = truth[v, columns]
    return replace(view, asked=asked, scores=scores)


def after(view: View, plan: Plan, truth: np.ndarray) -> View:
    """The view when the round is closed; what the calls do not pay for is not scored."""
    cells = plan.cells[: int(min(len(plan.cells), view.calls_left))]
    asked, scores, live = view.asked.copy(), view.scores.copy(), view.live.copy()
    live[list(plan.dropped)] = False
    for cell in cells:
        assert not asked[cell], "no cell is asked twice"
        asked[cell], scores[cell] = True, truth[cell]
    return replace(
        view, asked=asked, scores=scores, live=live, round=view.round + 1, calls_left=view.calls_left - len(cells)
    )


def play(allocator: Any, view: View, truth: np.ndarray) -> tuple[View, list[Plan]]:
    """Rounds to the end; the last plan's drops are made."""
    plans = []
    while True:
        plan = allocator(view, np.random.default_rng([3, view.round]))
        plans.append(plan)
        before, view = view, after(view, plan, truth)
        if not plan.cells or before.calls_left < 1:
            return view, plans


def worlds(seed: int, rows: int, columns: int, spread: float = 0.15) -> np.ndarray:
    """0/1 scores: variants of different ability on rows of different difficulty."""
    rng = np.random.default_rng(seed)
    chance = 0.5 + rng.normal(0, spread, rows)[:, None] + rng.normal(0, 0.25, columns)
    return (rng.random((rows, columns)) < np.clip(chance, 0.02, 0.98)).astype(float)


# All of them ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SPENDING, "strict race"])
@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 14),
    columns=st.integers(1, 40),
    calls=st.one_of(st.integers(0, 600), st.just(math.inf)),
    finalists=st.integers(0, 5),
    missing=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_a_policy_ends_within_its_calls_and_asks_no_cell_twice(
    name: str, rows: int, columns: int, calls: float, finalists: int, missing: float, seed: int
) -> None:
    """With missing cells, a lone variant, a lone row, fewer calls than variants; ``after`` refuses a repeated cell."""
    truth = worlds(seed, rows, columns)
    truth[np.random.default_rng(seed).random(truth.shape) < missing] = NAN
    view = start(truth, calls, finalists)
    allocator = named("race", strict=True) if name == "strict race" else named(name)
    end, plans = play(allocator, view, truth)
    assert end.asked.sum() <= calls
    assert len(plans) < 4000
    assert end.live[0]
    for plan in plans:
        assert 0 not in plan.dropped
        assert len(set(plan.cells)) == len(plan.cells)
        assert not {v for v, _ in plan.cells} & set(plan.dropped)


@pytest.mark.parametrize("name", ["uniform", "ranks", "race", "ucb", "top_two", "halving"])
def test_with_calls_for_it_the_finalists_end_scored_in_full_and_the_best_is_among_them(name: str) -> None:
    truth = worlds(1, 24, 60)
    truth[17] = 1.0
    end, _ = play(named(name), start(truth, 24 * 45, 4), truth)
    full = np.flatnonzero(end.asked.all(axis=1) & end.live)
    assert {0, 17} <= set(full.tolist())
    if name != "race":  # a race is over when one is left
        assert len(full) >= 5


@pytest.mark.parametrize("name", ["uniform", "ranks", "race", "halving"])
def test_within_a_cohort_all_meet_the_same_rows_in_the_same_order_and_the_baseline_goes_along(name: str) -> None:
    truth = worlds(2, 20, 50)
    view = start(truth, 20 * 15, 3)
    allocator = named(name)
    while True:
        plan = allocator(view, np.random.default_rng([3, view.round]))
        if not plan.cells:
            break
        view = after(view, plan, truth)
        depth = view.asked.sum(axis=1)
        assert all(view.asked[v, : depth[v]].all() for v in range(20)), "prefixes of one order"
        left = view.live & (np.arange(20) > 0) if name == "race" else view.live  # where a decided baseline rests
        assert len(set(depth[left].tolist())) == 1, "everybody left, and the baseline, is as deep"
    assert view.asked.sum() > 100


@pytest.mark.parametrize("name", SPENDING)
def test_a_policy_does_not_depend_on_anything_but_view_and_generator(name: str) -> None:
    truth = worlds(3, 15, 40)
    allocator, view = named(name), start(truth, 200, 2)
    for _ in range(12):
        plans = [each(view, np.random.default_rng([3, view.round])) for each in (allocator, allocator, named(name))]
        assert plans[0] == plans[1] == plans[2]
        if not plans[0].cells:
            break
        view = after(view, plans[0], truth)


@pytest.mark.parametrize("name", ["uniform", "ranks", "race", "halving"])
def test_a_round_that_the_budget_cut_short_is_finished_before_anybody_falls(name: str) -> None:
    truth = worlds(4, 12, 32)
    view = known(start(truth, 300, 2), truth, range(12), slice(0, 10))
    view = known(view, truth, range(5), slice(0, 16))
    plan = named(name)(view, np.random.default_rng(1))
    assert plan.dropped == ()
    assert sorted(plan.cells) == [(v, i) for v in range(5, 12) for i in range(10, 16)]


def test_the_default_is_one_of_them_and_claims_belong_to_known_ones() -> None:
    assert DEFAULT in ALLOCATORS
    assert set(CLAIMS) <= set(ALLOCATORS)


def test_missing_the_hard_rows_makes_nobody_better() -> None:
    """Variant 1 is 5 points worse than 0 wherever both answered; it has no score on the hard half."""
    hard = np.arange(40) >= 20
    scores = np.vstack([np.where(hard, 0.2, 0.9), np.where(hard, NAN, 0.85), np.where(hard, 0.1, 0.8)])
    values = cohort.levels(scores)
    assert np.nanmean(scores[1]) > np.nanmean(scores[0]), "its plain mean is higher"
    assert values[0] > values[1] > values[2]
    assert np.isnan(cohort.levels(np.vstack([scores, np.full(40, NAN)]))[3])


# Ranks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", [3, 5, 10, 20])
def test_ranks_spends_the_whole_budget_and_goes_deeper_the_better_the_rank(each: int) -> None:
    truth = worlds(5, 40, 300)
    end, _ = play(named("ranks"), start(truth, 40 * each), truth)
    spent = int(end.asked.sum())
    assert 0.97 * 40 * each <= spent <= 40 * each
    depth = np.sort(end.asked.sum(axis=1)[1:])[::-1]
    assert depth[0] == depth[1], "a leader's lone rows would be worth nothing"
    scale = depth[1] * 3**1.25
    expected = np.minimum(300, scale * (np.maximum(np.arange(1, 40), 2) + 1.0) ** -1.25)
    assert np.abs(depth - expected).max() <= 2, "as deep as the schedule says"
    assert end.live.sum() == 2, "the baseline and the chosen one"


def test_a_parents_mean_decides_where_little_was_scored() -> None:
    """Two children with the same scores: the one whose parent was better stays."""
    truth = np.zeros((8, 80))
    truth[1, :60], truth[2, :20] = 1, 1  # parents: .75 and .25
    truth[5:, ::2] = 1
    view = start(truth, 3 * 40, 0, {5: 2, 6: 2, 7: 1})
    live = view.live.copy()
    live[1:5] = False
    view = known(replace(view, live=live), truth, [1, 2])
    kept = play(named("ranks"), view, truth)[0]
    assert np.flatnonzero(kept.live).tolist() == [0, 7]
    blind = {
        int(np.flatnonzero(play(named("ranks", prior=0.0), replace(view, round=r), truth)[0].live)[1])
        for r in range(1, 15)
    }
    assert len(blind) > 1, "without it, lots decide"


def test_cohorts_follow_while_calls_are_left_and_those_who_cannot_match_the_finalists_fall_early() -> None:
    """A large space: a first cohort, its finalists complete; a worse second cohort costs a fraction of it."""
    columns = 60
    truth = np.vstack([worlds(6, 31, columns, 0.05), (np.arange(columns) % 4 == 0) * np.ones((30, 1))])
    ranks = named("ranks")
    view = start(truth[:1], 2000, 3)
    view = replace(view, space=Space((Slot("row", "choice", tuple(range(10**6))),)), round=0)
    first = ranks(view, np.random.default_rng(0))
    assert first == Plan(want=30)

    def joined(view: View, count: int) -> View:
        more = len(view.variants)
        rows = np.full((count, columns), NAN)
        return replace(
            view,
            variants=(*view.variants, *(Variant(f"v{more + k}", {"row": more + k}) for k in range(count))),
            scores=np.vstack([view.scores, rows]),
            asked=np.vstack([view.asked, np.zeros((count, columns), bool)]),
            live=np.r_[view.live, np.ones(count, bool)],
            round=view.round + 1,
        )

    view = joined(view, 30)
    while (plan := ranks(view, np.random.default_rng(view.round))).cells:
        view = after(view, plan, truth[:31])
    spent = int(view.asked.sum())
    assert view.asked[view.live].all(), "the finalists and the baseline"
    assert view.live.sum() == 4
    assert plan.want == 30
    view = joined(after(view, plan, truth[:31]), 30)
    while (plan := ranks(view, np.random.default_rng(view.round))).cells:
        view = after(view, plan, truth)
    view = after(view, plan, truth)
    assert view.asked.sum() - spent < spent / 2
    assert np.flatnonzero(view.live).max() < 31, "none of the second cohort stays"
    assert plan.want > 0


def test_ranks_asks_for_all_of_a_space_that_fits() -> None:
    view = replace(start(worlds(1, 1, 40), 900, 2), space=Space((Slot("row", "choice", tuple(range(50))),)), round=0)
    assert named("ranks")(view, np.random.default_rng(0)).want == 49
    assert named("ranks")(replace(view, calls_left=math.inf), np.random.default_rng(0)).want == 49


def test_an_open_space_without_a_budget_ends_too() -> None:
    space = Space((Slot("task", "choice", ("a", "b"), open=True, texts=("A", "B")),))
    view = replace(start(worlds(1, 1, 4), math.inf, 1), space=space, round=0)
    wants = [
        cohort.wanted(replace(view, round=r, variants=view.variants * n)) for r, n in ((0, 1), (9, 990), (9, 1001))
    ]
    assert wants == [30, 11, 0]


# Generations ---------------------------------------------------------------------------------------------------------

OPEN = Space((Slot("task", "choice", ("a", "b"), open=True, texts=("A", "B")),))


def mined(
    allocator: Any, calls: float, columns: int = 100, finalists: int = 5, seed: int = 1
) -> tuple[View, list[int]]:
    """A search with an open text: each child is its parent, a few rows better or worse; writing one costs a call.

    The view at its end, and the generation of each variant.
    """
    rng = np.random.default_rng(seed)
    skill = [rng.normal(0, 1, columns)]
    truth = (np.array(skill) > 0.5).astype(float)
    view = replace(start(truth, calls, finalists), space=OPEN, round=0)
    age = [0]
    for _ in range(400):
        plan = allocator(view, np.random.default_rng([3, view.round]))
        if not plan.cells and not plan.want:
            return after(view, plan, truth), age
        ranked = [v for v in after(view, replace(plan, cells=()), truth).ranking() if view.asked[v].any()] or [0]
        view = after(view, plan, truth)
        for _ in range(int(min(plan.want, view.calls_left))):
            parent = ranked[int(rng.integers(min(4, len(ranked))))]
            skill.append(skill[parent] + rng.normal(0, 0.25) + rng.normal(0, 0.3, columns))
            age.append(age[parent] + 1)
        more = len(skill) - len(view.variants)
        truth = (np.array(skill) > 0.5).astype(float)
        blank = np.full((more, columns), NAN)
        view = replace(
            view,
            variants=(*view.variants, *(Variant(f"v{v}", {"task": f"{v}"}) for v in range(len(age) - more, len(age)))),
            scores=np.vstack([view.scores, blank]),
            asked=np.vstack([view.asked, np.isfinite(blank)]),
            live=np.r_[view.live, np.ones(more, bool)],
            calls_left=view.calls_left - more,
        )
    pytest.fail("goes on for ever")


def test_few_calls_pay_for_several_generations_and_the_leaders_end_complete() -> None:
    """1,000 calls on 100 rows: the five seats and the baseline alone would take 600 of them."""
    ages, gains, cohorts = [], [], []
    for seed in range(4):
        end, age = mined(named("ranks"), 1000, seed=seed)
        best = end.ranking()[0]
        assert end.asked[best].all()
        assert end.asked[0].all()
        assert end.calls_left < 120, "what is left pays for no generation more"
        ages.append(age[best])
        gains.append(end.deltas()[best])
        old, _ = mined(named("ranks", generation=0), 1000, seed=seed)
        cohorts.append(old.deltas()[old.ranking()[0]])
    assert np.mean(ages) >= 2.5
    assert np.mean(gains) > np.mean(cohorts) + 0.05


@pytest.mark.parametrize("calls", [12, 60, 150, 333])
def test_where_no_leader_can_be_completed_the_last_ones_are_compared_on_fewer_rows(calls: int) -> None:
    end, _ = mined(named("ranks"), calls)
    assert end.calls_left >= 0
    assert end.asked[1:].any()
    if calls > 60:
        best = end.asked[end.ranking()[0]].sum()
        assert 10 <= best < 100, "a part of the rows"
        assert end.calls_left < 0.3 * calls


def test_a_child_falls_on_rows_that_its_leaders_were_asked_on_too_and_leaders_grow_deeper() -> None:
    allocator, tops = named("ranks"), []

    def looked(view: View, rng: np.random.Generator) -> Plan:
        plan = allocator(view, rng)
        live = [v for v in np.flatnonzero(view.live).tolist() if v]
        depth = view.asked.sum(axis=1)
        assert 0 not in plan.dropped
        for v in plan.dropped:
            assert (depth[[each for each in live if each not in plan.dropped]] >= depth[v]).all()
        if plan.want and len(live) > len(plan.dropped):
            tops.append(int(max(depth[v] for v in live)))
        return plan

    mined(looked, 3000)
    assert len(tops) >= 4
    assert tops == sorted(tops)
    assert tops[0] < tops[-1] < 100, "the calls that complete them come last"


def test_complete_rows_beat_a_newcomer_with_a_few_lucky_ones() -> None:
    """A generation that the budget cut short: newcomers were right three times out of three."""
    truth = np.vstack([np.arange(60) % 2, np.arange(60) % 4 > 0, np.ones((3, 60))]).astype(float)
    view = known(known(start(truth, 0, 2), truth, [0, 1]), truth, [2, 3, 4], slice(0, 3))
    choice = choose(view, 1)
    assert choice.pick == 1
    assert choice.full == (1, 0)


@pytest.mark.parametrize("name", SPENDING)
def test_no_call_is_made_for_a_variant_that_fell(name: str) -> None:
    """What falls, falls between rounds: none of its cells is queued then, and none is planned ever after."""
    truth = worlds(11, 20, 60)
    _, plans = play(named(name), start(truth, 400, 2), truth)
    fallen: set[int] = set()
    for plan in plans:
        fallen |= set(plan.dropped)
        assert not fallen & {v for v, _ in plan.cells}
    assert fallen or name in {"ucb", "top_two"}, "bandits drop nobody before the end"


# The order of the rows -----------------------------------------------------------------------------------------------


def slow_order(rows: np.ndarray, count: int) -> list[int]:
    """The greedy choice computed directly: the posterior variance of the mean after each candidate, by inversion."""
    s = shrunk(rows)
    n = len(s)
    one = np.full(n, 1 / n)
    chosen: list[int] = []
    for _ in range(count):
        drops = {}
        for i in set(range(n)) - set(chosen):
            at = [*chosen, i]
            cross = s[at] @ one
            drops[i] = cross @ np.linalg.solve(s[np.ix_(at, at)], cross)
        best = max(drops.values())
        chosen.append(min(i for i, drop in drops.items() if drop > best - 1e-12))
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_the_rows_that_tell_most_are_those_that_a_direct_computation_finds(seed: int) -> None:
    rows = np.random.default_rng(seed).random((5, 18)) ** 2
    assert informative(rows, 10).tolist() == slow_order(rows, 10)


def test_the_covariance_is_shrunk_as_written_down() -> None:
    """S = H/(H+10) Cov + 10/(H+10) T + .05 vb I, as the fact sheet of allocation has it."""
    rows = np.random.default_rng(0).random((4, 7))
    cov = np.cov(rows.T, bias=True)
    v = np.diag(cov)
    vb = v.mean()
    t = 0.25 * vb + 0.75 * v
    prior = 0.1 * np.sqrt(np.outer(t + 0.02 * vb, t + 0.02 * vb))
    np.fill_diagonal(prior, t + 0.05 * vb)
    np.testing.assert_allclose(shrunk(rows), 4 / 14 * cov + 10 / 14 * prior + 0.05 * vb * np.eye(7), rtol=1e-12)


def test_rows_on_which_all_finalists_agree_go_last_and_every_third_row_is_of_the_shared_order() -> None:
    rng = np.random.default_rng(1)
    truth = np.ones((6, 40))
    telling = rng.permutation(40)[:12]
    truth[1:, telling] = (rng.random((5, 12)) < 0.5).astype(float)
    truth[1, telling], truth[2, telling] = 0, 1
    view = known(start(truth), truth, range(1, 6))
    order = item_order(view)
    assert sorted(order.tolist()) == list(range(40))
    first = order[:15].reshape(5, 3)
    assert set(first[:, :2].ravel().tolist()) <= set(telling.tolist())
    assert first[:, 2].tolist() == sorted(first[:, 2].tolist()), "the others as they stand in the shared order"
    assert first[0, 2] == min(set(range(40)) - set(first[0, :2].tolist()))


def test_the_order_is_the_shared_one_below_three_complete_rows_and_the_same_whenever_it_is_asked_for() -> None:
    truth = worlds(8, 9, 50)
    view = start(truth)
    assert item_order(known(view, truth, [0, 1])).tolist() == list(range(50))
    some = known(view, truth, [0, 1, 2])
    order = item_order(some)
    assert order.tolist() != list(range(50))
    deeper = known(some, truth, [4, 5], order[:20])
    assert item_order(deeper).tolist() == order.tolist(), "what the cohort itself scored changes nothing"


def test_an_order_is_made_of_missing_and_equal_rows_too() -> None:
    truth = np.ones((4, 30))
    assert sorted(item_order(known(start(truth), truth, range(4))).tolist()) == list(range(30))
    truth[1:3, 5:9] = NAN
    truth[:, 7] = NAN
    assert sorted(item_order(known(start(truth), truth, range(4))).tolist()) == list(range(30))


# The race ------------------------------------------------------------------------------------------------------------


def test_the_upper_bound_is_the_one_written_down() -> None:
    gaps = np.array([[1.0, 0, -1, 0, 0, NAN], [0, 0, 0, 0, 0, 0]])
    n, d = 5, 0.0
    v = (2 - n * d * d + 1) / n
    assert upper(gaps, 11, 2.25)[0] == pytest.approx(d + 2.25 * math.sqrt(v / n * (11 - n) / 10))
    assert upper(gaps, 6, 2.25)[1] == 0, "on the last row nothing is open"


def test_the_race_keeps_its_claim_and_saves_most_of_the_grid() -> None:
    """40 draws of a 25 x 200 world: within one point of the best in at least 36, for less than half of the cells."""
    kept, spent = 0, 0
    race = Race()
    for seed in range(40):
        truth = worlds(seed, 25, 200)
        end, _ = play(race, start(truth, math.inf), truth)
        assert proven(end, race)
        left = np.flatnonzero(end.live)
        assert len(left) <= 2 or end.asked[left[1:]].all(), "one beside the baseline, or all is known of those left"
        means = truth.mean(axis=1)
        kept += means[left].max() >= means.max() - 0.01 - 1e-9
        spent += int(end.asked.sum())
    assert kept >= 36
    assert spent < 0.5 * 40 * 25 * 200


def test_a_race_that_the_budget_ended_claims_nothing() -> None:
    truth = worlds(1, 25, 200, 0.02)
    race = Race()
    end, _ = play(race, start(truth, 25 * 12), truth)
    assert not proven(end, race)
    assert not proven(start(truth), race)


def test_inside_a_search_that_goes_on_the_race_is_loose_and_claims_nothing() -> None:
    truth = worlds(1, 25, 200)
    view = start(truth, 4000, 1)
    wide = replace(view, space=Space((Slot("row", "choice", tuple(range(10**6))),)))
    loose, strict = (play(Race(), each, truth) for each in (wide, view))
    assert not proven(loose[0], Race())
    assert loose[0].asked.sum() < strict[0].asked.sum()


def test_bets_err_no_more_often_than_they_may() -> None:
    """1,000 sets whose mean is exactly the limit, drawn to the last row: at most 5 % are ever called below it."""
    rng = np.random.default_rng(0)
    values = np.tile(np.r_[np.ones(30), -np.ones(20), np.zeros(50)], (1000, 1))
    drawn = rng.permuted(values, axis=1)[:, :99]
    wrong = below(drawn, 100, 0.1, 0.05).mean()
    assert wrong <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 1000)
    assert below(drawn, 100, 0.4, 0.05).mean() > 0.95, "and what is well below is found"
    assert not below(np.full((1, 60), NAN), 100, 0.1, 0.05).any(), "missing values prove nothing"


def test_a_proof_never_needs_to_be_taken_back() -> None:
    drawn = np.random.default_rng(1).permuted(np.tile(np.r_[np.ones(20), -np.ones(60)], (50, 1)), axis=1)
    before = np.zeros(50, bool)
    for depth in range(1, 81):
        now = below(drawn[:, :depth], 80, 0.0, 0.05)
        assert not (before & ~now).any()
        before = now
    assert before.all()


def test_a_strict_race_is_never_more_than_a_point_off_in_forty_draws() -> None:
    race = Race(strict=True)
    for seed in range(40):
        truth = worlds(seed, 12, 150)
        end, _ = play(race, start(truth, math.inf), truth)
        assert proven(end, race)
        means = truth.mean(axis=1)
        assert means[end.live].max() >= means.max() - 0.01 - 1e-9


def test_in_a_strict_race_the_hopeless_fall_on_the_way_and_the_near_ones_rest() -> None:
    truth = worlds(3, 12, 400)
    truth[5] = 0.0
    truth[6] = truth[7]
    truth[7:9] = np.clip(truth[7:9] + (np.arange(400) % 3 > 0), 0, 1)
    truth[8, ::2] = truth[7, ::2]
    _, plans = play(Race(strict=True), start(truth, math.inf), truth)
    fell = next(number for number, plan in enumerate(plans) if 5 in plan.dropped)
    assert fell < len(plans) - 2, "long before the end"
    assert 5 not in {v for plan in plans[fell:] for v, _ in plan.cells}


def test_nobody_falls_in_a_race_before_its_part_of_a_large_dev_set() -> None:
    truth = worlds(3, 6, 500)
    first = Race()(start(truth), np.random.default_rng(0))
    assert {i for _, i in first.cells} == set(range(round(500 * Race().part)))
    least = Race(part=0.0)(start(truth), np.random.default_rng(0))
    assert {i for _, i in least.cells} == set(range(10))


@pytest.mark.parametrize("options", [{"z": 0}, {"warm": 0}, {"eps": -1}, {"block": 0}, {"part": 1}])
def test_a_race_without_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="0"):
        Race(**options)


# Bandits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ucb", "top_two"])
def test_a_bandit_spends_on_the_good_ones(name: str) -> None:
    truth = worlds(7, 30, 200, 0.02)
    truth[[4, 9]] = (np.random.default_rng(1).random((2, 200)) < 0.95).astype(float)
    end, _ = play(named(name), start(truth, 30 * 12), truth)
    pulls = end.asked.sum(axis=1)
    assert pulls[[4, 9]].min() > 2 * np.median(pulls)
    assert set(np.flatnonzero(end.live).tolist()) <= {0, 4, 9}


@pytest.mark.parametrize("name", ["ucb", "top_two"])
def test_a_bandit_keeps_back_what_completes_the_finalists(name: str) -> None:
    truth = worlds(7, 24, 60)
    end, _ = play(named(name), start(truth, 650, 4), truth)
    assert (end.asked.all(axis=1) & end.live).sum() >= 4, "the baseline, and three or four of four seats"


# Halving -------------------------------------------------------------------------------------------------------------


def test_where_calls_are_short_the_first_rungs_of_halving_are_too() -> None:
    """10 calls per variant: a first rung of 8 rows for all would leave nothing to halve with."""
    truth = worlds(9, 60, 300)
    end, plans = play(named("halving"), start(truth, 600), truth)
    first = len({i for _, i in plans[0].cells})
    assert 1 <= first <= 3
    assert sum(bool(plan.cells) for plan in plans) >= 5
    assert end.asked.sum() > 0.9 * 600


def test_brackets_share_out_the_variants_and_the_calls_and_run_one_after_the_other() -> None:
    """Hyperband: the first bracket holds the most variants and starts on the fewest rows."""
    assert [list(part) for part in shared_out(10, 1)] == [list(range(1, 11))]
    parts = shared_out(59, 3)
    assert [v for part in parts for v in part] == list(range(1, 60))
    sizes = [len(part) for part in parts]
    assert sizes[0] > max(sizes[1:])
    truth = worlds(9, 60, 300)
    end, plans = play(named("halving", brackets=3), start(truth, 900), truth)
    order = [next(b for b, part in enumerate(parts) if v in part) for plan in plans for v, _ in plan.cells[-1:]]
    assert sorted(set(order)) == [0, 1, 2]
    assert order == sorted(order)
    first = [len({i for v, i in next(plan for plan, b in zip(plans, order) if b == k).cells}) for k in range(3)]  # noqa: B905
    assert first == sorted(first)
    spent = [end.asked[list(part)].sum() for part in parts]
    assert min(spent) > 0.2 * 900
    assert [int(end.live[list(part)].sum()) for part in parts] == [2, 2, 2]


# What may be said ----------------------------------------------------------------------------------------------------


def test_what_is_said_after_a_race_names_the_rows_the_margin_and_how_often_it_errs() -> None:
    said = raced(Race(), 40, Unit())
    assert "within 1 point" in said
    assert "on these dev rows" in said.lower()
    assert "3-6 %" in said
    assert "proven, wrong in at most 5 %" in raced(Race(strict=True), 40, Unit())
    assert "not measured" in raced(Race(z=0.5), 40, Unit())
    assert "not measured" in raced(Race(), 40, Unit(rate=False))


def test_what_is_said_after_a_fixed_budget_is_what_replays_measured_and_no_confidence() -> None:
    assert "27 %" in fixed(3)
    assert "27 %" in fixed(1)
    assert "51 %" in fixed(10)
    assert "85 %" in fixed(1000)
    shares = [int(fixed(calls).split(" % of runs")[0].split()[-1]) for calls in (3, 4, 7, 10, 15, 30, 40)]
    assert shares == sorted(shares)
    assert "95 %" not in "".join(fixed(calls) for calls in range(1, 60))
    assert fixed(7, 1234).endswith("proving it takes about 1,234 calls more (`allocate: race`).")
    assert fixed(math.inf) == fixed(0) == ""


def test_the_rows_that_a_rival_still_needs_are_those_after_which_its_bound_is_eps() -> None:
    race, whole, gap, variance = Race(), 1000, 0.05, 0.3
    n = needed(gap, variance, 0, whole, race)
    bound = lambda rows: -gap + race.z * math.sqrt(variance / rows * (whole - rows) / (whole - 1))  # noqa: E731
    assert bound(n) <= race.eps < bound(n - 1)
    assert needed(-0.02, variance, 100, whole, race) == 900
    assert all(a >= b for a, b in itertools.pairwise(needed(g, variance, 0, whole, race) for g in (0, 0.02, 0.1)))
