"""What the bandits share: in which portions calls are handed out, and how the search ends.

A round hands out a portion of the calls among the live variants, each going on in the shared order of the rows from
where it stands; the baseline goes along with the deepest. What completes the finalists is kept back. Nobody falls
before the end: a variant that looked bad may come back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from promptlab.allocators import cohort
from promptlab.allocators.cohort import Columns
from promptlab.view import Plan, Scores, View

PORTIONS = 40  # rounds that the calls are handed out in, about
TRUST = 10.0  # rows that the common mean is worth where the best are named at the end


@dataclass(frozen=True, slots=True)
class Arms:
    """The cohort as arms: how often each was pulled, the sum of its scores, the rows it still has."""

    pulls: Scores
    sums: Scores
    left: Columns


def play(view: View, hand: Callable[[Arms, int], Columns]) -> Plan:
    """One portion. ``hand(arms, calls)`` says how many of the calls each arm gets."""
    rows = cohort.members(view)
    if view.round == 0 or not rows:
        return Plan(want=cohort.wanted(view))
    order = np.arange(len(view.dev))
    arms = _arms(view, rows)
    calls = _portion(view, arms)
    seats = _best(rows, arms)[: view.finalists]
    ending = len(cohort.completing(view, seats)) if seats else 0
    held = ending if ending <= cohort.total(view) / 2 else 0
    if view.calls_left - calls < held or calls < 1:
        return cohort.finish(view, _best(rows, arms))
    given = np.minimum(hand(arms, calls), arms.left)
    goals = view.asked[rows].sum(axis=1) + given
    cells = [
        cell for v, goal in zip(rows, goals.tolist(), strict=True) for cell in cohort.spread((v,), order[:goal], view)
    ]
    cells += cohort.spread((0,), order[: int(goals.max())], view)
    return Plan(tuple(sorted(cells, key=lambda cell: (cell[1] // 8, cell[0]))))


def _arms(view: View, rows: list[int]) -> Arms:
    scores = view.scores[rows]
    pulls = (~np.isnan(scores)).sum(axis=1).astype(float)
    left = (~view.asked[rows]).sum(axis=1)
    return Arms(pulls, np.nansum(scores, axis=1), left)


def _portion(view: View, arms: Arms) -> int:
    """The calls of this round: a fortieth of all, one for each variant at first, no more than are left."""
    share = cohort.total(view) / PORTIONS
    most = float(arms.left.sum())
    if math.isinf(share):
        return int(min(most, 8 * len(arms.left)))
    first = len(arms.left) if arms.pulls.sum() == 0 else 0
    base = 0 if view.asked[0].all() else 8  # the baseline goes along
    return int(
        min(most, max(8, share, first), view.calls_left - base if view.calls_left > 2 * base else view.calls_left / 2)
    )


def _best(rows: list[int], arms: Arms) -> list[int]:
    """The cohort, best first, by means that are drawn to the common one where there is little behind them."""
    common = arms.sums.sum() / max(1.0, arms.pulls.sum())
    values = (arms.sums + TRUST * common) / (arms.pulls + TRUST)
    return [rows[at] for at in sorted(range(len(rows)), key=lambda at: (-values[at], at))]
