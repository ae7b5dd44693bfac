"""How far bounds of several arms stand off: together, in groups, with weights, over tuning seeds and readings."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from choice_world import FLIPS
from scipy import stats

from promptlab.choice.bounds import bounds
from promptlab.reads import penalty
from promptlab.stats.paired import paired


def test_all_lower_bounds_hold_together_in_95_percent() -> None:
    rng, true = np.random.default_rng(3), np.array([-0.1, 0.0, 0.05, 0.0])
    held = 0
    for _ in range(400):
        shared = rng.normal(size=60)
        drawn = 0.2 * shared + 0.3 * rng.normal(size=(4, 60)) + true[:, None]
        found = bounds(drawn, 0.02, int(rng.integers(1 << 30)), flips=FLIPS)
        held += all(each.low <= value for each, value in zip(found, true, strict=True))
    assert 0.93 <= held / 400 <= 0.985


def test_bounds_of_rows_in_groups_hold_where_plain_ones_would_not() -> None:
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(20), 6)
    held = plain = 0
    for _ in range(300):
        drawn = (0.3 * rng.normal(size=20))[codes][None, :]
        seed = int(rng.integers(1 << 30))
        held += bounds(drawn, 0.02, seed, groups=codes, flips=FLIPS)[0].low <= 0
        plain += bounds(drawn, 0.02, seed, flips=FLIPS)[0].low <= 0
    assert held / 300 >= 0.93
    assert plain / 300 < 0.85


@pytest.mark.parametrize(("n", "heavy", "weight", "broken", "group"), [
    (200, 10, 50, 0.18, 1), (100, 5, 20, 0.25, 1), (400, 8, 50, 0.25, 8),
])  # fmt: skip
def test_bounds_hold_where_a_few_heavy_rows_are_all_that_an_arm_gets_wrong(
    n: int, heavy: int, weight: int, broken: float, group: int
) -> None:
    """Often none of them is among the rows that were drawn: then hundreds of light ones bear out nothing."""
    rng, held, none = np.random.default_rng(3), 0, 0
    codes = None if group == 1 else np.arange(n) // group
    true = -0.8 * broken * heavy * weight / (heavy * weight + n - heavy)
    for _ in range(120):
        w = rng.permutation(np.where(np.arange(n) < heavy, float(weight), 1.0))
        good = rng.random(n) < 0.8
        d = -(good & (w > 1) & (rng.random(n) < broken)).astype(float)
        [found] = bounds(d[None, :], 0.02, int(rng.integers(1 << 30)), weights=w, groups=codes, flips=FLIPS)
        held += found.low <= true
        none += found.low > -0.02
    assert held / 120 >= 0.93
    assert none == 0


def test_the_bound_of_one_arm_is_that_of_students_t() -> None:
    """With 1/n added to the variance, as everywhere here."""
    d = np.random.default_rng(1).normal(0.1, 0.5, 150)
    [found] = bounds(d[None, :], 0.02, 0, flips=4999)
    error = math.sqrt(d.var(ddof=1) / 150 + 1 / 150**2)
    assert found.delta == pytest.approx(d.mean())
    assert found.low == pytest.approx(d.mean() - stats.t.ppf(0.95, 149) * error, abs=0.1 * error)
    assert found.p == pytest.approx(stats.t.sf((d.mean() + 0.02) / error, 149), abs=0.02)


def test_more_arms_widen_the_bounds_of_each() -> None:
    d = np.random.default_rng(1).normal(0.0, 0.5, (5, 100))
    assert bounds(d, 0.02, 0)[0].low < bounds(d[:1], 0.02, 0)[0].low


def test_tuning_seeds_widen_a_bound_by_their_variance_over_their_number() -> None:
    d = np.random.default_rng(1).normal(0.0, 0.5, 200)[None, :]
    alone, four, many = (bounds(d, 0.02, 0, spread=[(0.01, n)])[0] for n in (1, 4, 1000))
    error = math.sqrt(d.var(ddof=1) / 200 + 1 / 200**2)
    assert alone == bounds(d, 0.02, 0)[0]
    wide = math.sqrt(error**2 + 0.01 / 4)
    assert alone.delta - alone.low < many.delta - many.low < four.delta - four.low
    assert four.delta - four.low >= stats.t.ppf(0.95, 199) * wide


def test_under_eight_groups_or_two_rows_nothing_is_told() -> None:
    few = np.repeat(np.arange(7), 10)
    drawn = np.random.default_rng(0).normal(size=(1, 70))
    assert math.isnan(bounds(drawn, 0.02, 0, groups=few)[0].low)
    one = np.full((2, 70), np.nan)
    one[0, 3], one[1] = 1.0, drawn[0]
    alone, other = bounds(one, 0.02, 0)
    assert math.isnan(alone.low)
    assert math.isfinite(other.low)


def test_the_thirteenth_reading_of_the_rows_still_has_bounds_and_its_p_says_the_same() -> None:
    """5 % over so many readings is less than 4,999 flips can tell: Bonferroni's t then says how far a bound is off."""
    d = np.random.default_rng(1).normal(0.0, 0.1, (3, 400))
    widths = []
    for reads in (1, 12, 13, 40, 1000):
        level = 0.05 / penalty(reads)
        for each in bounds(d, 0.02, 0, level=level, flips=999):
            assert math.isfinite(each.low)
            assert (each.p <= level) == (each.low > -0.02)
        widths.append(each.delta - each.low)
    assert widths == sorted(widths)
    assert widths[-1] < 3 * widths[0]
    far = bounds(d + 1.0, 0.02, 0, level=0.05 / penalty(1000), flips=999)
    assert all(each.low > -0.02 and each.p <= 0.05 / penalty(1000) for each in far)


