"""What each choice is worth: from a design block, complete or sampled, under a race, and near the winner."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from statsmodels.regression.linear_model import OLS
from statsmodels.tools import add_constant

from promptlab.comparison.effects import Effects, effects
from promptlab.comparison.factors import complete
from promptlab.comparison.matched import sole_difference
from promptlab.comparison.stability import repeats, spreads
from promptlab.comparison.transfer import spearman, transfers
from promptlab.stats.paired import Array, paired

Point = Mapping[str, str]


def factorial(**slots: Sequence[str]) -> list[dict[str, str]]:
    return [dict(zip(slots, values, strict=True)) for values in itertools.product(*slots.values())]


def tables(
    points: Sequence[Point], scores: Array, *, phase: Array | None = None, origin: str = "grid"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Results and predictions of one run; NaN = not asked. ``phase`` [variants, rows]: True = design."""
    slots = list(dict.fromkeys(name for point in points for name in point))
    columns = {name: name if name == "model" else f"slot.{name}" for name in slots}
    rows = [
        {"run": "r", "variant": f"v{v}", "status": "beaten" if v else "baseline", "parents": "",
         "origin": origin if v else "baseline", **{columns[name]: point.get(name, "") for name in slots}}
        for v, point in enumerate(points)
    ]  # fmt: skip
    cells = [
        {"run": "r", "variant": f"v{v}", "example": f"e{i}", "split": "dev", "score": scores[v, i],
         "phase": "design" if phase is not None and phase[v, i] else "search"}
        for v, i in zip(*np.nonzero(~np.isnan(scores)), strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows), pd.DataFrame(cells)


def named(found: Effects) -> dict[tuple[str, str], tuple[float, float, float]]:
    return {(each.slot, each.value): (each.delta, each.low, each.high) for each in found.effects}


def test_a_complete_factorial_has_the_effects_of_ordinary_least_squares() -> None:
    points = factorial(task=("plain", "expert", "careful"), k=("0", "4", "8"), reasoning=("none", "brief"))
    scores = np.random.default_rng(1).random((len(points), 40))
    found = effects(*tables(points, scores))
    assert (found.source, found.variants, found.rows, found.sampled) == ("design", 18, 40, False)
    dummies = [[p["task"] == "expert", p["task"] == "careful", p["k"] == "4", p["k"] == "8", p["reasoning"] == "brief"]
               for p in points]  # fmt: skip
    cells = np.repeat(np.array(dummies, float), 40, axis=0)
    oracle = OLS(scores.ravel(), add_constant(cells)).fit().params[1:]
    order = [("task", "expert"), ("task", "careful"), ("k", "4"), ("k", "8"), ("reasoning", "brief")]
    assert [named(found)[key][0] for key in order] == pytest.approx(list(oracle))
    assert {each.against for each in found.effects} == {"plain", "0", "none"}, "the baseline's values"


def test_two_variants_are_the_paired_comparison() -> None:
    """The same difference, and the t interval with the same 1/n added."""
    scores = (np.random.default_rng(2).random((2, 60)) < [[0.4], [0.7]]).astype(float)
    [only] = effects(*tables(factorial(task=("plain", "expert")), scores)).effects
    gap = paired(scores[0], scores[1], 0)
    assert only.value == "expert"
    assert (only.delta, only.low, only.high) == pytest.approx((-gap.delta, -gap.high, -gap.low))


def test_a_slot_is_told_at_the_average_of_the_slots_that_hang_on_it() -> None:
    points: list[dict[str, str]] = [{"k": "0"}, {"k": "4", "order": "given"}, {"k": "4", "order": "last"}]
    scores = np.tile([[0.0], [0.5], [0.9]], 20)
    found = named(effects(*tables(points, scores)))
    assert found["k", "4"][0] == pytest.approx(0.7)
    assert found["order", "last"][0] == pytest.approx(0.4)


def test_interactions_that_matter_are_told_and_others_are_not() -> None:
    points = factorial(a=("0", "1"), b=("0", "1"), c=("0", "1"))
    chance = np.array([0.3 + 0.5 * (p["a"] == "1" and p["b"] == "1") for p in points])
    scores = (np.random.default_rng(3).random((8, 200)) < chance[:, None]).astype(float)
    found = effects(*tables(points, scores))
    assert [each.slots for each in found.interactions] == [("a", "b")]
    assert found.interactions[0].low < 0.5 < found.interactions[0].high
    assert found.looked == 3
    assert effects(*tables(points, scores), seed=0) == found
    points = factorial(a="01", b="01", c="01", d="01", e="01")
    nothing = sum(
        bool(effects(*tables(points, np.random.default_rng(s).integers(0, 2, (32, 30)).astype(float))).interactions)
        for s in range(25)
    )
    assert nothing <= 3, "at most one comparison in twenty tells of one that is not there"


def test_missing_cells_are_left_out_of_their_row_alone() -> None:
    points = factorial(task=("plain", "expert"), k=("0", "4"))
    rows = np.random.default_rng(4).normal(0, 5, 30)
    scores = np.array([[0.0], [1.0], [2.0], [3.0]]) + rows  # additive: every row alone says the same
    table, cells = tables(points, scores)
    cells.loc[cells.sample(12, random_state=1).index, "score"] = np.nan
    found = named(effects(table, cells))
    assert found["task", "expert"][0] == pytest.approx(2.0)
    assert found["k", "4"][0] == pytest.approx(1.0)


def test_what_the_variants_cannot_tell_is_said() -> None:
    points = [{"a": "0", "b": "0"}, {"a": "1", "b": "1"}, {"a": "0", "b": "0", "c": "x"}]
    found = effects(*tables(points, np.random.default_rng(5).random((3, 20))))
    assert found.effects == ()
    assert set(found.unclear) == {("a", "1"), ("b", "1")}


def world(rng: np.random.Generator) -> tuple[list[dict[str, str]], Array]:
    """A space with a conditional slot, and what each variant gets right in the long run; slots interact."""
    points = [
        {"task": task, "k": k, **({"order": order} if order else {})}
        for task in "abcd"
        for k in ("0", "4", "8")
        for order in (("given", "last") if k != "0" else ("",))
    ]
    worth = {"b": 0.05, "c": -0.05, "d": 0.1, "4": 0.1, "8": 0.2, "last": 0.05}
    base = [0.4 + sum(worth.get(value, 0.0) for value in point.values()) for point in points]
    return points, np.array(base) + rng.normal(0, 0.04, len(points))


def test_intervals_cover_under_a_race() -> None:
    """EVIDENCE 10: seeded variants x the first rows, then a race that gives the rest of the rows to the better half."""
    hits = total = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        points, chance = world(rng)
        truth = named(effects(*tables(points, np.tile(chance[:, None], 2))))
        hard = rng.normal(0, 0.25, 40)
        scores = (rng.random((len(points), 40)) < np.clip(chance[:, None] + hard, 0.02, 0.98)).astype(float)
        drawn = np.sort(rng.choice(len(points), 14, replace=False))
        design = np.zeros(scores.shape, bool)
        design[drawn, :16] = True
        lost = np.argsort(np.where(design, scores, 0).sum(axis=1))[: len(points) // 2]
        scores[lost, 16:] = np.nan
        found = effects(*tables(points, scores, phase=design))
        assert (found.variants, found.rows, found.sampled) == (14, 16, True)
        for key, (_, low, high) in named(found).items():
            if {each.against for each in found.effects if each.slot == key[0]} <= {"a", "0", "given"}:
                hits += low <= truth[key][0] <= high
                total += 1
    assert total > 200
    assert hits / total >= 0.93


def test_of_raced_cells_nothing_is_told_but_matched_pairs_near_the_winner() -> None:
    points = factorial(task=("plain", "expert"), k=("0", "4"))
    scores = np.random.default_rng(6).random((4, 30))
    scores[1, 10:] = np.nan  # plain with 4 demos fell
    table, cells = tables(points, scores)
    found = effects(table, cells)
    assert found.source == "near the winner"
    told = [(each.slot, each.value, each.against) for each in found.effects]
    assert told == [("task", "expert", "plain"), ("k", "4", "0")], "of the three that were scored in full"
    gap = paired(scores[2], scores[0], 0)
    assert (found.effects[0].delta, found.effects[0].low) == pytest.approx((gap.delta, gap.low))
    assert found.interactions == ()


def test_proposals_that_saw_scores_are_no_design() -> None:
    table, cells = tables(factorial(task=("a", "b"), k=("0", "4")), np.random.default_rng(7).random((4, 30)))
    assert effects(table.assign(origin="evolve"), cells).source == "near the winner"


@given(st.lists(st.sampled_from(factorial(a="012", b="01", c="01")), min_size=1, unique_by=lambda p: tuple(p.items())))
def test_a_set_is_complete_only_if_no_combination_of_its_values_is_missing(points: list[dict[str, str]]) -> None:
    size = np.prod([len({point[slot] for point in points}) for slot in "abc"])
    assert complete(points) == (len(points) == size)


def test_slots_that_hang_on_another_do_not_make_a_second_difference() -> None:
    assert sole_difference({"k": "0", "t": "a"}, {"k": "4", "order": "given", "t": "a"}) == "k"
    assert sole_difference({"k": "4", "order": "given", "t": "a"}, {"k": "0", "t": "a"}) == "k"
    assert sole_difference({"k": "0", "t": "a"}, {"k": "4", "t": "b"}) is None


# Stability and transfer ----------------------------------------------------------------------------------------------


def test_repeats_tell_how_far_one_prompt_differs_from_itself() -> None:
    rng = np.random.default_rng(8)
    first = (rng.random(400) < 0.5).astype(float)
    flipped = rng.random(400) < 0.1
    again = np.where(flipped, 1 - first, first)
    rows = [
        {
            "run": "r",
            "variant": "v",
            "split": "dev",
            "row": i,
            "repeat": r,
            "score": s,
            "answer": str(s),
            "status": "ok",
        }
        for r, scores in enumerate((first, again))
        for i, s in enumerate(scores)
    ]
    found = repeats(pd.DataFrame(rows))
    assert found is not None
    assert (found.variants, found.rows, found.repeats) == (1, 400, 2)
    assert found.changed == pytest.approx(flipped.mean())
    assert found.floor == pytest.approx(1.96 * np.sqrt(np.mean((first - again) ** 2) / 400))
    assert repeats(pd.DataFrame(rows[:400])) is None, "nothing was asked twice"


def test_order_and_wording_spread_only_where_variants_are_otherwise_equal() -> None:
    points = [{"task": "a", "bank.order": o} for o in ("given", "last")] + [{"task": "b", "bank.order": "given"}]
    scores = np.tile([[0.2], [0.5], [0.9]], 20)
    table, cells = tables(points, scores)
    [order] = spreads(table, cells, 0)
    assert (order.slot, order.kind, order.groups, order.variants) == ("bank.order", "demos", 1, 2)
    assert (order.mean, order.most) == pytest.approx((0.3, 0.3))
    assert order.luck < 0.15
    table.loc[2, ["slot.task", "parents"]] = ["Say in other words", "v0"]
    wording = [each for each in spreads(table, cells, 0) if each.kind == "wording"]
    assert [(each.slot, each.variants) for each in wording] == [("task", 2)]
    assert wording[0].mean == pytest.approx(0.7)


def test_luck_alone_spreads_equal_variants_as_far_as_is_told() -> None:
    points = [{"task": str(i), "bank.seed": str(s)} for i in range(30) for s in range(3)]
    table, cells = tables(points, np.random.default_rng(9).integers(0, 2, (90, 50)).astype(float))
    [seeds] = spreads(table, cells, 0)
    assert seeds.groups == 30
    assert seeds.mean == pytest.approx(seeds.luck, rel=0.2)


def test_a_winner_that_does_not_carry_over_is_told() -> None:
    points = factorial(model=("small", "big"), task=("a", "b", "c"))
    chance = np.array([0.8, 0.5, 0.3, 0.2, 0.5, 0.9])  # the other way round for big
    scores = (np.random.default_rng(10).random((6, 150)) < chance[:, None]).astype(float)
    found = {(each.model, each.other): each for each in transfers(*tables(points, scores), 0)}
    one = found["small", "big"]
    assert (one.best, one.tied, one.variants, one.rows, one.correlation) == ("v0", False, 3, 150, -1.0)
    gap = paired(scores[3], scores[5], 0)
    assert (one.delta, one.low, one.high) == pytest.approx((gap.delta, gap.low, gap.high))
    same = transfers(*tables(points, np.vstack([scores[:3], scores[:3]])), 0)
    assert all(each.tied and each.delta == 0 for each in same)
    assert transfers(*tables(points[:3], scores[:3]), 0) == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=20))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs, float).T
    if np.ptp(one) and np.ptp(other):
        assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)
    else:
        assert np.isnan(spearman(one, other))
