"""Intervals and paired tests: how far a mean, or a difference of two variants, can be trusted.

Scores are arrays with one number per row (example); NaN is a row without a score. All intervals are two-sided 95 %.
Every interval but Wilson's adds 1/n to the variance, as if one more row had disagreed by one whole point (in the
spirit of Agresti & Min 2005): no interval has zero width. So scores are expected on a scale where 1 is one whole
row, as 0 to 1; bring any other scale (seconds, dollars) to that unit before, and back after.

Weights: means are weighted, and n becomes Kish's effective number of rows (Σw)²/Σw² wherever a standard error or its
degrees of freedom need one. Rows of weight 0 are left out. Equal weights give exactly the unweighted result.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 4999  # of the bootstrap: 12 ms at n = 150
SKEWED = 1.0  # |skewness| past which a t interval below 200 rows misses too often on one side


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval; NaN at both ends = could not be computed."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Paired:
    """Variant a against variant b on the ``n`` rows that both have a score on.

    ``delta`` is the mean of a - b, ``low`` and ``high`` its 95 % interval, ``p`` two-sided. ``flips`` counts the rows
    that a gets right and b wrong (fixed), and the reverse (broken); None unless all scores are 0 or 1. ``low``,
    ``high`` and a t test's ``p`` are NaN below two rows, ``delta`` too if there is none.
    """

    n: int
    delta: float
    low: float
    high: float
    p: float
    flips: tuple[int, int] | None = None


def mean(scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
    """The (weighted) mean of the rows that have a score; NaN if none has."""
    rows, w = _scored(np.asarray(scores, float), weights)
    return _mean(rows, w)


def rate_interval(scores: npt.ArrayLike, weights: npt.ArrayLike | None = None, seed: int = 0) -> Interval:
    """The interval of ``mean(scores, weights)``.

    Scores that are all 0 or 1: Wilson (1927). Others: t, or BCa where they are skewed (see ``paired``). NaN without
    rows, and below two rows unless they are 0 or 1. ``seed`` is that of the bootstrap.
    """
    rows, w = _scored(np.asarray(scores, float), weights)
    if not len(rows):
        return Interval(math.nan, math.nan)
    if _binary(rows):
        return _wilson(_mean(rows, w), _effective(rows, w))
    interval = _mean_interval(rows, w, seed)
    return _clipped(interval, 0.0) if _shares(rows) else interval


def _clipped(interval: Interval, lowest: float) -> Interval:
    """Within ``lowest`` and 1; NaN stays NaN."""
    return Interval(float(np.clip(interval.low, lowest, 1.0)), float(np.clip(interval.high, lowest, 1.0)))


def _shares(rows: Array) -> bool:
    """Whether scores lie between 0 and 1, so that no mean of them can be outside."""
    return bool(len(rows) and rows.min() >= 0 and rows.max() <= 1)


def paired(a: npt.ArrayLike, b: npt.ArrayLike, seed: int, weights: npt.ArrayLike | None = None) -> Paired:
    """Compare a with b on the rows where both have a score. ``a``, ``b``, ``weights``: one number per row.

    Interval: paired t; below 200 rows, where the differences are skewed and the scores not 0 or 1, the seeded BCa
    bootstrap (Efron 1987), stretched about the mean as the 1/n stretches the t interval (bare, it covers as little as
    80 % on small sparse samples). p: McNemar's mid-p if all scores are 0 or 1 and weights equal, else of the t that
    the t interval is made of. The result does not depend on the order of the rows, and mirrors if a and b swap.
    """
    left, right = np.asarray(a, float), np.asarray(b, float)
    diff, w = _scored(left - right, weights)
    both = ~np.isnan(left - right)
    binary = bool(_binary(left[both]) and _binary(right[both]))
    flips = (int(np.sum(diff > 0)), int(np.sum(diff < 0))) if binary else None
    if not len(diff):
        return Paired(0, math.nan, math.nan, math.nan, math.nan, None)
    interval = _t_interval(diff, w) if binary else _mean_interval(diff, w, seed)
    if _shares(left[both]) and _shares(right[both]):
        interval = _clipped(interval, -1.0)
    p = mcnemar_midp(*flips) if flips is not None and w is None else _t_p(diff, w)
    return Paired(len(diff), _mean(diff, w), interval.low, interval.high, p, flips)


def mcnemar_midp(fixed: int, broken: int) -> float:
    """Two-sided mid-p of McNemar's test: ``fixed`` rows flipped one way, ``broken`` the other (Fagerland et al. 2013).

    The exact test counts only half of the observed table's probability: never far above its level, and less
    conservative than exact.
    """
    from scipy.special import bdtr  # the binomial's cumulative; scipy.stats takes half a second to import

    few, n = min(fixed, broken), fixed + broken
    below = float(bdtr(few - 1, n, 0.5)) if few else 0.0
    return min(1.0, float(bdtr(few, n, 0.5)) + below)  # 2 P(X <= few) - P(X = few)


def error_bounds(a: npt.ArrayLike, b: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> tuple[float, float]:
    """The delta of a against b over all rows with every missing score taken as 0, and with every one taken as 1.

    Where the two differ in sign, the missing rows could decide the comparison: it is undecided. NaNs without rows.
    """
    left, right = np.asarray(a, float), np.asarray(b, float)
    as_zero, as_one = (
        mean(np.where(np.isnan(left), fill, left) - np.where(np.isnan(right), fill, right), weights)
        for fill in (0.0, 1.0)
    )
    return as_zero, as_one


def _scored(values: Array, weights: npt.ArrayLike | None) -> tuple[Array, Array | None]:
    """The rows with a value and a weight, sorted (so that no result depends on their order); equal weights: None."""
    if weights is None:
        return np.sort(values[~np.isnan(values)]), None
    w = np.asarray(weights, float)
    keep = ~np.isnan(values) & (w > 0)
    rows, w = values[keep], w[keep]
    order = np.lexsort((w, rows))
    rows, w = rows[order], w[order]
    return rows, None if len(w) == 0 or np.all(w == w[0]) else w


def _binary(rows: Array) -> bool:
    return bool(np.all((rows == 0) | (rows == 1)))


def _mean(rows: Array, w: Array | None) -> float:
    if not len(rows):
        return math.nan
    return float(np.mean(rows)) if w is None else float(rows @ w / np.sum(w))


def _effective(rows: Array, w: Array | None) -> float:
    """Kish's effective number of rows."""
    return float(len(rows)) if w is None else float(np.sum(w) ** 2 / np.sum(w**2))


