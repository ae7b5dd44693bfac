"""The rules of evidence, each checked by a seeded simulation: what the tool claims is true as often as it says.

A share of R simulated runs has a Monte-Carlo standard error of sqrt(p·(1-p)/R); where a limit allows for it, the
allowance is two of these and is written beside the limit. Two variants are "equal" when they have the same
chance on every row; rows differ in difficulty, so that variants go together as real ones do.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from evidence_world import (
    BAND,
    CLAIMS,
    Claim,
    answers,
    better_by_rereading,
    called_different,
    called_different_by_t,
    delta_covered,
    groups_called_different,
)
from scipy.stats import binom, ttest_rel

from promptlab.stats import paired as stats
from promptlab.stats.paired import error_bounds, paired, rate_interval
from promptlab.stats.ties import max_t, tie_set

NAN = math.nan


def two_errors(share: float, runs: int) -> float:
    return 2 * math.sqrt(share * (1 - share) / runs)


# Rule 1: non-answers -------------------------------------------------------------------------------------------------


def missing_because_hard(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a's scores, a's scores as they arrive, b's): b is truly 3 points better; a fails to answer on hard rows."""
    hard, luck = rng.random(n), rng.random(n)
    chance = 1 - 0.6 * hard
    a, b = (luck < chance - 0.03).astype(float), (luck < chance).astype(float)
    swap = rng.random(n) < 0.02
    a[swap] = 1 - a[swap]
    return a, np.where(rng.random(n) < 0.72 * hard**2, NAN, a), b


def test_rule_1_rows_missing_because_they_are_hard_inflate_a_mean_but_do_not_move_the_paired_pick() -> None:
    rng = np.random.default_rng(1)
    inflation, misled, moved, undecided = [], 0, 0, 0
    for _ in range(200):
        a, seen, b = missing_because_hard(rng, 1000)
        inflation.append(stats.mean(seen) - stats.mean(a))
        misled += stats.mean(seen) > stats.mean(b)
        moved += (paired(seen, b, 0).delta > 0) != (paired(a, b, 0).delta > 0)
        low, high = error_bounds(seen, b)
        undecided += low < 0 < high
    assert np.mean(inflation) == pytest.approx(0.047, abs=0.006)
    assert misled >= 140, "means over different rows pick the worse variant"
    assert moved == 0
    assert undecided == 200, "a quarter of the rows is missing: their answers could decide, and that is said"


# Rule 2: the winner without a test split -----------------------------------------------------------------------------


def test_rule_2_max_t_finds_a_variant_that_is_better() -> None:
    rng, found = np.random.default_rng(2), 0
    for seed in range(60):
        scores = answers(rng, np.r_[0.6, 0.8, np.full(19, 0.6)], 300)
        found += max_t(scores[1:] - scores[0], seed, flips=199, one_sided=True)[0] <= 0.025
    assert found >= 54


# Rule 3: the winner with one -----------------------------------------------------------------------------------------


def test_rule_3_on_dev_the_pick_looks_better_than_it_is_which_is_why_test_exists() -> None:
    rng, luck = np.random.default_rng(3), []
    for _ in range(100):
        dev, test = (answers(rng, np.full(41, 0.7), 100) for _ in range(2))
        deltas = (dev[1:] - dev[0]).mean(axis=1)
        pick = 1 + int(np.argmax(deltas))
        luck.append(deltas.max() - (test[pick] - test[0]).mean())
    assert np.mean(luck) > 0.05


# Rule 4: the tie set -------------------------------------------------------------------------------------------------


def test_rule_4_the_tie_set_shrinks_as_variants_spread() -> None:
    sets = [tie_set(answers(np.random.default_rng(6), np.linspace(low, 0.8, 20), 500), 1).sum() for low in (0.78, 0.3)]
    assert sets[0] >= 17
    assert sets[1] <= 8


# Rule 6: intervals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "lowest"), [(20, 0.91), (50, 0.92), (200, 0.93), (1000, 0.94)])
def test_rule_6_wilson_covers_in_the_band_on_average_over_rates(n: int, lowest: float) -> None:
    """Exact, over rates .02 to .98: the average is in the band at every n.

    At a single rate the coverage of counts jumps, so that no interval for 20 or 50 rows stays inside the band at
    all rates: the worst rate has ``lowest`` at least. From 1000 rows on every rate is in the band.
    """
    found = [rate_interval(np.arange(n) < k) for k in range(n + 1)]
    low, high = np.array([i.low for i in found]), np.array([i.high for i in found])
    rates = np.linspace(0.02, 0.98, 97)
    inside = (low <= rates[:, None]) & (rates[:, None] <= high)
    cover = np.sum(binom.pmf(np.arange(n + 1), n, rates[:, None]) * inside, axis=1)
    assert BAND[0] <= cover.mean() <= BAND[1]
    assert cover.min() >= lowest
    if n == 1000:
        assert cover.max() <= BAND[1]


