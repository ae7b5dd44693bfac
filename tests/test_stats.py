"""Intervals and paired tests: against oracles, and by their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as oracle
from statsmodels.regression.linear_model import WLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from promptlab.stats import paired as stats
from promptlab.stats import power, ties
from promptlab.stats.paired import Interval, error_bounds, mcnemar_midp, mean, paired, rate_interval
from promptlab.stats.sample import codes_of, sample_of

NAN = math.nan
score = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1, width=32))
cell = st.one_of(score, st.just(NAN))
pairs = st.lists(st.tuples(cell, cell), min_size=2, max_size=40)
bits = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40)


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def skewed(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(0.1, n)


# One mean ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_a_rate_has_wilsons_interval(n: int) -> None:
    for k in range(n + 1):
        got = rate_interval([1] * k + [0] * (n - k))
        assert ends(got) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-12)


def test_a_mean_of_other_scores_has_a_t_interval_with_one_nth_added_to_the_variance() -> None:
    x = np.random.default_rng(0).uniform(0, 1, 30)
    expected = oracle.t.interval(0.95, 29, x.mean(), math.sqrt((x.var(ddof=1) + 1 / 30) / 30))
    assert ends(rate_interval(x)) == pytest.approx(expected, rel=1e-12)


def test_what_cannot_be_computed_is_nan() -> None:
    """No rows: nothing. One row: a rate still has an interval, another score has none, a difference has no t."""
    assert np.isnan([mean([NAN]), *ends(rate_interval([])), *ends(rate_interval([NAN, NAN]))]).all()
    assert np.isnan(ends(rate_interval([0.3]))).all()
    assert rate_interval([1.0]).low > 0.2
    assert np.isnan([paired([NAN], [1.0], 0).delta, *error_bounds([], [])]).all()
    one = paired([0.5], [0.25], 0)
    assert one.delta == 0.25
    assert np.isnan([one.low, one.high, one.p]).all()
    assert paired([NAN, 1.0], [1.0, NAN], 0).n == 0


@pytest.mark.parametrize("scores", [[1.0] * 9, [0.0] * 9, [0.5] * 9, [0.1] * 300])
def test_no_interval_has_zero_width(scores: list[float]) -> None:
    found = rate_interval(scores)
    difference = paired(scores, np.array(scores) * 0.5, 0)
    assert found.low < found.high
    assert difference.low < difference.high
    assert found.low <= scores[0] <= found.high


# Two variants --------------------------------------------------------------------------------------------------------


def test_a_paired_difference_has_the_t_interval_of_ttest_rel_with_one_nth_added() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.random(60) < 0.7).astype(float), (rng.random(60) < 0.6).astype(float)
    theirs = oracle.ttest_rel(a, b)
    variance = ((a - b).mean() / theirs.statistic) ** 2 * 60
    half = oracle.t.ppf(0.975, theirs.df) * math.sqrt((variance + 1 / 60) / 60)
    got = paired(a, b, 0)
    assert (got.low, got.high) == pytest.approx(((a - b).mean() - half, (a - b).mean() + half), rel=1e-9)


def test_on_a_scale_where_one_row_is_nothing_the_t_test_is_ttest_rel() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.1, 1, 80) * 1e7, rng.normal(0, 1, 80) * 1e7
    theirs = oracle.ttest_rel(a, b)
    got = paired(a, b, 0)
    assert got.p == pytest.approx(theirs.pvalue, rel=1e-6)
    assert (got.low, got.high) == pytest.approx(tuple(theirs.confidence_interval()), rel=1e-6)
    assert got.flips is None


def test_flips_and_mid_p_of_two_variants_scored_0_or_1() -> None:
    got = paired([1, 1, 1, 0, 0, NAN, 1], [0, 0, 1, 1, 0, 1, NAN], 0)
    assert (got.n, got.flips, got.delta) == (5, (2, 1), 0.2)
    assert got.p == mcnemar_midp(2, 1)


def test_mid_p_is_the_exact_p_less_half_the_observed_tables_probability_on_either_side() -> None:
    for fixed in range(12):
        for broken in range(12):
            exact = mcnemar([[0, fixed], [broken, 0]], exact=True).pvalue
            mid = mcnemar_midp(fixed, broken)
            observed = oracle.binom.pmf(fixed, fixed + broken, 0.5)
            assert 0 < mid <= exact + 1e-12
            assert mid == mcnemar_midp(broken, fixed)
            assert mid == pytest.approx(1.0 if fixed == broken else exact - observed)


def test_skewed_differences_of_few_rows_have_the_bca_interval_stretched_by_the_one_nth() -> None:
    d = skewed(60)
    theirs = oracle.bootstrap((d,), np.mean, method="BCa", rng=np.random.default_rng(9)).confidence_interval
    stretch = math.sqrt((d.var(ddof=1) + 1 / 60) / d.var(ddof=1))
    expected = [d.mean() + (end - d.mean()) * stretch for end in theirs]
    got = paired(d, np.zeros(60), 7)
    assert (got.low, got.high) == pytest.approx(expected, abs=0.004)
    assert got.high - got.delta > 1.1 * (got.delta - got.low), "the longer tail has the longer reach"
    symmetric = paired(skewed(200), np.zeros(200), 7)
    assert symmetric.high - symmetric.delta == pytest.approx(symmetric.delta - symmetric.low), "200 rows: t"


def test_the_bootstrap_depends_on_its_seed_alone() -> None:
    a, b = skewed(40), np.zeros(40)
    assert paired(a, b, 3) == paired(a, b, 3) != paired(a, b, 4)
    assert rate_interval(a, seed=3) == rate_interval(a, seed=3) != rate_interval(a, seed=4)


@settings(deadline=None, max_examples=60)
@given(pairs, st.randoms(use_true_random=False))
def test_paired_mirrors_holds_its_delta_and_ignores_row_order_and_missing_rows(rows, random) -> None:
    """Swapping a and b mirrors all; low <= delta <= high; rows in any order and rows without a score change nothing."""
    a, b = map(np.array, zip(*rows, strict=True))
    got = paired(a, b, 5)
    assume(got.n >= 2)
    other = paired(b, a, 5)
    assert (other.delta, other.low, other.high) == pytest.approx((-got.delta, -got.high, -got.low), abs=1e-12)
    assert other.p == pytest.approx(got.p)
    assert got.low <= got.delta <= got.high
    assert got.low < got.high
    assert 0 < got.p <= 1
    random.shuffle(rows)
    a, b = map(np.array, zip(*rows, strict=True))
    assert paired(a, b, 5) == got
    assert paired([*a, NAN, 1.0, NAN], [*b, 0.0, NAN, NAN], 5) == got


@settings(deadline=None, max_examples=60)
@given(bits)
def test_flips_are_the_difference(rows) -> None:
    a, b = zip(*rows, strict=True)
    got = paired(a, b, 0)
    fixed, broken = got.flips
    assert (fixed - broken) / len(rows) == pytest.approx(got.delta)


def test_a_skewed_difference_mirrors_too() -> None:
    a, w = skewed(40).round(2), np.r_[np.ones(20), np.full(20, 3.0)]
    for weights in (None, w):
        left, right = paired(a, a * 0, 1, weights), paired(a * 0, a, 1, weights)
        assert (left.low, left.high) == pytest.approx((-right.high, -right.low), abs=1e-12)


def test_missing_scores_bound_the_delta() -> None:
    """Two of a's four rows are errors: -0.25 if they were wrong, +0.25 if right; both sides' count."""
    assert error_bounds([1, 0, NAN, NAN], [0, 1, 1, 0]) == (-0.25, 0.25)
    assert error_bounds([1, NAN], [NAN, NAN]) == (0.5, 0.0)
    assert error_bounds([1, 0], [0, 0]) == (0.5, 0.5)


# Weights -------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(pairs, st.floats(0.01, 100))
def test_equal_weights_change_nothing(rows, weight: float) -> None:
    a, b = map(np.array, zip(*rows, strict=True))
    w = np.full(len(rows), weight)
    assert repr(paired(a, b, 1, w)) == repr(paired(a, b, 1))
    assert repr(rate_interval(a, w)) == repr(rate_interval(a))
    assert repr(mean(a, w)) == repr(mean(a))
    assert repr(error_bounds(a, b, w)) == repr(error_bounds(a, b))


def test_weighted_results_use_the_weighted_mean_and_kishs_rows() -> None:
    """Weights 2, 1, 1 and 0: 16/6 rows in effect, the last left out."""
    x, w = [1.0, 0.5, 0.0, 0.3], [2, 1, 1, 0]
    n = 16 / 6
    variance = (2 * 0.375**2 + 0.125**2 + 0.625**2) / 4 * n / (n - 1)
    assert mean(x, w) == 0.625
    assert ends(rate_interval(x, w)) == (0.0, 1.0), "no mean of shares lies outside"
    half = oracle.t.ppf(0.975, n - 1) * math.sqrt((49 * variance + 1 / n) / n)
    assert ends(rate_interval([7 * each for each in x], w)) == pytest.approx((7 * 0.625 - half, 7 * 0.625 + half))
    assert paired(x, [0, 0, 0, 0], 0, w).n == 3
    rate = rate_interval([1, 1, 0], [2, 1, 1])
    assert ends(rate) == pytest.approx(proportion_confint(0.75 * n, n, method="wilson"))


def test_with_unequal_weights_p_follows_the_weighted_delta() -> None:
    """Five rows fixed and one broken, but that one weighs ten: the weighted delta is negative, and no mid-p."""
    a, b = [1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1]
    got = paired(a, b, 0, [1, 1, 1, 1, 1, 10])
    assert got.delta == pytest.approx(-1 / 3)
    assert got.flips == (5, 1)
    assert got.p > 0.5 > paired(a, b, 0).p


def test_nothing_of_scipy_is_loaded_before_it_is_needed() -> None:
    for module in (stats, power, ties):
        assert not [name for name, value in vars(module).items() if getattr(value, "__name__", "").startswith("scipy")]


# Groups --------------------------------------------------------------------------------------------------------------


def clustered(rng: np.random.Generator, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    return rng.normal(0.2, 1, len(sizes))[groups] + rng.normal(0, 1, len(groups)), groups


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_in_groups_have_the_cluster_robust_p_of_statsmodels(weighted: bool) -> None:
    rng = np.random.default_rng(12)
    d, groups = clustered(rng, rng.integers(1, 9, 14))
    w = rng.uniform(0.5, 3, len(d)) if weighted else np.ones(len(d))
    fit = {"cov_type": "cluster", "cov_kwds": {"groups": groups}, "use_t": True}
    theirs = WLS(d, np.ones(len(d)), weights=w).fit(**fit)
    ours = sample_of(d, w, groups)
    assert ours.mean() == pytest.approx(theirs.params[0])
    # WLS counts parameters in its small-sample factor as OLS does: G/(G-1), with one parameter
    assert ours.standard_error(bare=True) == pytest.approx(theirs.bse[0], rel=1e-9)
    got = paired(d, np.zeros(len(d)), 0, w, groups=groups)
    assert got.p == pytest.approx(theirs.pvalues[0], rel=1e-9)
    half = oracle.t.ppf(0.975, 13) * math.sqrt(theirs.bse[0] ** 2 + 1 / ours.worth**2)
    assert (got.low, got.high) == pytest.approx((got.delta - half, got.delta + half))


def test_groups_of_one_row_are_no_groups() -> None:
    a, b = (np.random.default_rng(k).integers(0, 2, 30).astype(float) for k in (1, 2))
    assert paired(a, b, 0, groups=np.arange(30)[::-1]) == paired(a, b, 0)
    assert rate_interval(a, groups=np.arange(30)) == rate_interval(a)
    assert codes_of(["", "", "x"]) is None
    assert codes_of(["x", "", "x", ""]).tolist() == [2, 0, 2, 1]


def test_fewer_than_eight_groups_bear_no_p_and_fewer_than_two_no_interval() -> None:
    d = np.random.default_rng(3).normal(0.5, 1, 40)
    eight, seven = (paired(d, d * 0, 0, groups=np.arange(40) % count) for count in (8, 7))
    assert 0 < eight.p < 1
    assert math.isnan(seven.p)
    assert seven.low < seven.delta < seven.high
    one = paired(d, d * 0, 0, groups=np.zeros(40, int))
    assert np.isnan([one.p, one.low, *ends(rate_interval(d, groups=np.zeros(40, int)))]).all()


def test_rows_that_go_together_in_their_groups_have_the_interval_of_as_many_rows_as_groups() -> None:
    """20 groups of 5 copies are worth 20 rows, for a rate and for a difference; unlike rows are worth all of them."""
    rng = np.random.default_rng(4)
    once = (rng.random(20) < 0.7).astype(float)
    copies, groups = np.repeat(once, 5), np.repeat(np.arange(20), 5)
    assert sample_of(copies, None, groups).worth == pytest.approx(20)
    wide, narrow = (rate_interval(copies, groups=each) for each in (groups, None))
    alpha = 2 * oracle.norm.sf(oracle.t.ppf(0.975, 19))  # Wilson's, with the t of 20 groups
    expected = proportion_confint(once.sum(), 20, alpha=alpha, method="wilson")
    assert ends(wide) == pytest.approx(expected)
    assert wide.high - wide.low > 1.7 * (narrow.high - narrow.low)
    assert 60 < sample_of(rng.normal(0, 1, 100), None, groups).worth <= 100
    same = rate_interval(np.ones(100), groups=groups)
    assert same.low < 0.85, "all right: not as sure as 100 rows, of which .963 is the lower end"


def test_the_order_of_rows_in_groups_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    d, groups = clustered(rng, np.full(10, 4))
    order = rng.permutation(len(d))
    assert paired(d, d * 0, 0, groups=groups) == paired(d[order], d * 0, 0, groups=groups[order])


# p of graded scores --------------------------------------------------------------------------------------------------


def test_few_rows_that_differ_alike_are_no_evidence() -> None:
    """A t test of three equal differences has p 0; all their signs are alike by luck in one of four."""
    assert paired([0.4, 0.5, 0.6], [0.3, 0.4, 0.5], 0).p == 0.25
    assert paired([0.4] * 3 + [0.1] * 50, [0.3] * 3 + [0.1] * 50, 0).p >= 0.25
    assert paired([0.3, 0.3], [0.3, 0.3], 0).p == 1.0
