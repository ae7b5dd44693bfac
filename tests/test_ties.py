"""Families of variants: max-T and the tie set, against oracles and against the rules read aloud."""

from __future__ import annotations

import math
import time
import tracemalloc

import numpy as np
import pytest
from scipy import stats as oracle

from promptlab.stats import ties
from promptlab.stats.ties import max_t, tie_set

NAN = math.nan


def test_max_t_of_one_variant_is_the_sign_flip_permutation_test() -> None:
    d = np.random.default_rng(3).normal(0.25, 1, 12)
    for one_sided, alternative in ((True, "greater"), (False, "two-sided")):
        exact = oracle.permutation_test((d,), np.mean, permutation_type="samples", alternative=alternative)
        got = max_t(d[None], seed=1, flips=20_000, one_sided=one_sided)
        assert got[0] == pytest.approx(exact.pvalue, abs=4 * math.sqrt(0.25 / 20_000))


def test_max_t_costs_nothing_for_copies_and_more_for_strangers() -> None:
    rng = np.random.default_rng(4)
    d = rng.normal(0.2, 1, (1, 100))
    alone = max_t(d, 1)[0]
    assert max_t(np.repeat(d, 40, axis=0), 1) == pytest.approx(np.full(40, alone))
    assert max_t(np.vstack([d, rng.normal(0, 1, (39, 100))]), 1)[0] > alone
    assert 0 < max_t(d + 5, 1, flips=99)[0] == 1 / 100


def test_max_t_judges_each_variant_on_its_own_rows() -> None:
    """A variant without rows gets NaN and disturbs nobody; rows that nobody has change nothing."""
    d = np.random.default_rng(5).normal(0.3, 1, (3, 50))
    holed = d.copy()
    holed[1, :20] = NAN
    part = max_t(holed, 1)
    assert part[[0, 2]] == pytest.approx(max_t(d, 1)[[0, 2]], abs=0.05)
    empty = max_t(np.vstack([holed, np.full((1, 50), NAN)]), 1)
    assert math.isnan(empty[3])
    assert empty[:3] == pytest.approx(part)
    assert max_t(np.hstack([np.full((3, 9), NAN), holed]), 1) == pytest.approx(part)
    assert np.isnan(max_t(np.full((2, 5), NAN), 1)).all()
    assert max_t(np.empty((0, 5)), 1).shape == (0,)


def t_of(rows: np.ndarray) -> np.ndarray:
    """The t of the rules, spelt out: its standard error is that of these very rows, flipped or not."""
    m, n = rows.mean(axis=-1), rows.shape[-1]
    return m / np.sqrt((((rows**2).mean(axis=-1) - m**2) * n / (n - 1) + 1 / n) / n)


def signs_of(seed: int, flips: int, n: int) -> np.ndarray:
    return np.vstack(list(ties._signs(flips, n, seed)))


def test_max_t_is_rule_2_variant_by_variant() -> None:
    rng = np.random.default_rng(10)
    d = rng.normal([[0.9], [0.3], [0.0]], [[1.2], [0.6], [0.3]], (3, 25))
    d[rng.random(d.shape) < 0.1] = NAN
    signs, have = signs_of(1, 300, 25), ~np.isnan(d)
    found = np.array([t_of(row[own]) for row, own in zip(d, have, strict=True)])
    drawn = np.array([t_of(signs[:, own] * row[own]) for row, own in zip(d, have, strict=True)])
    expected = (1 + (drawn.max(axis=0) >= found[:, None]).sum(axis=1)) / 301
    assert max_t(d, 1, flips=300, one_sided=True) == pytest.approx(expected)
    assert 1 / 301 < expected[1] < 0.2, "the second is where the form of the standard error shows"


def naive_tie_set(scores: np.ndarray, seed: int, flips: int) -> list[bool]:
    """Rule 4 read aloud: pair by pair, on the rows that both have."""
    signs, kept = signs_of(seed, flips, scores.shape[1]), []
    for b in scores:
        pairs = [(a - b)[~np.isnan(a - b)] for a in scores]
        drawn = [t_of(signs[:, ~np.isnan(a - b)] * (d - d.mean())) for a, d in zip(scores, pairs, strict=True)]
        kept.append(max(map(t_of, pairs)) <= np.sort(np.max(drawn, axis=0))[math.ceil(0.95 * (flips - 1))])
    return kept


