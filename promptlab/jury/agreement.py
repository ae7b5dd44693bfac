"""A judge beside people: how far they agree, and a difference of two variants that the judge cannot bias."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlab.stats.paired import Array, Paired, paired

RESAMPLES = 1000
ENOUGH = 50
"""Pairs of outputs, both scored by people, below which a judge names no winner (EVIDENCE 13)."""
_CELLS = 20_000_000  # counts held at once


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cohen's kappa of ``n`` pairs of scores, quadratic weights, with its 95 % interval; NaN = cannot be told."""

    n: int
    kappa: float
    low: float
    high: float


def kappa(judge: npt.ArrayLike, human: npt.ArrayLike, seed: int = 0) -> Agreement:
    """Agreement of two columns of scores on one scale; rows that lack one are left out.

    Quadratic weights (Cohen 1968): two verdicts a step apart nearly agree; with two verdicts it is the plain kappa.
    1 - mean (j - h)² over pairs / mean (j - h)² over all ways to pair them. Interval: percentile bootstrap over rows.
    NaN where neither column varies: agreement by chance alone would be as good.
    """
    one, other = np.asarray(judge, float), np.asarray(human, float)
    both = ~np.isnan(one) & ~np.isnan(other)
    one, other = one[both], other[both]
    n = len(one)
    if n < 2:
        return Agreement(n, math.nan, math.nan, math.nan)
    columns = np.column_stack([one, other, one**2, other**2, (one - other) ** 2])
    value = float(_kappas(columns.mean(axis=0)[None])[0])
    if math.isnan(value):
        return Agreement(n, math.nan, math.nan, math.nan)
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS // n)
    drawn = [
        _kappas(rng.multinomial(n, np.full(n, 1 / n), size=min(step, RESAMPLES - start)) @ columns / n)
        for start in range(0, RESAMPLES, step)
    ]
    found = np.concatenate(drawn)
    low, high = np.quantile(found[~np.isnan(found)], [0.025, 0.975])
    return Agreement(n, value, float(low), float(high))


def _kappas(means: Array) -> Array:
    """Kappa from the means of j, h, j², h² and (j - h)², row by row."""
    j, h, jj, hh, gap = means.T
    by_chance = jj + hh - 2 * j * h
    known = by_chance > 1e-12
    return np.where(known, 1 - gap / np.where(known, by_chance, 1.0), np.nan)


def debiased(judge: npt.ArrayLike, human: npt.ArrayLike, seed: int = 0) -> Paired:
    """A mean difference by the judge on many rows, put right by what people say of some of them.

    ``judge``: the difference of the two variants' scores by the judge, row by row (NaN = none); ``human``: the same by
    people, NaN where they scored not both outputs. The judge's mean over the rows without people's scores, plus the
    mean of human - judge over those with; the variances are added (Angelopoulos et al. 2023:
    prediction-powered inference).
    The ``n`` of the answer counts rows with people's scores. With fewer than two rows of the judge's alone, people's
    scores stand for themselves; with fewer than two of people's nothing can be told.
    """
    from scipy.special import stdtr, stdtrit

    one, other = np.asarray(judge, float), np.asarray(human, float)
    known = ~np.isnan(other) & ~np.isnan(one)
    alone, gap = one[np.isnan(other) & ~np.isnan(one)], (other - one)[known]
    n, m = len(gap), len(alone)
    if n < 2:
        return Paired(n, math.nan, math.nan, math.nan, math.nan)
    if m < 2:
        return paired(other[known], np.zeros(n), seed)
    delta = float(alone.mean() + gap.mean())
    parts = [(float(each.var(ddof=1)) + 1 / len(each)) / len(each) for each in (alone, gap)]
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (m - 1) + parts[1] ** 2 / (n - 1))  # Welch and Satterthwaite
    half = float(stdtrit(freedom, 0.975)) * error
    p = min(1.0, 2 * float(stdtr(freedom, -abs(delta) / error)))
    return Paired(n, delta, delta - half, delta + half, p)