def test_the_weighted_difference_is_that_of_the_rows_which_both_have_and_lies_in_its_bounds() -> None:
    """Forty rows that weigh a hundred each, 38 of which one arm has no score on."""
    good, cheap, weights = np.ones(2000), np.ones(2000), np.ones(2000)
    weights[:40], cheap[100:160], cheap[:38] = 100.0, 0.0, np.nan
    for groups in (None, np.repeat(np.arange(400), 5)):
        [found] = bounds((cheap - good)[None, :], 0.02, 0, weights=weights, groups=groups, flips=FLIPS)
        assert found.delta == pytest.approx(paired(cheap, good, None, weights).delta)
        assert found.low < found.delta < found.high
        assert found.n == 1962


def test_equal_weights_change_nothing_and_a_row_of_weight_0_is_none() -> None:
    d = np.random.default_rng(1).normal(0.0, 0.5, (2, 120))
    for groups in (None, np.repeat(np.arange(24), 5)):
        plain = bounds(d, 0.02, 0, groups=groups, flips=FLIPS)
        same = bounds(d, 0.02, 0, groups=groups, weights=np.full(120, 2.5), flips=FLIPS)
        missing = d.copy()
        missing[:, 100:] = np.nan
        none = bounds(d, 0.02, 0, groups=groups, weights=(np.arange(120) < 100).astype(float), flips=FLIPS)
        left = bounds(missing, 0.02, 0, groups=groups, flips=FLIPS)
        for one, other in [*zip(plain, same, strict=True), *zip(none, left, strict=True)]:
            assert tuple(asdict(one).values()) == pytest.approx(tuple(asdict(other).values()))


def test_uneven_weights_widen_bounds_as_fewer_rows_would() -> None:
    """With d.f. and variance of Kish's number, and one heaviest row that disagrees more."""
    d = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 400, p=[0.1, 0.8, 0.1])[None, :]
    w = np.where(np.arange(400) % 10 == 0, 20.0, 1.0)
    [even], [uneven] = (bounds(d, 0.02, 0, weights=weights, flips=FLIPS) for weights in (None, w))
    apart = d[0] - np.average(d[0], weights=w)
    kish = w.sum() ** 2 / np.sum(w**2)
    error = math.sqrt(np.sum((w * apart) ** 2) / w.sum() ** 2 * kish / (kish - 1) + (20 / w.sum()) ** 2)
    assert uneven.low <= uneven.delta - stats.t.ppf(0.95, kish - 1) * error + 1e-9
    assert uneven.high - uneven.low > 1.5 * (even.high - even.low)
    assert uneven.psi == pytest.approx(400 * np.sum((w * d[0]) ** 2) / w.sum() ** 2)