@pytest.mark.parametrize("missing", [0.0, 0.05])
def test_tie_set_is_rule_4_pair_by_pair(missing: float) -> None:
    rng = np.random.default_rng(6)
    mixed = 0
    for seed in range(12):
        scores = (rng.random((6, 60)) < np.linspace(0.5, 0.85, 6)[:, None]).astype(float)
        scores[rng.random(scores.shape) < missing] = NAN
        got = tie_set(scores, seed, flips=200).tolist()
        assert got == naive_tie_set(scores, seed, 200)
        mixed += 0 < sum(got) < 6
    assert mixed >= 9, "most cases must have something to tell apart"


def test_tie_set_keeps_the_leader_and_drops_what_is_plainly_worse() -> None:
    rng = np.random.default_rng(7)
    good, bad = rng.random((3, 200)) < 0.9, rng.random((2, 200)) < 0.4
    scores = np.vstack([good, bad]).astype(float)
    assert tie_set(scores, 1).tolist() == [True, True, True, False, False]
    assert tie_set(scores[:1], 1).tolist() == [True]
    assert tie_set(np.vstack([scores, np.full((1, 200), NAN)]), 1).tolist() == [True, True, True, False, False, False]
    assert tie_set(np.ones((4, 10)), 1).all(), "equal variants all tie"
    assert tie_set(np.empty((0, 10)), 1).shape == (0,)
    assert tie_set(np.full((2, 3), NAN), 1).tolist() == [False, False]


def test_families_are_cut_into_blocks_without_changing_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = (np.random.default_rng(8).random((5, 90)) < np.linspace(0.4, 0.9, 5)[:, None]).astype(float)
    whole, kept = max_t(scores - 0.6, 1), tie_set(scores, 1)
    monkeypatch.setattr(ties, "BLOCK", 90 * 64)
    assert max_t(scores - 0.6, 1) == pytest.approx(whole, abs=0.05)
    assert (tie_set(scores, 1) == kept).all()


def test_forty_variants_on_a_thousand_rows_take_little_time_and_memory() -> None:
    """2000 flips of 40 x 1000 scores, 2 % of them missing: < 1.5 s CPU each and < 300 MB."""
    rng = np.random.default_rng(9)
    scores = (rng.random((40, 1000)) < 0.7).astype(float)
    scores[rng.random(scores.shape) < 0.02] = NAN
    for test in (lambda: tie_set(scores, 1), lambda: max_t(scores - scores[0], 1)):
        start = time.process_time()
        test()
        assert time.process_time() - start < 1.5
        tracemalloc.start()
        test()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 300e6


# Groups --------------------------------------------------------------------------------------------------------------


def test_rows_of_a_group_are_flipped_together() -> None:
    groups = np.array([0, 1, 1, 2, 0])
    signs = np.vstack(list(ties._signs(200, 5, 1, groups)))
    assert (signs[:, 0] == signs[:, 4]).all()
    assert (signs[:, 1] == signs[:, 2]).all()
    assert (signs[:, 0] != signs[:, 1]).any()
    assert (np.vstack(list(ties._signs(200, 5, 1, np.arange(5)))) == signs_of(1, 200, 5)).all()


def test_copies_of_rows_that_form_groups_are_no_more_evidence() -> None:
    d = np.random.default_rng(2).normal(0.35, 1, (1, 20))
    copies, groups = np.repeat(d, 10, axis=1), np.repeat(np.arange(20), 10)
    once, grouped, alone = max_t(d, 1)[0], max_t(copies, 1, groups=groups)[0], max_t(copies, 1)[0]
    assert grouped == pytest.approx(once, abs=0.03)
    assert once > 0.05 > 10 * alone
    scores = np.vstack([np.zeros(200), copies])
    assert (
        tie_set(scores, 1, groups=groups).tolist() == tie_set(np.vstack([np.zeros(20), d]), 1).tolist() == [True, True]
    )
    assert tie_set(scores, 1).tolist() == [False, True]


def test_fewer_than_eight_groups_tell_nothing() -> None:
    scores = np.vstack([np.zeros(40), np.ones(40), np.full(40, NAN)])
    few = np.arange(40) % 7
    assert np.isnan(max_t(scores[1:2], 1, groups=few)).all()
    assert tie_set(scores, 1, groups=few).tolist() == [True, True, False]
    assert tie_set(scores, 1, groups=np.arange(40) % 8).tolist() == [False, True, False]


def test_rows_that_nobody_has_take_their_groups_with_them() -> None:
    d = np.random.default_rng(7).normal(0.3, 1, (2, 45))
    groups = np.arange(45) % 9
    d[:, groups == 0] = NAN
    assert max_t(d, 1, groups=groups) == pytest.approx(max_t(d[:, groups > 0], 1, groups=groups[groups > 0]))
