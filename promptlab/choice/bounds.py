"""How much worse, and how much better, each of several arms may be than one of them: bounds that hold together.

Max-T (Westfall & Young 1993): the signs of the centred differences of whole rows (or groups of rows) are flipped, the
same for all arms, and the largest of the arms' t says how far a bound must stand off for all of them to hold at once.
The standard error is recomputed inside every flip, with 1/n added to the variance, as in ``promptlab.stats.ties``; a
bound never stands nearer than that of one arm alone by its t distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from promptlab.stats.sample import FEWEST_GROUPS, Array, Codes

FLIPS = 4999
BLOCK = 1_000_000  # signs held at a time


@dataclass(frozen=True, slots=True)
class Bound:
    """One arm against the reference on the ``n`` rows that both have a score on.

    ``low`` and ``high`` are one-sided bounds of ``delta``, all of them together at the asked level; ``p`` is that of
    "worse by the margin or more", adjusted in the same way. ``psi``: how much of a row the two disagree on, on average.
    NaN where nothing can be told: below two rows, or fewer than eight groups of rows.
    """

    n: int
    delta: float
    low: float
    high: float
    p: float
    psi: float


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of differences and numbers of rows [arms, groups], with what is the same in every flip."""

    total: Array
    sizes: Array
    n: Array
    units: Array

    @property
    def mean(self) -> Array:
        return np.asarray(np.sum(self.total, axis=1) / self.n)

    def centred(self) -> _Sums:
        return _Sums(self.total - self.sizes * self.mean[:, None], self.sizes, self.n, self.units)

    def error(self, mean: Array, cross: Array) -> Array:
        """The cluster-robust standard error of a mean; ``cross`` are the sums weighed by their numbers of rows."""
        square, sizes = np.sum(self.total**2, axis=1), np.sum(self.sizes**2, axis=1)
        scatter = np.maximum(square - 2 * mean * cross + mean**2 * sizes, 0)
        return np.asarray(np.sqrt(scatter * self.units / (self.units - 1) / self.n**2 + 1 / self.units**2))


def bounds(
    differences: Array,
    margin: float,
    seed: int,
    *,
    groups: Codes | None = None,
    spread: Sequence[tuple[float, int]] = (),
    level: float = 0.05,
    flips: int = FLIPS,
) -> tuple[Bound, ...]:
    """The bounds of each row of ``differences`` [arms, rows] (arm - reference; NaN = no score), together at 1 - level.

    ``spread``: by arm, the variance over its tuning seeds and their number (0 or 1: none); it widens the arm's bounds.
    """
    sums = _sums(differences, groups)
    told = (sums.n >= 2) & (sums.units >= (2 if groups is None else min(FEWEST_GROUPS, differences.shape[1])))
    nan = math.nan
    seen = zip(sums.n, differences, strict=True)
    result = [Bound(int(n), _mean(row), nan, nan, nan, _psi(row)) for n, row in seen]
    if not told.any():
        return tuple(result)
    kept = _Sums(sums.total[told], sums.sizes[told], sums.n[told], sums.units[told])
    highest = np.sort(np.concatenate(list(_highest(kept, seed, flips))))
    mean = kept.mean
    rows = kept.error(mean, np.sum(kept.sizes * kept.total, axis=1))
    for place, k in enumerate(map(int, np.flatnonzero(told))):
        error, freedom = _widened(
            float(rows[place]), float(kept.units[place]) - 1, *(spread[k] if spread else (0.0, 0))
        )
        t = (float(mean[place]) + margin) / error
        off = max(_quantile(highest, level), _upper(freedom, level)) * error
        p = max((1 + float(np.sum(highest >= t - 1e-9))) / (1 + len(highest)), _tail(freedom, t))
        old = result[k]
        result[k] = Bound(old.n, old.delta, old.delta - off, old.delta + off, p, old.psi)
    return tuple(result)


def _mean(row: Array) -> float:
    known = row[~np.isnan(row)]
    return float(known.mean()) if len(known) else math.nan


def _psi(row: Array) -> float:
    """The mean square of the differences: of scores that are 0 or 1, the share of rows on which two arms disagree."""
    known = row[~np.isnan(row)]
    return float(np.mean(known**2)) if len(known) else math.nan


def _sums(differences: Array, groups: Codes | None) -> _Sums:
    known = ~np.isnan(differences)
    filled = np.where(known, differences, 0.0)
    if groups is None:
        total, sizes = filled, known.astype(float)
    else:
        belongs = np.eye(int(groups.max(initial=-1)) + 1)[groups]
        total, sizes = filled @ belongs, known @ belongs
    order = np.lexsort(np.round(np.vstack([total, sizes]), 9))  # the signs fall on the same rows, in whatever order
    total, sizes = total[:, order], sizes[:, order]
    return _Sums(total, sizes, np.sum(sizes, axis=1), np.sum(sizes > 0, axis=1).astype(float))


def _highest(sums: _Sums, seed: int, flips: int) -> Iterator[Array]:
    """The largest t over the arms, flip by flip, in blocks."""
    rng = np.random.default_rng(seed)
    centred = sums.centred()
    units = sums.total.shape[1]
    size = max(4, BLOCK // max(1, units) // 4 * 4)
    for start in range(0, flips, size):
        signs = rng.integers(0, 2, (min(size, flips - start), units), dtype=np.int8) * 2.0 - 1
        mean = signs @ centred.total.T / sums.n
        cross = signs @ (centred.total * centred.sizes).T
        yield np.asarray(np.max(mean / centred.error(mean, cross), axis=1))


def _quantile(ordered: Array, level: float) -> float:
    """How far the largest t is exceeded in no more than ``level`` of the flips."""
    place = math.ceil((1 - level) * (len(ordered) + 1)) - 1
    return float(ordered[place]) if place < len(ordered) else math.inf


def _widened(rows: float, freedom: float, variance: float, seeds: int) -> tuple[float, float]:
    """The standard error with what tuning seeds add, and its degrees of freedom (Welch 1947)."""
    if seeds < 2:
        return rows, freedom
    first, second = rows**2, variance / seeds
    both = first + second
    return math.sqrt(both), both**2 / (first**2 / freedom + second**2 / (seeds - 1))


def _upper(freedom: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - level))


def _tail(freedom: float, t: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, -t))
