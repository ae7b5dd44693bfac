"""Many variants at once: sign-flip tests of a maximum, which hold their error for the whole family.

Flipping the signs of whole rows (the same for all variants) keeps how variants go together, so that 40 near-copies
cost no more than one (Westfall & Young 1993). The standard error is recomputed inside every flip, with 1/n added to
the variance: m / sqrt(((mean(d²) - m²)·n/(n-1) + 1/n) / n).

Rows with NaN are left out pairwise: a variant (for ``tie_set`` a pair of variants) is judged on the rows it has, and
one flaky variant takes no rows from the others. For weighted rows give scores·weight / mean weight. The work is
cut into blocks of flips, so memory stays within some 100 MB; results depend on the seed alone.

Rows that belong together (``groups``, a code per row) are flipped together; of fewer than eight groups nothing can be
told: no p, and nobody leaves the tie set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from promptlab.stats.sample import FEWEST_GROUPS, Array, Codes

Mask: TypeAlias = npt.NDArray[np.bool_]

BLOCK = 1_000_000  # signs held at a time (8 bytes each)
SLACK = 1e-9  # what counts as equal: the same sum reached in another order must not differ


def max_t(deltas: Array, seed: int, flips: int = 2000, one_sided: bool = False, groups: Codes | None = None) -> Array:
    """The adjusted p of each row of ``deltas`` [K variants, n rows] against 0, single-step max-T.

    A delta is (variant - baseline) on one row. ``one_sided`` asks only whether the mean is above 0. A variant
    with fewer than two rows gets NaN and takes no part. The smallest possible p is 1 / (flips + 1).
    """
    filled, missing, together = _filled(deltas, groups)
    n = np.sum(~missing, axis=1).astype(float)
    enough = n >= 2
    result = np.full(len(filled), np.nan)
    if not enough.any() or _few(together):
        return result
    filled, n = filled[enough], n[enough]
    square = np.sum(filled**2, axis=1) / n
    found = _t(np.sum(filled, axis=1) / n, square, n)
    found = found if one_sided else np.abs(found)
    beaten = np.zeros(len(found))
    for signs in _signs(flips, filled.shape[1], seed, together):
        drawn = _t(signs @ filled.T / n, square, n)
        highest = np.max(drawn if one_sided else np.abs(drawn), axis=1)
        beaten += np.sum(highest[:, None] >= found - SLACK, axis=0)
    result[enough] = (1 + beaten) / (1 + flips)
    return result


def tie_set(scores: Array, seed: int, flips: int = 2000, level: float = 0.95, groups: Codes | None = None) -> Mask:
    """Which rows of ``scores`` [K variants, n rows] the best one may be: with ``level`` confidence it is among them.

    Variant j leaves iff max_i t_ij, of the differences i - j, exceeds the ``level`` quantile of that maximum when the
    signs of the centred differences are flipped. The set always holds the variant that no other leads; a
    variant without any score is never in it.
    """
    filled, missing, together = _filled(scores, groups)
    unscored = np.array([row.all() for row in missing], bool)
    if _few(together):
        return ~unscored
    moments = [_moments(filled, missing, j) for j in range(len(filled))]
    highest = np.full((len(filled), flips), -np.inf)
    start = 0
    for signs in _signs(flips, filled.shape[1], seed, together):
        stop = start + len(signs)
        highest[:, start:stop] = _highest(signs, filled, missing, moments)
        start = stop
    found = np.array([np.max(_t(m, s + m * m, n), initial=-np.inf) for n, m, s in moments])
    limit: Array = np.quantile(highest, level, axis=1, method="higher")
    out: Mask = (found > limit + SLACK) | unscored
    return ~out


def _filled(scores: Array, groups: Codes | None) -> tuple[Array, Mask, Codes | None]:
    """The scores with 0 for what is missing, where that is, and the groups from 0 up.

    Rows that no variant has a score on are left out.
    """
    values = np.asarray(scores, float)
    some = ~np.isnan(values).all(axis=0)
    values = values[:, some]
    missing = np.isnan(values)
    together = None if groups is None else np.unique(np.asarray(groups)[some], return_inverse=True)[1]
    return np.where(missing, 0.0, values), missing, together


def _few(groups: Codes | None) -> bool:
    return groups is not None and len(np.unique(groups)) < min(FEWEST_GROUPS, len(groups))


def _signs(flips: int, rows: int, seed: int, groups: Codes | None = None) -> Iterator[Array]:
    """Blocks of random signs [some of the flips, rows], one for each group of rows; together ``flips`` of them."""
    rng = np.random.default_rng(seed)
    size = max(4, BLOCK // max(1, rows) // 4 * 4)  # four signs to a draw of the generator: blocks do not change them
    units = rows if groups is None else int(groups.max(initial=-1)) + 1
    for start in range(0, flips, size):
        shape = (min(size, flips - start), units)
        signs = rng.integers(0, 2, shape, dtype=np.int8).astype(np.float64)
        signs *= 2
        signs -= 1
        yield signs if groups is None else signs[:, groups]


def _t(mean: Array, square: Array, n: Array) -> Array:
    """The t of each mean, given the mean square of its rows; -inf below two rows."""
    rows = np.maximum(n, 2)
    variance = np.maximum(square - mean**2, 0) * rows / (rows - 1) + 1 / rows
    return np.where(n >= 2, mean / np.sqrt(variance / rows), -np.inf)


def _moments(filled: Array, missing: Mask, j: int) -> tuple[Array, Array, Array]:
    """Of the differences i - j, for all i: the rows n that both have, their mean, their mean square once centred."""
    both = ~(missing | missing[j])
    n = np.sum(both, axis=1).astype(float)
    safe = np.maximum(n, 1)
    diff = filled - filled[j]
    mean = np.sum(diff, axis=1, where=both) / safe
    diff -= mean[:, None]
    diff *= diff
    return n, mean, np.sum(diff, axis=1, where=both) / safe


def _highest(signs: Array, filled: Array, missing: Mask, moments: list[tuple[Array, Array, Array]]) -> Array:
    """max_i of the flipped, centred t_ij: [variants j, flips].

    The flipped sums of i - j come from one product over all rows, less what the rows that i or j lacks put into it.
    """
    sums, total = signs @ filled.T, np.sum(signs, axis=1, keepdims=True)
    holes = missing.any(axis=0)
    part, gone, there = signs[:, holes], missing[:, holes], filled[:, holes]
    result = np.empty((len(filled), len(signs)))
    for j, (n, mean, square) in enumerate(moments):
        lost = part @ (there * gone[j] - there[j] * gone).T
        both = total - part @ (gone | gone[j]).T.astype(float)
        drawn = (sums - sums[:, j : j + 1] - lost - mean * both) / np.maximum(n, 1)
        result[j] = np.max(_t(drawn, square, n), axis=1)
    return result