def _variance(rows: Array, w: Array | None) -> float:
    """The sample variance of one row, without the 1/n."""
    n = _effective(rows, w)
    return _mean((rows - _mean(rows, w)) ** 2, w) * n / (n - 1)


def _standard_error(rows: Array, w: Array | None) -> float:
    n = _effective(rows, w)
    return math.sqrt((_variance(rows, w) + 1 / n) / n)


def _wilson(rate: float, n: float) -> Interval:
    from scipy.special import ndtri

    z2 = float(ndtri(0.975)) ** 2
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def _t_interval(rows: Array, w: Array | None) -> Interval:
    from scipy.special import stdtrit

    if len(rows) < 2:
        return Interval(math.nan, math.nan)
    centre = _mean(rows, w)
    half = float(stdtrit(_effective(rows, w) - 1, 0.975)) * _standard_error(rows, w)
    return Interval(centre - half, centre + half)


def _t_p(rows: Array, w: Array | None) -> float:
    from scipy.special import stdtr

    if len(rows) < 2:
        return math.nan
    t = _mean(rows, w) / _standard_error(rows, w)
    return min(1.0, 2 * float(stdtr(_effective(rows, w) - 1, -abs(t))))


def _mean_interval(rows: Array, w: Array | None, seed: int) -> Interval:
    """Of a mean whose rows are not just 0 and 1: BCa where 10 to 199 rows are skewed, else t."""
    if 10 <= len(rows) < 200 and _skewed(rows, w):
        return _bca(rows, w, seed)
    return _t_interval(rows, w)


def _skewed(rows: Array, w: Array | None) -> bool:
    variance = _mean((rows - _mean(rows, w)) ** 2, w)
    third = _mean((rows - _mean(rows, w)) ** 3, w)
    return variance > 1e-18 and abs(third) > SKEWED * variance**1.5


def _bca(rows: Array, w: Array | None, seed: int) -> Interval:
    """The BCa interval, stretched about the mean by what the 1/n adds to the standard error."""
    from scipy.stats import bootstrap

    def statistic(x: Array, v: Array, axis: int = -1) -> Array:
        return np.asarray(np.sum(x * v, axis=axis) / np.sum(v, axis=axis))

    # Drawn with the longer tail to the right, and turned back: so that b - a mirrors a - b.
    centre = _mean(rows, w)
    sign = math.copysign(1.0, _mean((rows - centre) ** 3, w))
    turned, v = _scored(sign * rows, w)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate samples come back as NaN, and are told by that
        found = bootstrap(
            (turned, np.ones(len(rows)) if v is None else v),
            statistic,
            paired=True,
            method="BCa",
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = sorted((sign * float(found.low), sign * float(found.high)))
    if not (math.isfinite(low) and math.isfinite(high)):
        return _t_interval(rows, w)
    stretch = _standard_error(rows, w) / math.sqrt(_variance(rows, w) / _effective(rows, w))
    below, above = (max(0.0, reach) * stretch for reach in (centre - low, high - centre))
    return Interval(centre - below, centre + above) if below + above > 0 else _t_interval(rows, w)
