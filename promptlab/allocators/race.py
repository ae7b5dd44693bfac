"""A paired race: whoever is shown to be no better than the leader falls, and the rest is scored on more rows.

All run over one order of the rows, a fair sample. A rival falls when the upper bound of its paired difference to the
leader is at most ``eps``; the bound has the finite-set correction and one disagreement more than was seen, so that
it is 0 only on the last row. The baseline never falls; once it is decided it rests, and is completed with the
finalists. Claims are about the labelled rows of dev: who is left is within ``eps`` of the best that
ran. While an open space brings more variants, ``loose`` is used and nothing is claimed.

``strict`` proves it, for any time at which it is looked: each bet of a rival against a leader errs with a chance of
alpha / rivals (Bonferroni over whom the best variant may meet). Only who is shown to be worse falls; who is shown to be
within eps rests, and runs again if the leader changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from promptlab.allocators import cohort
from promptlab.allocators.betting import below
from promptlab.allocators.cohort import Columns
from promptlab.view import Flags, Plan, Scores, View

WARM_STRICT, BLOCK_STRICT = 20, 10


@dataclass(frozen=True, slots=True)
class Look:
    """Where the race stands: places in ``rows`` of the leader, who falls, who is not decided, mean scores."""

    rows: list[int]
    leader: int
    falls: Flags
    open: Flags
    values: Scores


@dataclass(frozen=True)
class Race:
    """One block of rows a round, and a look after it. ``eps`` is in points of the score (0.01 is one of a hundred).

    Nobody falls before ``warm`` rows, nor before that ``part`` of dev: on a large dev set few rows cost little, and the
    earliest looks are where the best one falls by bad luck.
    """

    z: float = 2.25
    eps: float = 0.01
    warm: int = 10
    block: int = 5
    strict: bool = False
    alpha: float = 0.05
    loose: float = 1.0
    size: int = cohort.COHORT
    part: float = 0.06

    def __post_init__(self) -> None:
        if min(self.z, self.warm, self.block, self.alpha, self.loose, self.size) <= 0 or self.eps < 0:
            raise ValueError("z, warm, block, alpha, loose and size must be above 0, eps not below 0")
        if not 0 <= self.part < 1:
            raise ValueError("part must be from 0 up and below 1")

    def __call__(self, view: View, rng: np.random.Generator) -> Plan:  # noqa: ARG002 - nothing is drawn
        """Round 0 asks for the variants; then blocks of rows until all is decided, and the finalists are completed."""
        rows = cohort.members(view)
        if view.round == 0 or not rows:
            return Plan(want=cohort.wanted(view, 2 * self.warm, self.size))
        order = np.arange(len(view.dev))
        reached = cohort.depths(view, rows, order)
        depth = self._frontier(view)
        if not self.strict and reached.min() < depth:  # the budget ended in mid-round
            return Plan(tuple(cohort.spread((0, *rows), order[:depth], view)))
        if depth == 0:
            return self._next(view, rows, 0, self._warm(view))
        return self._after(view, rows, depth)

    def _after(self, view: View, rows: list[int], depth: int) -> Plan:
        """What follows from a look at the rows of the race, at this depth."""
        look = self.look(view)
        fallen = [v for v, falls in zip(look.rows, look.falls, strict=True) if falls and v != 0]
        ranked = [v for v in _ranked(view, look) if v in set(rows)]
        if not look.open.any():
            more = cohort.wanted(view, 2 * self.warm, self.size)
            return _over(view, ranked, look.rows[look.leader], more)
        running = [v for v, still in zip(look.rows, look.open, strict=True) if still]
        running = sorted({*running, look.rows[look.leader]} & set(rows))
        behind = cohort.spread(running, np.arange(depth), view)
        if behind:  # who rested runs again
            return Plan(tuple(behind), tuple(fallen))
        rests = not look.open[0] and look.leader != 0 and view.calls_left >= 2 * len(view.dev)
        plan = self._next(view, running, depth, self.block, () if rests else (0,))
        left = [v for v in ranked if v not in fallen]
        ending = len(cohort.completing(view, left[: view.finalists]))
        if view.finalists and len(plan.cells) + ending > view.calls_left >= ending:  # time to complete the best
            return cohort.finish(view, left + [v for v in ranked if v in fallen])
        return Plan(plan.cells, tuple(fallen))

    def look(self, view: View) -> Look:
        """Who leads, who falls, who is open, of the live variants and the baseline."""
        order = np.arange(len(view.dev))
        live = np.flatnonzero(view.live & view.asked.any(axis=1)).tolist()
        depth = self._frontier(view) or len(order)
        scores, weights = cohort.scored(view, live, order[:depth]), view.weights[:depth]
        deep = np.minimum(cohort.depths(view, live, order), depth)
        values = cohort.levels(scores, weights)
        values = np.where(np.isnan(values), -np.inf, values)
        leader = int(np.where(deep == deep.max(), values, -np.inf).argmax())
        scaled = (scores - scores[leader]) * (weights / view.weights.mean())
        falls, opened = self._judged(view, scaled, deep)
        falls[leader] = opened[leader] = False
        return Look(live, leader, falls & (np.array(live) != 0), opened, values)

    def _warm(self, view: View) -> int:
        """The rows before the first look; in a loose race the least."""
        loose = not self.strict and not cohort.fits(view, 2 * self.warm, self.size)
        return self.warm if loose or self.strict else max(self.warm, round(self.part * len(view.dev)))

    def _frontier(self, view: View) -> int:
        """How deep the race is. Only where variants rest is one that was scored on every row part of it."""
        rows = [*cohort.members(view), *(cohort.judged(view) if self.strict else ())]
        return int(cohort.depths(view, rows, np.arange(len(view.dev))).max(initial=0))

    def _judged(self, view: View, gaps: Scores, deep: Columns) -> tuple[Flags, Flags]:
        whole = len(view.dev)
        if self.strict:
            return self._proven(gaps, deep, whole, max(1, len(view.variants) - 1))
        loose = not cohort.fits(view, 2 * self.warm, self.size)
        z, eps = (self.loose, 0.0) if loose else (self.z, self.eps)
        falls = upper(gaps, whole, z) <= eps + 1e-12
        return falls, ~falls

    def _proven(self, gaps: Scores, deep: Columns, whole: int, rivals: int) -> tuple[Flags, Flags]:
        """In strict mode: who is proven worse than the leader, and who is not even proven to be within eps of it."""
        falls, near = np.zeros(len(gaps), bool), np.zeros(len(gaps), bool)
        for depth in np.unique(deep).tolist():
            at = np.flatnonzero(deep == depth)
            drawn = gaps[at][:, :depth]
            near[at] = below(drawn, whole, self.eps, self.alpha / rivals)
            falls[at] = near[at] & below(drawn, whole, 0.0, self.alpha / rivals)
        return falls, ~near

    def _next(self, view: View, rows: list[int], depth: int, step: int, along: tuple[int, ...] = (0,)) -> Plan:
        """The next rows for those that run and the baseline; fewer than ``step`` where the calls end."""
        if self.strict:
            step = max(step, WARM_STRICT if depth == 0 else BLOCK_STRICT)
        room = len(view.dev) if math.isinf(view.calls_left) else int(view.calls_left // (len(rows) + 1))
        goal = min(len(view.dev), depth + min(step, room))
        return Plan(tuple(cohort.spread((*along, *rows), np.arange(goal), view)))


def _ranked(view: View, look: Look) -> list[int]:
    """Those that ran, the baseline apart: the deepest first, then by their means."""
    deep, value = view.asked.sum(axis=1), dict(zip(look.rows, look.values.tolist(), strict=True))
    return sorted((v for v in look.rows if v != 0), key=lambda v: (-deep[v], -value[v], v))


def _over(view: View, ranked: list[int], leader: int, more: int) -> Plan:
    """All is decided: the leader is completed. Where the baseline leads, the best beside it is, for the record."""
    seat = [leader] if leader in ranked else ranked[:1] if view.finalists and leader == 0 else []
    cells = cohort.completing(view, seat) if view.finalists else []
    cells = cells if len(cells) <= view.calls_left else []
    return Plan(tuple(cells), tuple(v for v in ranked if v not in seat), 0 if cells else more)


def upper(gaps: Scores, whole: int, z: float) -> Scores:
    """The upper bound of the mean of each row of paired differences [variants, rows of dev] over the whole set."""
    known = ~np.isnan(gaps)
    n = known.sum(axis=1)
    safe = np.maximum(n, 1)
    mean = np.where(known, gaps, 0.0).sum(axis=1) / safe
    square = np.where(known, gaps * gaps, 0.0).sum(axis=1)
    variance = np.maximum(square - n * mean * mean, 0.0) + 1
    error = np.sqrt(variance / safe / safe * np.maximum(whole - n, 0) / max(1, whole - 1))
    return np.asarray(np.where(n > 0, mean + z * error, np.inf))


def proven(view: View, race: Race) -> bool:
    """Whether who is left was shown to be within eps of the best that ran: nothing is open, and the rule was not loose.

    ``view`` is the last one of a search, the last drops made.
    """
    if not race.strict and not cohort.fits(view, 2 * race.warm, race.size):
        return False
    if not (view.live & view.asked.any(axis=1)).any() or (~view.asked[0]).all():
        return False
    return not race.look(view).open.any()
