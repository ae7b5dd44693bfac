"""Generations: few variants at a time, compared with the best so far, where open texts are rewritten on few calls.

What is learnt from one generation is what the next one is written from, so that many small cohorts find more than one
large one does, and rows that complete a finalist are rows that no child gets. So nobody is completed on the way: a few
leaders go on from generation to generation (as in GEPA, Agrawal et al. 2025, where a child has to beat its parent on a
few rows first). The children are scored on the prefixes of one shared order, the better they stand the deeper (the
ranks' schedule), against leaders whose rows are known already; at last those left are leaders too. How deep leaders are
compared grows with the calls that were spent, so that luck on the first rows does not last; the calls that complete
them are kept back, and spent at the very end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptlab.allocators import cohort
from promptlab.view import Plan, View

SIZE = 16  # children of a generation
FEWEST = 4  # that make one
LEADERS = 4  # that go on, where the calls are many
HELD = 0.35  # of all calls that may complete the leaders and the baseline; where that is not enough, they end earlier
FIRST, LAST = 0.1, 0.4  # of the rows on which leaders are compared, in the first generation and in the last
STEP = 8  # rows by which that grows


@dataclass(frozen=True, slots=True)
class Depths:
    """``end``: the rows that the last ones are scored on; ``top``: those of leaders now; ``leaders``: how many."""

    end: int
    top: int
    leaders: int

    def goals(self, count: int, slope: float) -> list[int]:
        """How deep each of ``count`` ranks goes."""
        place = np.maximum(np.arange(1, count + 1), self.leaders) + 1.0
        found = self.top * (place / (self.leaders + 1.0)) ** -slope
        return [max(1, int(each)) for each in np.minimum(self.top, found + 1e-9)]


def generations(view: View, rng: np.random.Generator, *, slope: float, size: int) -> Plan:
    """One level of a generation a round; then the next generation, or the end."""
    everyone = [v for v in np.flatnonzero(view.live).tolist() if v]
    at = _depths(view)
    if view.round == 0 or not everyone:
        return Plan(want=_wanted(view, at, (), (slope, size)))
    order = np.arange(len(view.dev))
    reached = cohort.depths(view, everyone, order)
    depth = int(reached.min())
    young = {v for v, rows in zip(everyone, reached.tolist(), strict=True) if rows == depth}
    ranked = _ranked(view, everyone, young, depth, rng)
    goals = at.goals(len(ranked), slope)
    kept = [v for v, goal in zip(ranked, goals, strict=True) if v in young and goal > depth]
    if kept:
        fallen = [v for v in ranked if v in young and v not in kept]
        wanted = dict(zip(ranked, goals, strict=True))
        level = min(*(wanted[v] for v in kept), *(int(rows) for rows in reached if rows > depth), len(order))
        cells = cohort.spread((0, *sorted(kept)), order[:level], view)
        if depth == 0 or view.calls_left - len(cells) >= _completing(view, at, ranked[:1]):
            return Plan(tuple(cells), tuple(fallen))
        return _ended(view, at, ranked)
    leaders = [v for v in ranked if v not in young] or ranked[: at.leaders]
    more = _wanted(view, at, leaders, (slope, size))
    if more:
        return Plan((), tuple(v for v in ranked if v not in leaders), more)
    return _ended(view, at, ranked)


def _ranked(view: View, everyone: Sequence[int], young: set[int], depth: int, rng: np.random.Generator) -> list[int]:
    """Best first, by the rows that all were asked on; before there are any, leaders first."""
    if depth == 0:
        return sorted(everyone, key=lambda v: (v in young, v))
    columns = np.arange(depth)
    values = cohort.levels(cohort.scored(view, everyone, columns), view.weights[columns])
    return [everyone[at] for at in cohort.best_first(values, rng)]


def _depths(view: View) -> Depths:
    whole, total = len(view.dev), cohort.total(view)
    seats = max(1, min(LEADERS, view.finalists or LEADERS))
    leaders = max(1, min(seats, int(HELD * total / whole) - 1))
    end = max(1, min(whole, int(HELD * total / (leaders + 1))))
    share = FIRST + (LAST - FIRST) * (1 - view.calls_left / max(1.0, total))
    return Depths(end, min(end, STEP * math.ceil(share * end / STEP)), leaders)


def _completing(view: View, at: Depths, rows: Sequence[int]) -> int:
    """The calls that bring these and the baseline to the end."""
    return len(cohort.spread((0, *rows), np.arange(at.end), view))


def _wanted(view: View, at: Depths, leaders: Sequence[int], shape: tuple[float, int]) -> int:
    """How many children the calls left pay for, with the calls that write them, beside those that complete leaders."""
    slope, size = shape
    price = size + at.top + sum(at.goals(size + at.leaders, slope)[at.leaders :])
    count = int(min(size, (view.calls_left - _completing(view, at, leaders)) * size / price))
    if view.round == 0:
        return max(count, FEWEST)
    return count if count >= min(FEWEST, size) else 0


def _ended(view: View, at: Depths, ranked: Sequence[int]) -> Plan:
    """The best are brought to the end, as many as have a seat and the calls pay; the others fall."""
    seats = list(ranked[: max(1, view.finalists)])
    while len(seats) > 1 and _completing(view, at, seats) > view.calls_left:
        seats.pop()
    cells = cohort.spread((0, *seats), np.arange(at.end), view) if view.calls_left >= 1 else []
    return Plan(tuple(cells), tuple(v for v in ranked if v not in seats))
