"""Intervals and paired tests: how far a mean, or a difference of two variants, can be trusted.

Scores are arrays with one number per row (example); NaN is a row without a score. All intervals are two-sided 95 %.
Every interval but Wilson's adds 1/n to the variance, as if one more row had disagreed by one whole point (in the
spirit of Agresti & Min 2005): no interval has zero width. So scores are expected on a scale where 1 is one whole
row, as 0 to 1; bring any other scale (seconds, dollars) to that unit before, and back after.

Weights: means are weighted, and n becomes Kish's effective number of rows (Σw)²/Σw² wherever a standard error or its
degrees of freedom need one. Rows of weight 0 are left out. Equal weights give exactly the unweighted result.

Groups (a code per row) name rows that belong together: standard errors are then cluster-robust, see
``promptlab.stats.sample``; under eight groups there is no p.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlab.stats.sample import FEWEST_GROUPS, Sample, sample_of
from promptlab.stats.sample import Array as Array  # noqa: PLC0414 - the arrays of scores, as others know them

LEVEL = 0.95
FLAT = 1e-12  # a standard error that is none
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
    return sample_of(np.asarray(scores, float), weights).mean()


def rate_interval(
    scores: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    seed: int | None = 0,
    *,
    groups: npt.ArrayLike | None = None,
) -> Interval:
    """The interval of ``mean(scores, weights)``.

    Scores that are all 0 or 1: Wilson (1927), in groups for the rows that they are worth and with their t. Others: t,
    or BCa where they are skewed (see ``paired``). NaN without rows, below two rows unless they are 0 or 1, and below
    two groups. ``seed`` is that of the bootstrap; None = t always.
    """
    sample = sample_of(np.asarray(scores, float), weights, groups)
    if not len(sample.rows) or (sample.groups is not None and sample.units < 2):
        return Interval(math.nan, math.nan)
    if _binary(sample.rows):
        return _wilson(sample)
    interval = _mean_interval(sample, seed, LEVEL)
    return _clipped(interval, 0.0) if _shares(sample.rows) else interval


def _clipped(interval: Interval, lowest: float) -> Interval:
    """Within ``lowest`` and 1; NaN stays NaN."""
    return Interval(float(np.clip(interval.low, lowest, 1.0)), float(np.clip(interval.high, lowest, 1.0)))


def _shares(rows: Array) -> bool:
    """Whether scores lie between 0 and 1, so that no mean of them can be outside."""
    return bool(len(rows) and rows.min() >= 0 and rows.max() <= 1)


def paired(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    seed: int | None,
    weights: npt.ArrayLike | None = None,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Paired:
    """Compare a with b on the rows where both have a score. ``a``, ``b``, ``weights``, ``groups``: one number per row.

    Interval: paired t; below 200 rows, where the differences are skewed and the scores not 0 or 1, the seeded BCa
    bootstrap (Efron 1987), stretched about the mean as the 1/n stretches the t interval (bare, it covers as little as
    80 % on small sparse samples). p: McNemar's mid-p if all scores are 0 or 1 and weights equal, else of the paired t
    without the 1/n, but never below that of the sign test. In groups both are cluster-robust t; without a ``seed`` the
    interval is t. The result does not depend on the order of the rows, and mirrors if a and b swap.
    """
    left, right = np.asarray(a, float), np.asarray(b, float)
    sample = sample_of(left - right, weights, groups)
    both = ~np.isnan(left - right)
    binary = bool(_binary(left[both]) and _binary(right[both]))
    flips = (int(np.sum(sample.rows > 0)), int(np.sum(sample.rows < 0))) if binary else None
    if not len(sample.rows):
        return Paired(0, math.nan, math.nan, math.nan, math.nan, None)
    interval = _t_interval(sample, level) if binary else _mean_interval(sample, seed, level)
    if _shares(left[both]) and _shares(right[both]):
        interval = _clipped(interval, -1.0)
    plain = sample.weights is None and sample.groups is None
    p = mcnemar_midp(*flips) if flips is not None and plain else _t_p(sample)
    return Paired(len(sample.rows), sample.mean(), interval.low, interval.high, p, flips)


def mcnemar_midp(fixed: int, broken: int) -> float:
    """Two-sided mid-p of McNemar's test: ``fixed`` rows flipped one way, ``broken`` the other (Fagerland et al. 2013).

    The exact test counts only half of the observed table's probability: never far above its level, and less
    conservative than exact.
    """
    from scipy.special import bdtr  # the binomial's cumulative; scipy.stats takes half a second to import

    few, n = min(fixed, broken), fixed + broken
    below = float(bdtr(few - 1, n, 0.5)) if few else 0.0
    return min(1.0, float(bdtr(few, n, 0.5)) + below)  # 2 P(X <= few) - P(X = few)


def error_bounds(
    a: npt.ArrayLike, b: npt.ArrayLike, weights: npt.ArrayLike | None = None, fills: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """The delta of a against b over all rows with every missing score taken as 0, and with every one taken as 1.

    ``fills``: other extremes of a score. Where the two differ in sign, the missing rows could decide the comparison: it
    is undecided. NaNs without rows.
    """
    left, right = np.asarray(a, float), np.asarray(b, float)
    as_zero, as_one = (
        mean(np.where(np.isnan(left), fill, left) - np.where(np.isnan(right), fill, right), weights) for fill in fills
    )
    return as_zero, as_one


def _binary(rows: Array) -> bool:
    return bool(np.all((rows == 0) | (rows == 1)))


def _wilson(sample: Sample) -> Interval:
    from scipy.special import ndtri, stdtrit

    rate, n = sample.mean(), sample.worth
    z = float(ndtri(0.975)) if sample.groups is None else float(stdtrit(sample.freedom, 0.975))
    z2 = z * z
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return Interval(max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def _t_interval(sample: Sample, level: float) -> Interval:
    from scipy.special import stdtrit

    if sample.units < 2:
        return Interval(math.nan, math.nan)
    centre = sample.mean()
    half = float(stdtrit(sample.freedom, (1 + level) / 2)) * sample.standard_error()
    return Interval(centre - half, centre + half)


def _t_p(sample: Sample) -> float:
    from scipy.special import stdtr

    if sample.units < (2 if sample.groups is None else FEWEST_GROUPS):
        return math.nan
    spread = sample.standard_error(bare=True)
    least = 2.0 ** (1 - sample.apart)  # what a test of all signs can reach: two rows of one sign are no evidence
    if spread <= FLAT:
        return min(1.0, least)
    p = 2 * float(stdtr(sample.freedom, -abs(sample.mean()) / spread))
    return min(1.0, max(p, least))


def _mean_interval(sample: Sample, seed: int | None, level: float) -> Interval:
    """Of a mean whose rows are not just 0 and 1: BCa where 10 to 199 rows are skewed and alone, else t."""
    if seed is not None and sample.groups is None and 10 <= len(sample.rows) < 200 and _skewed(sample):
        return _bca(sample, seed, level)
    return _t_interval(sample, level)


def _skewed(sample: Sample) -> bool:
    apart = sample.rows - sample.mean()
    variance, third = sample.average(apart**2), sample.average(apart**3)
    return variance > 1e-18 and abs(third) > SKEWED * variance**1.5


def _bca(sample: Sample, seed: int, level: float) -> Interval:
    """The BCa interval, stretched about the mean by what the 1/n adds to the standard error."""
    from scipy.stats import bootstrap

    def statistic(x: Array, v: Array, axis: int = -1) -> Array:
        return np.asarray(np.sum(x * v, axis=axis) / np.sum(v, axis=axis))

    # Drawn with the longer tail to the right, and turned back: so that b - a mirrors a - b.
    centre = sample.mean()
    sign = math.copysign(1.0, sample.average((sample.rows - centre) ** 3))
    turned = sample_of(sign * sample.rows, sample.weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate samples come back as NaN, and are told by that
        found = bootstrap(
            (turned.rows, np.ones(len(turned.rows)) if turned.weights is None else turned.weights),
            statistic,
            paired=True,
            method="BCa",
            confidence_level=level,
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    low, high = sorted((sign * float(found.low), sign * float(found.high)))
    if not (math.isfinite(low) and math.isfinite(high)):
        return _t_interval(sample, level)
    stretch = sample.standard_error() / math.sqrt(sample.variance() / sample.effective)
    below, above = (max(0.0, reach) * stretch for reach in (centre - low, high - centre))
    return Interval(centre - below, centre + above) if below + above > 0 else _t_interval(sample, level)
