"""How much worse, and how much better, each of several arms may be than one of them: bounds that hold together.

Max-T (Westfall & Young 1993): the signs of the centred differences of whole rows (or groups of rows) are flipped, the
same for all arms, and the largest of the arms' t says how far a bound must stand off for all of them to hold at once.
The standard error is recomputed inside every flip, with 1/n added to the variance, as in ``promptlab.stats.ties``; a
bound never stands nearer than that of one arm alone by its t distribution.

Weights: a row counts for its weight, in the mean and in the scatter about it; what is independent is then Kish's
effective number, and the row more that disagrees is the heaviest: where ten rows out of hundreds weigh half of all,
those ten are what the bounds rest on. Equal weights change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from promptlab.stats.sample import FEWEST_GROUPS, Array, Codes

FLIPS = 4999
BLOCK = 1_000_000  # signs held at a time


@dataclass(frozen=True, slots=True)
class Bound:
    """One arm against the reference on the ``n`` rows that both have a score on.

    ``low`` and ``high`` are one-sided bounds of ``delta``, all of them together at the asked level; ``p`` is that of
    "worse by the margin or more", adjusted in the same way. ``psi``: n times the variance that equal arms would have,
    which is the share of rows on which two arms disagree where rows stand alone and weigh the same. NaN where nothing
    can be told: below two rows, or fewer than eight groups of rows.
    """

    n: int
    delta: float
    low: float
    high: float
    p: float
    psi: float


@dataclass(frozen=True, slots=True)
class _Sums:
    """Weighted sums of differences and weights [arms, groups], with what is the same in every flip.

    ``n`` is the whole weight, ``units`` how many groups that is worth, ``more`` the share of a row that disagrees more.
    """

    total: Array
    sizes: Array
    n: Array
    units: Array
    more: Array

    @property
    def mean(self) -> Array:
        with np.errstate(invalid="ignore"):  # NaN without rows
            return np.asarray(np.sum(self.total, axis=1) / self.n)

    def centred(self) -> _Sums:
        return replace(self, total=self.total - self.sizes * self.mean[:, None])

    def of(self, told: npt.NDArray[np.bool_]) -> _Sums:
        """Those of some arms."""
        return _Sums(self.total[told], self.sizes[told], self.n[told], self.units[told], self.more[told])

    def error(self, mean: Array, cross: Array) -> Array:
        """The cluster-robust standard error of a mean; ``cross`` are the sums times their weights, added up."""
        square, sizes = np.sum(self.total**2, axis=1), np.sum(self.sizes**2, axis=1)
        scatter = np.maximum(square - 2 * mean * cross + mean**2 * sizes, 0)
        return np.asarray(np.sqrt(scatter * self.units / (self.units - 1) / self.n**2 + self.more**2))


def bounds(
    differences: Array,
    margin: float,
    seed: int,
    *,
    weights: Array | None = None,
    groups: Codes | None = None,
    spread: Sequence[tuple[float, int]] = (),
    level: float = 0.05,
    flips: int = FLIPS,
) -> tuple[Bound, ...]:
    """The bounds of each row of ``differences`` [arms, rows] (arm - reference; NaN = no score), together at 1 - level.

    ``spread``: by arm, the variance over its tuning seeds and their number (0 or 1: none); it widens the arm's bounds.
    """
    shares = ~np.isnan(differences) * (np.ones(differences.shape[1]) if weights is None else weights)
    sums, rows = _sums(differences, shares, groups), np.sum(shares > 0, axis=1)
    count = rows if groups is None else np.sum(sums.sizes > 0, axis=1)
    told = (sums.units > 2 - 1e-9) & (count >= (2 if groups is None else min(FEWEST_GROUPS, differences.shape[1])))
    nan, seen = math.nan, zip(rows, sums.mean, _psi(sums, rows), strict=True)
    result = [Bound(int(n), float(delta), nan, nan, nan, float(psi)) for n, delta, psi in seen]
    if not told.any():
        return tuple(result)
    kept = sums.of(told)
    highest = np.sort(np.concatenate(list(_highest(kept, seed, flips))))
    alone = kept.error(kept.mean, np.sum(kept.sizes * kept.total, axis=1))
    for place, k in enumerate(map(int, np.flatnonzero(told))):
        error, freedom = _widened(
            float(alone[place]), float(kept.units[place]) - 1, *(spread[k] if spread else (0.0, 0))
        )
        old = result[k]
        off = _reach(highest, freedom, level, len(kept.n)) * error
        p = _p(highest, freedom, (old.delta + margin) / error, level, len(kept.n))
        result[k] = replace(old, low=old.delta - off, high=old.delta + off, p=p)
    return tuple(result)


def _psi(sums: _Sums, rows: npt.NDArray[np.int64]) -> Array:
    """About zero, for the arms are taken to be equal. A disagreement that was not seen once counts as one row's."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rows * np.maximum(np.sum(sums.total**2, axis=1) / sums.n**2, sums.more**2))


def _sums(differences: Array, shares: Array, groups: Codes | None) -> _Sums:
    total, sizes, counts = np.where(shares > 0, differences, 0.0) * shares, shares, (shares > 0).astype(float)
    if groups is not None:
        belongs = np.eye(int(groups.max(initial=-1)) + 1)[groups]
        total, sizes, counts = total @ belongs, sizes @ belongs, counts @ belongs
    order = np.lexsort(np.round(np.vstack([total, sizes]), 9))  # the signs fall on the same rows, in whatever order
    total, sizes = total[:, order], sizes[:, order]
    with np.errstate(invalid="ignore", divide="ignore"):
        units = np.sum(sizes > 0, axis=1) * np.minimum(1, np.nan_to_num(_worth(sizes) / _worth(counts)))
        heaviest = shares.max(axis=1) / sizes.sum(axis=1)
        return _Sums(total, sizes, np.sum(sizes, axis=1), units, np.maximum(1 / units, heaviest))


def _worth(sizes: Array) -> Array:
    """Kish's effective number of each row of sizes."""
    return np.asarray(np.sum(sizes, axis=1) ** 2 / np.sum(sizes**2, axis=1))


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


def _reach(highest: Array, freedom: float, level: float, arms: int) -> float:
    """How many standard errors a bound stands off: as far as the largest t goes in all but ``level`` of the flips.

    Below what so many flips can tell it is Bonferroni's t, and past all of them.
    """
    if _too_fine(level, highest):
        return max(float(highest[-1]), _upper(freedom, level / arms))
    place = min(math.ceil((1 - level) * (len(highest) + 1)), len(highest)) - 1
    return max(float(highest[place]), _upper(freedom, level))


def _p(highest: Array, freedom: float, t: float, level: float, arms: int) -> float:
    """What ``_reach`` stands off from, as a p: it is at most ``level`` where the bound is past the margin."""
    beyond, one = float(np.sum(highest >= t - 1e-9)), _tail(freedom, t)
    p = max((1 + beyond) / (1 + len(highest)), one)
    return min(p, arms * one) if _too_fine(level, highest) and not beyond else p


def _too_fine(level: float, highest: Array) -> bool:
    return level * (1 + len(highest)) < 1


def _widened(rows: float, freedom: float, variance: float, seeds: int) -> tuple[float, float]:
    """The standard error with what tuning seeds add, and its degrees of freedom (Welch 1947)."""
    if seeds < 2:
        return rows, freedom
    first, second = rows**2, variance / seeds
    both = first + second
    return math.sqrt(both), both**2 / (first**2 / freedom + second**2 / (seeds - 1))


def _upper(freedom: float, level: float) -> float:
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, level))


def _tail(freedom: float, t: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, -t))
