"""The rank schedule: how deep a variant is scored depends on its rank alone.

The variant of rank j is scored on about c·(j + 1)^-1.25 rows, all on prefixes of one order of the rows, so that every
comparison is paired; c is what the calls allow. Level by level all that are left are scored, ranked again, and those
whose rank goes no deeper fall: between the cut of sequential rejects (Audibert, Bubeck & Munos 2010) and that of
successive halving, with the whole budget spent and the first ranks equally deep. In replays of recorded scores nothing
adaptive did better without further knowledge. Two things are known later: finalists that were scored on every row order
the rows for the next cohort (``order``), and a parent's mean is a prior of its child's. Finalists of earlier cohorts
are ranked along at no cost: who cannot match them falls early.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from promptlab.allocators import cohort
from promptlab.allocators.cohort import Columns
from promptlab.allocators.generations import SIZE, generations
from promptlab.allocators.order import item_order
from promptlab.view import Flags, Plan, Scores, View

PARENT = 50  # rows that a parent's mean needs to count as a prior


def ranks(
    view: View,
    rng: np.random.Generator,
    *,
    slope: float = 1.25,
    prior: float = 10.0,
    size: int = cohort.COHORT,
    each: float = cohort.EACH,
    generation: int = SIZE,
) -> Plan:
    """One level of the schedule a round.

    ``slope`` is that of the ranks; ``prior`` is how many rows a parent's mean is worth; cohorts of ``size`` variants at
    ``each`` calls a variant, where not all there is fits into one. Where texts are rewritten, on a budget, generations
    of so many variants take the place of cohorts (``generations``); 0 stays with cohorts.
    """
    if generation and cohort.is_open(view) and not math.isinf(view.calls_left):
        return generations(view, rng, slope=slope, size=generation)
    rows = cohort.members(view)
    if view.round == 0 or not rows:
        return Plan(want=cohort.wanted(view, each, size))
    order = item_order(view)
    reached = cohort.depths(view, rows, order)
    depth = int(reached.max())
    if reached.min() < depth:  # the budget ended in mid-round: nobody falls for rows that were not asked
        return Plan(tuple(cohort.spread((0, *rows), order[:depth], view)))
    ranked = _ranked(view, rows, order[:depth], prior, rng)
    schedule = Schedule(view, slope, each, size)
    goals = schedule.goals([v in set(rows) for v in ranked], depth)
    keep = [v for v, goal in zip(ranked, goals, strict=True) if goal > depth and not view.asked[v].all()]
    beaten = [v for v in ranked if v not in set(keep) and not view.asked[v].all()]
    if keep:
        level = min(int(goal) for goal in goals if goal > depth)
        return Plan(tuple(cohort.spread((0, *sorted(keep)), order[:level], view)), tuple(beaten))
    more = cohort.wanted(view, each, size)
    if cohort.judged(view):  # nobody here is among the best: those stay
        return Plan((), tuple(beaten), more)
    return cohort.finish(view, beaten, more)


def _ranked(view: View, rows: list[int], columns: Columns, prior: float, rng: np.random.Generator) -> list[int]:
    """The cohort and the finalists of earlier ones, best first, by these columns and by what parents promise."""
    everyone = [*rows, *cohort.judged(view)]
    scores = cohort.scored(view, everyone, columns)
    values = cohort.levels(scores, view.weights[columns])
    known = (~np.isnan(scores)).sum(axis=1)
    promise = _promised(view, everyone)
    if prior > 0 and not np.isnan(promise).all():
        promise = np.where(np.isnan(promise), np.nanmean(promise), promise)
        values = (known * np.nan_to_num(values) + prior * promise) / (known + prior)
    return [everyone[at] for at in cohort.best_first(values, rng)]


def _promised(view: View, rows: list[int]) -> Scores:
    """The mean of each row's parents, where they were scored on enough rows; NaN elsewhere."""
    place = {variant.id: v for v, variant in enumerate(view.variants)}
    found = np.full(len(rows), np.nan)
    enough = min(PARENT, len(view.dev))
    for at, v in enumerate(rows):
        parents = [place[each] for each in view.variants[v].parents if each in place and place[each] != v]
        deep = [p for p in parents if (~np.isnan(view.scores[p])).sum() >= enough]
        if deep:
            found[at] = np.mean([np.nanmean(view.scores[p]) for p in deep])
    return found


class Schedule:
    """How deep each rank goes, so that what is left of the cohort's calls is spent."""

    def __init__(self, view: View, slope: float, each: float, size: int) -> None:
        self.view, self.rows = view, len(view.dev)
        self.later = bool(cohort.judged(view))
        self.seats = 2 if self.later else view.finalists
        self.slope, self.each, self.size = slope, each, size
        completes = cohort.complete_cost(view) <= cohort.total(view) / 2
        self.completed = self.seats if completes and view.finalists else 0  # ranks that are scored on every row

    def goals(self, new: list[bool], depth: int) -> Columns:
        """The depth of each rank; ``new`` says which ranks are still to be scored (the others cost nothing)."""
        counts, left = np.array(new), self.view.calls_left
        fits = cohort.fits(self.view, self.each, self.size)
        if math.isinf(left) and fits:
            return np.full(len(counts), self.rows)
        weights = self._weights(len(counts))
        if not fits:
            planned = self._targets(np.array([self._planned()]), weights)
            if left - self._price(planned, counts, depth)[0] >= self.rows + cohort.FEWEST * self.each:
                return np.asarray(planned[0])  # there will be another cohort
        if self._price(self._targets(np.zeros(1), weights), counts, depth)[0] > left:
            self.completed = 0  # the calls left do not complete the seats
        scale = self._solve(lambda scales: self._price(self._targets(scales, weights), counts, depth), left, weights)
        return np.asarray(self._targets(np.array([scale]), weights)[0])

    def _weights(self, count: int) -> Scores:
        return np.asarray((np.maximum(np.arange(1, count + 1), max(2, self.seats)) + 1.0) ** -self.slope)

    def _targets(self, scales: Scores, weights: Scores) -> Columns:
        """Rows per rank [scales, ranks]; the seats get all of them."""
        targets = np.minimum(self.rows, np.outer(scales, weights) + 1e-9).astype(np.int64)
        targets[:, : self.completed] = self.rows
        return targets

    def _planned(self) -> float:
        """The scale at which a cohort of the usual size takes the usual calls; more of them where there are plenty."""
        calls = cohort.total(self.view) / cohort.GENERATIONS
        each = max(self.each, min(self.rows, calls / self.size))
        weights = self._weights(self.size)
        return self._solve(
            lambda scales: np.minimum(np.outer(scales, weights), self.rows).sum(axis=1), each * self.size, weights
        )

    def _price(self, targets: Columns, counts: Flags, depth: int) -> Scores:
        """The calls to bring the new ones among the ranks from ``depth`` to their targets, the baseline along."""
        more = np.maximum(targets[:, counts] - depth, 0)
        deepest = depth + more.max(axis=1, initial=0)
        base = np.where(deepest > depth, np.maximum(deepest - int(self.view.asked[0].sum()), 0), 0)
        return np.asarray(more.sum(axis=1) + base, float)

    def _solve(self, price: Callable[[Scores], Scores], most: float, weights: Scores) -> float:
        """The largest scale that costs no more than ``most``: tried on ever finer steps, many at a time."""
        low, high = 0.0, self.rows / float(weights.min()) + 1
        for _ in range(5):
            scales = np.linspace(low, high, 34)
            fit = int((price(scales[1:]) <= most).sum())
            if fit == len(scales) - 1:
                return high
            low, high = float(scales[fit]), float(scales[fit + 1])
        return low
