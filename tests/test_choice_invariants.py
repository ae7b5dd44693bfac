"""The rule over random scores, prices and limits: what always holds, and that no order of anything matters."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pytest
from choice_world import arm
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.choice.arm import Arm, Serving, Setup
from promptlab.choice.bounds import bounds
from promptlab.choice.costs import Use, per_call, total
from promptlab.choice.limits import Limits
from promptlab.choice.reason import legend, reason, sentences
from promptlab.choice.rule import Choice, reference_of, rule
from promptlab.choice.table import rows
from promptlab.experiment.choose import ARMS

FLIPS = 99
BAD = ("  ", "..", ";.", ": .", " ,", "( ", "nan", "None", "()", "; ;", "inf", "-0.0")
USD = st.one_of(st.none(), st.sampled_from([0.0, 0.001, 0.002, 0.005]))
SCORE = st.sampled_from([0.0, 0.0, 1.0, 1.0, 1.0, math.nan])


World: TypeAlias = tuple[list[Arm], Limits, dict[str, Any]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Arms that agree on most rows, some of which cost nothing, or nobody knows what; weights, and rows read before."""
    names = draw(st.lists(st.sampled_from(ARMS), min_size=2, max_size=5, unique=True))
    n = draw(st.integers(3, 60))
    base = np.array(draw(st.lists(SCORE, min_size=n, max_size=n)))
    arms = []
    for name in names:
        scores = base.copy()
        for at in draw(st.lists(st.integers(0, n - 1), max_size=n // 2)):
            scores[at] = draw(SCORE)
        setup = Setup(search=draw(USD), training=draw(USD))
        serving = Serving(usd=draw(USD), p95_ms=draw(st.sampled_from([None, 50.0, 500.0])))
        several = "tuned" in name and draw(st.booleans())
        seeds = tuple(np.clip(scores + shift, 0, 1) for shift in (-0.2, 0.0, 0.2)) if several else ()
        scored = np.mean(np.array(seeds), axis=0) if several else scores
        arms.append(
            arm(name, scored, draw(st.sampled_from([0.2, 0.5, 0.8])), setup=setup, serving=serving, seeds=seeds)
        )
    limits = Limits(
        margin=draw(st.sampled_from([0.02, 0.1, 0.4])),
        target=draw(st.sampled_from([None, None, 0.3])),
        p95_ms=draw(st.sampled_from([None, None, 100.0])),
        usd_per_1k=draw(st.sampled_from([None, None, 3.0])),
        use=Use(draw(st.sampled_from([None, 1000.0]))),
    )
    weights = np.array(draw(st.lists(st.sampled_from([0.0, 1.0, 1.0, 2.0, 9.0]), min_size=n, max_size=n)))
    reads = draw(st.sampled_from([1, 1, 2, 20]))
    return arms, limits, {"reads": reads, "weights": weights if draw(st.booleans()) and weights.any() else None}


def ruled(world: World) -> Choice:
    arms, limits, how = world
    return rule(arms, reference_of(arms, limits), limits, flips=FLIPS, **how)


@settings(max_examples=50, deadline=None)
@given(worlds())
def test_what_is_taken_is_as_good_inside_the_limits_and_the_cheapest_of_those(world: World) -> None:
    limits, choice = world[1], ruled(world)
    good = [each for each in choice.judged if each.eligible and not each.outside]
    assert (choice.name is None) == (not good)
    if choice.name is not None:
        pick = choice.of(choice.name)
        assert pick in good
        if choice.basis == "total":
            assert pick.total == min(total(each.arm, limits.use) for each in good)  # type: ignore[type-var]
        if choice.basis == "call":
            assert per_call(pick.arm, limits.use) == min(per_call(each.arm, limits.use) for each in good)  # type: ignore[type-var]
        if choice.basis == "parts":
            assert pick.arm.parts == min(each.arm.parts for each in good)
    for each in choice.judged:
        assert (each.verdict == "outside") == bool(each.outside)
        assert (each.verdict in ("chosen", "until then")) == (each.arm.name == choice.name)
        assert (each.verdict == "chosen") == (each.arm.name == choice.name and choice.decided)
    if choice.refuted:
        assert not choice.of(choice.reference).outside
        assert choice.of(choice.refuted).verdict in ("worse", "outside")
        assert f"{choice.refuted} was the best on dev" in " ".join(sentences(choice))


@settings(max_examples=50, deadline=None)
@given(worlds())
def test_eligible_and_p_adjusted_say_what_the_verdict_says(world: World) -> None:
    limits, choice = world[1], ruled(world)
    for each, row in zip(choice.judged, rows(choice, date(2026, 1, 1)), strict=True):
        assert row["verdict"] == each.verdict
        assert row["eligible"] == (each.verdict in ("chosen", "until then", "eligible"))
        if each.bound is None or math.isnan(each.bound.low):
            continue
        shown = each.bound.low > -limits.margin
        assert (each.bound.p <= 0.05) == shown
        assert shown or not row["eligible"]
        assert not shown or each.eligible or each.failed
        assert each.verdict != "worse" or each.bound.high < -limits.margin
        assert each.bound.low <= each.bound.delta <= each.bound.high
        assert math.isfinite(each.bound.high - each.bound.low)
        if choice.decided and not each.outside and each.arm.name != choice.name:
            assert each.bound.high < limits.margin
        assert row["reason"].startswith(reason(choice, each))


@settings(max_examples=50, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_no_order_of_rows_or_arms_changes_anything(world: World, chance: object) -> None:
    arms, limits, how = world
    order = list(range(len(arms[0].scores)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    moved = [replace(each, scores=each.scores[order], seeds=tuple(s[order] for s in each.seeds)) for each in arms]
    chance.shuffle(moved)  # type: ignore[attr-defined]
    weights = None if how["weights"] is None else how["weights"][order]
    one, other = ruled(world), ruled((moved, limits, {**how, "weights": weights}))
    assert (one.name, one.decided, one.basis, one.rows) == (other.name, other.decided, other.basis, other.rows)
    assert set(one.rivals) == set(other.rivals)
    for each in one.judged:
        same = other.of(each.arm.name)
        assert (each.verdict, each.eligible) == (same.verdict, same.eligible)
        if each.bound is not None and same.bound is not None:
            told = [(b.n, b.delta, b.low, b.high, b.p) for b in (each.bound, same.bound)]
            assert told[0] == pytest.approx(told[1], abs=1e-9, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(worlds())
def test_every_sentence_reads_as_one(world: World) -> None:
    """No doubled words or stops, no bare NaN or None, no arm that is told of twice in one clause."""
    choice = ruled(world)
    said = [*sentences(choice), *(f"{row['reason']}." for row in rows(choice, date(2026, 1, 1)))]
    for each in (*said, *(f"{line}." for line in legend(choice))):
        assert each.endswith(".")
        assert [part for part in BAD if part in each] == []
        words = each.split()
        assert all(one != two for one, two in pairwise(words))
    assert said[0].startswith(("Choice: ", "Not decided: "))
    assert ("Until then take" in " ".join(said)) == (choice.name is not None and not choice.decided)
    for judged in choice.judged:
        told = any(each.startswith(f"{judged.arm.name} is outside the limits: ") for each in said)
        assert told == bool(judged.outside)
        if judged.total is not None:
            assert f"${judged.total:,.2f}"[:3] in reason(choice, judged)


def test_bounds_hold_for_another_tuning_seed_where_rows_alone_would_not() -> None:
    """SE² += s²_seed/S: three seeds with a spread of four points, on rows on which the two hardly disagree."""
    rng = np.random.default_rng(8)
    held = alone = 0
    for _ in range(400):
        apart = rng.normal(0, 0.04, 3)
        seeds = rng.normal(0, 0.05, (3, 300)) + apart[:, None]
        spread = float(np.var(seeds.mean(axis=1), ddof=1)), 3
        d, seed = seeds.mean(axis=0)[None, :], int(rng.integers(1 << 30))
        held += bounds(d, 0.02, seed, spread=[spread], flips=FLIPS)[0].low <= 0
        alone += bounds(d, 0.02, seed, flips=FLIPS)[0].low <= 0
    assert held / 400 >= 0.93
    assert alone / 400 <= 0.75


def test_an_arm_that_is_worse_needs_no_price_for_dollars_to_decide() -> None:
    right = (np.arange(4000) < 3200).astype(float)
    worse = arm("fine-tuned", np.zeros(4000), 0.1, setup=Setup(unpriced=("`tune.price.train` is not given",)))
    arms = [arm("rag", right, 0.9, usd=0.001), arm("rag+demos", right, 0.8, usd=0.0001), worse]
    choice = rule(arms, "rag", Limits(use=Use(1000)))
    assert (choice.name, choice.basis) == ("rag+demos", "total")
    assert "tune.price.train" not in " ".join(sentences(choice))


def test_too_few_rows_for_an_interval_are_said_so() -> None:
    arms = [arm("rag", np.array([0.5, math.nan]), 0.9), arm("prompt", np.array([math.nan, math.nan]), 0.8)]
    made = rule(arms, "rag", Limits(target=0.8))
    said = " ".join(sentences(made))
    assert "rag is outside the limits: so few test rows cannot show that it reaches the target 80.0." in said
    told = " ".join([said, *(str(row["reason"]) for row in rows(made, date(2026, 1, 1)))])
    assert "nan" not in told
