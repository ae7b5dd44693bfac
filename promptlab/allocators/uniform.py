"""The same rows for every variant, as deep as the calls reach; then the finalists on all rows."""

from __future__ import annotations

import math

import numpy as np

from promptlab.allocators import cohort
from promptlab.view import Plan, View


def uniform(view: View, rng: np.random.Generator) -> Plan:
    """Round 0 asks for the variants, round 1 scores them all on one prefix; the best finish."""
    if view.round == 0:
        return Plan(want=cohort.wanted(view))
    rows = cohort.members(view)
    if not rows:
        return Plan()
    order = np.arange(len(view.dev))
    reached = cohort.depths(view, rows, order)
    depth = int(reached.max())
    if reached.min() < depth:  # the budget ended in mid-round: nobody falls for rows that were not asked
        return Plan(tuple(cohort.spread((0, *rows), order[:depth], view)))
    goal = _reach(view, len(rows)) if depth == 0 else depth
    if goal > depth:
        return Plan(tuple(cohort.spread((0, *rows), order[:goal], view)))
    if depth == 0:
        return Plan()
    values = cohort.levels(cohort.scored(view, rows, order[:depth]), view.weights[:depth])
    return cohort.finish(view, [rows[at] for at in cohort.best_first(values, rng)])


def _reach(view: View, rows: int) -> int:
    """How many rows everybody can be scored on while the seats can be completed; if they cannot, all calls go here."""
    whole, base = len(view.dev), int((~view.asked[0]).sum() > 0)
    if math.isinf(view.calls_left):
        return whole
    seats = min(view.finalists, rows) + base if view.finalists else 0
    left = view.calls_left - seats * whole
    others = rows + base - seats
    held = left / others if others and left >= others else view.calls_left / (rows + base)
    if not others and left >= 0:
        return whole
    return min(whole, int(held))
