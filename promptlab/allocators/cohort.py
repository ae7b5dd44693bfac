"""What the policies share: who is still being judged, how many more to ask for, which cells come next.

A cohort is the live variants that were not scored on every row yet; the baseline is scored along and belongs to none.
When its cohort is decided, a policy asks for the next one while calls are left that could decide it. Everything is
read from the view: the calls left and those made add up to what the search had from the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from promptlab.allocators.full import MOST
from promptlab.view import Plan, Scores, View

Columns: TypeAlias = npt.NDArray[np.int64]

COHORT = 30  # variants of one cohort, where the space is not known to fit into a single one
EACH = 10  # calls per variant below which a cohort is not begun
FEWEST = 4  # variants that make a cohort
GENERATIONS = 20  # cohorts that a large budget is spread over at most: a larger one scores deeper


def members(view: View) -> list[int]:
    """The live variants that are still being judged: not the baseline, and not scored on every row."""
    return [v for v in np.flatnonzero(view.live & ~view.asked.all(axis=1)).tolist() if v != 0]


def judged(view: View) -> list[int]:
    """Live variants other than the baseline that were scored on every row: the finalists of earlier cohorts."""
    return [v for v in np.flatnonzero(view.live & view.asked.all(axis=1)).tolist() if v != 0]


def total(view: View) -> float:
    """The calls that the search had from the start."""
    return view.calls_left + float(view.asked.sum())


def is_open(view: View) -> bool:
    """Whether texts may be rewritten, so that there is no end of variants."""
    return any(slot.open for slot in view.space.slots)


def fits(view: View, each: float = EACH, least: int = COHORT) -> bool:
    """Whether all there is fits into one cohort, with ``each`` calls a variant beside complete rows for the seats.

    An open space fits never, unless the calls do not carry a second cohort behind one of ``least`` variants.
    """
    if is_open(view):
        return total(view) < 2 * (complete_cost(view) + each * least)
    return view.space.size - 1 <= min(MOST, (total(view) - complete_cost(view)) / each)


def complete_cost(view: View) -> int:
    """The calls that complete the rows of all seats and the baseline."""
    return (view.finalists + 1) * len(view.dev)


def wanted(view: View, each: float = EACH, size: int = COHORT) -> int:
    """How many variants to ask for next; 0 where the calls left, or what is left of the space, make no cohort."""
    first = view.round == 0
    held = complete_cost(view) if first else len(view.dev)
    affordable = (view.calls_left - min(held, view.calls_left / 2)) / each
    most = MOST if fits(view, each, size) else size
    if math.isinf(total(view)):
        most = min(most, MOST + 1 - len(view.variants))
    if not is_open(view):
        most = min(most, view.space.size - len(view.variants))
    count = max(0, int(min(most, affordable)))
    if first:
        return max(count, view.finalists, FEWEST)
    return count if count >= min(FEWEST, most) else 0


def spread(rows: Iterable[int], columns: Sequence[int] | Columns, view: View, size: int = 8) -> list[tuple[int, int]]:
    """The cells of these rows and columns that were not asked yet: blocks of columns, variant by variant inside."""
    chosen, order = np.fromiter(rows, np.int64), np.asarray(columns, np.int64)
    cells: list[tuple[int, int]] = []
    for start in range(0, len(order), size):
        part = order[start : start + size]
        at, column = np.nonzero(~view.asked[chosen[:, None], part])
        cells += zip(chosen[at].tolist(), part[column].tolist(), strict=True)
    return cells


def depths(view: View, rows: Sequence[int], order: Columns) -> Columns:
    """How many leading columns of the order each row was asked on."""
    asked = view.asked[np.array(rows, np.int64)[:, None], order]
    return np.where(asked.all(axis=1), len(order), asked.argmin(axis=1)) if asked.size else np.zeros(len(rows), int)


def scored(view: View, rows: Sequence[int], columns: Columns) -> Scores:
    """The scores of these rows on these columns."""
    return np.asarray(view.scores[np.array(rows, np.int64)[:, None], columns])


def levels(scores: Scores, weights: Scores | None = None) -> Scores:
    """The mean score of each row [rows, columns], on a scale where rows with missing cells compare fairly.

    A row is measured by how far it is above the mean of the rows on the columns that it has a score on: missing the
    hard ones makes nobody better. NaN for a row without scores.
    """
    known = ~np.isnan(scores)
    w = known * (np.ones(scores.shape[1]) if weights is None else weights)
    filled = np.where(known, scores, 0.0)
    if known.all():
        return np.asarray((filled * w).sum(axis=1) / np.maximum(w.sum(axis=1), 1e-300))
    count = known.sum(axis=0)
    means = filled.sum(axis=0) / np.maximum(count, 1)
    mass = w.sum(axis=1)
    above = (np.where(known, filled - means, 0.0) * w).sum(axis=1)
    overall = means[count > 0].mean() if (count > 0).any() else 0.0
    return np.asarray(np.where(mass > 0, overall + above / np.where(mass > 0, mass, 1), np.nan))


def best_first(values: Scores, rng: np.random.Generator) -> list[int]:
    """Places from the highest value to the lowest, ties by lot; NaN last."""
    order = np.lexsort((rng.random(len(values)), np.where(np.isnan(values), np.inf, -values)))
    return [int(at) for at in order]


def completing(view: View, rows: Iterable[int]) -> list[tuple[int, int]]:
    """What these rows and the baseline lack to be scored on every row."""
    return spread((0, *rows), np.arange(len(view.dev)), view)


def finish(view: View, ranked: Sequence[int], more: int = 0) -> Plan:
    """The end of a cohort: the best of it, as many as there are seats and the calls complete, stay; others fall.

    Where nobody has a seat (a replay) the best stays, as it is.
    """
    kept = list(ranked[: view.finalists])
    cells = completing(view, kept) if kept else []
    while len(cells) > view.calls_left:
        kept = kept[:-1]
        if len(kept) < min(2, view.finalists):
            return Plan((), (), more)
        cells = completing(view, kept)
    return Plan(tuple(cells), tuple(ranked[max(1, len(kept)) :]), 0 if cells else more)