@pytest.mark.parametrize(
    ("n", "fixed", "broken"),
    [
        (20, 0.3, 0.2), (50, 0.15, 0.15), (50, 0.2, 0.1),
        (200, 0.05, 0.05), (200, 0.1, 0.05), (200, 0.2, 0.1),
        (1000, 0.02, 0.02), (1000, 0.05, 0.05), (1000, 0.1, 0.05),
    ],
)  # fmt: skip
def test_rule_6_a_difference_covers_in_the_band_once_ten_flips_are_expected(
    n: int, fixed: float, broken: float
) -> None:
    assert BAND[0] <= delta_covered(n, fixed, broken, 20_000, n) <= BAND[1]


@pytest.mark.parametrize(
    ("n", "fixed", "broken"), [(20, 0.1, 0.05), (20, 0.02, 0.02), (50, 0.05, 0.05), (50, 0.02, 0.02)]
)
def test_rule_6_with_fewer_flips_a_difference_is_conservative_not_in_the_band(
    n: int, fixed: float, broken: float
) -> None:
    """The price of the 1/n: .97 to 1 where the plain t interval has as little as .92 (and zero width without flips)."""
    assert delta_covered(n, fixed, broken, 20_000, n) >= BAND[1]


@pytest.mark.parametrize(("n", "least"), [(200, 0.85), (1000, 0.92)])
def test_rule_6_a_difference_of_very_few_flips_all_one_way_covers_too_little(n: int, least: float) -> None:
    """The known gap: 1 % of the rows fixed, none broken. With 200 rows, 13 % of the samples show no flip at all."""
    assert least <= delta_covered(n, 0.01, 0.0, 20_000, n) < BAND[0]


SKEWED = {
    "a tenth partly right": (lambda rng, n: np.where(rng.random(n) < 0.9, 0, rng.random(n)), 0.05),
    "lognormal": (lambda rng, n: rng.lognormal(0, 1, n) / 10, math.exp(0.5) / 10),
    "nearly all right": (lambda rng, n: rng.beta(0.9, 0.1, n), 0.9),
}


@pytest.mark.parametrize("n", [20, 50, 150])
@pytest.mark.parametrize("shape", list(SKEWED))
def test_rule_6_skewed_scores_are_covered(n: int, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least .935, less two Monte-Carlo errors of 150 runs (.04); conservative at 20 and 50 rows."""
    monkeypatch.setattr(stats, "RESAMPLES", 499)
    draw, truth = SKEWED[shape]
    rng, runs, held = np.random.default_rng(7), 150, 0
    for seed in range(runs):
        found = paired(draw(rng, n), np.zeros(n), seed)
        held += found.low <= truth <= found.high
    assert held / runs >= BAND[0] - two_errors(BAND[0], runs)


@pytest.mark.parametrize("n", [20, 50, 200, 1000])
def test_rule_6_means_that_are_not_skewed_are_covered_in_the_band(n: int) -> None:
    """Scores between 0 and 1 around the middle, 1000 runs: .935 less two Monte-Carlo errors (.016); never less.

    At 20 and 50 rows the 1/n makes it conservative: .99 and .97 where single rows vary as little as here.
    """
    rng, runs, held = np.random.default_rng(8), 1000, 0
    for _ in range(runs):
        found = rate_interval(rng.uniform(0, 1, n))
        held += found.low <= 0.5 <= found.high
    assert held / runs >= BAND[0] - two_errors(BAND[0], runs)
    if n >= 200:
        assert held / runs <= BAND[1] + two_errors(BAND[1], runs)


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("psi", [0.04, 0.1, 0.2, 0.4])
def test_rule_6_the_paired_test_finds_at_least_what_the_t_test_finds(n: int, psi: float) -> None:
    """The p for 0 and 1 against the t that the interval is made of, on the same draws: level .05 kept by both."""
    for delta in (0.0, psi / 2):
        ours, theirs = (share(n, psi, delta, 20_000, n) for share in (called_different, called_different_by_t))
        assert ours >= theirs
        assert delta or ours <= 0.05 + two_errors(0.05, 20_000)


def test_rule_6_graded_scores_lose_nothing_to_the_t_test() -> None:
    a = np.random.default_rng(10).beta(2, 1, 80)
    b = np.clip(a + np.random.default_rng(11).normal(0.02, 0.1, 80), 0, 1)
    assert paired(b, a, 0).p == pytest.approx(ttest_rel(b, a).pvalue, rel=1e-9)


# Rules 8 and 9: what happens without them ----------------------------------------------------------------------------


def test_rule_8_without_groups_rows_that_go_together_call_equal_variants_different() -> None:
    assert groups_called_different(20, 200, 1, naive=True) >= 0.3


def test_rule_9_without_the_count_20_readings_call_an_edit_better_that_changed_nothing() -> None:
    assert better_by_rereading(200, 400, 1, counted=False) >= 0.15


# All of them, at 50, 200 and 1000 rows -------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", CLAIMS, ids=[f"rule {each.rule}: {each.what}, n = {each.n}" for each in CLAIMS])
def test_what_is_claimed_is_true_as_often_as_it_says(claim: Claim) -> None:
    """``tests/benchmarks/evidence.py`` prints the table with more runs."""
    found = claim.share(claim.runs, claim.n)
    error = claim.error(claim.runs)
    assert claim.low - error <= found <= claim.high + error
