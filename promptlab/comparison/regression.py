"""Ordinary least squares over variants x rows, row by row: contrasts with honest intervals at few rows and variants.

Every row of data (example) has its own regression of the variants' scores on their slots. A contrast is the mean of
its values over the rows, so rows are what is sampled, and the interval is a t over them: at eight rows it covers where
a bootstrap of eight does not. Where the variants are a sample of a larger space, what they differ by beyond their main
effects is added: SE² = s²(rows)/w + g²·max(s²(variants) - s²(cells)/w, 0), degrees of freedom after Satterthwaite.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from promptlab.stats.paired import Array

NEAR = 1e-8  # what counts as zero in a projection


@dataclass(frozen=True, slots=True)
class Fitted:
    """Contrasts [q]: their estimates, 95 % intervals and rows; NaN where the variants cannot tell.

    ``by_row`` [q, rows] is in the unit of one pair of answers, for tests that resample rows.
    """

    delta: Array
    low: Array
    high: Array
    n: npt.NDArray[np.int64]
    by_row: Array = field(repr=False)


def fit(design: Array, contrasts: Array, scores: Array, *, sampled: bool) -> Fitted:
    """Contrasts [q, p] of the regression of scores [variants, rows] on a design [variants, p].

    NaN scores are left out of their row's regression; a row that cannot tell a contrast without them is left out of it.
    ``sampled``: the variants stand for others, too.
    """
    from scipy.special import stdtrit

    by_row = _by_row(design, contrasts, scores)
    n = np.sum(~np.isnan(by_row), axis=1)
    enough = n >= 2
    size = np.maximum(_size(design, contrasts), NEAR**2)
    by_row = np.where(enough[:, None], by_row, np.nan)
    rows = np.maximum(n, 2)
    delta = np.nansum(by_row, axis=1) / rows
    spread = np.nansum((by_row - delta[:, None]) ** 2, axis=1) / (rows - 1)
    # 1/n added as in stats.paired, in the unit of one contrast: two variants give g² = 2 and exactly that 1/n
    square = (spread + size / 2 / rows) / rows
    freedom = rows - 1.0
    if sampled:
        beyond, left = _lack_of_fit(design, scores)
        extra = size * beyond
        total = square + extra
        freedom = total**2 / (square**2 / freedom + (extra**2 / left if left else np.inf))
        square = np.where(left > 0, total, np.nan)
    half = stdtrit(np.where(freedom > 0, freedom, 1.0), 0.975) * np.sqrt(square)
    told = enough & np.isfinite(half)
    delta, half = np.where(told, delta, np.nan), np.where(told, half, np.nan)
    return Fitted(delta, delta - half, delta + half, n, by_row / np.sqrt(size / 2)[:, None])


def _by_row(design: Array, contrasts: Array, scores: Array) -> Array:
    """Every row's own estimate of every contrast; rows that lack the same cells share a regression."""
    found = np.full((len(contrasts), scores.shape[1]), np.nan)
    there = ~np.isnan(scores)
    patterns: dict[bytes, list[int]] = {}
    for place, row in enumerate(np.packbits(there, axis=0).T):
        patterns.setdefault(row.tobytes(), []).append(place)
    for columns in patterns.values():
        pattern, at = there[:, columns[0]], np.array(columns)
        if pattern.any():
            inverse: Array = np.asarray(np.linalg.pinv(design[pattern]), np.float64)
            clear = _clear(design[pattern], inverse, contrasts)
            found[np.ix_(clear, at)] = (contrasts[clear] @ inverse) @ scores[np.ix_(pattern, at)]
    return found


def _clear(design: Array, inverse: Array, contrasts: Array) -> npt.NDArray[np.bool_]:
    """Which contrasts the design can tell: those in the span of its rows."""
    missed = contrasts - contrasts @ inverse @ design
    found: npt.NDArray[np.bool_] = np.abs(missed).max(axis=1, initial=0.0) < NEAR
    return found


def _size(design: Array, contrasts: Array) -> Array:
    """g²: the variance of a contrast for a variance of 1 of every cell."""
    return np.asarray(np.sum((contrasts @ np.linalg.pinv(design)) ** 2, axis=1))


def _lack_of_fit(design: Array, scores: Array) -> tuple[float, int]:
    """The variance of variants beyond the design, that of single cells taken off; and its degrees of freedom."""
    centred = scores - np.nanmean(scores, axis=0)
    filled = np.where(np.isnan(centred), 0.0, centred)
    rest = filled - design @ (np.linalg.pinv(design) @ filled)
    left = len(design) - int(np.linalg.matrix_rank(design))
    rows = scores.shape[1]
    if left <= 0 or rows < 2:
        return 0.0, 0
    means = rest.mean(axis=1)
    cells = np.sum((rest - means[:, None]) ** 2) / (left * (rows - 1))
    return float(max(np.sum(means**2) / left - cells / rows, 0.0)), left
