"""Successive halving (Karnin et al. 2013; Jamieson and Talwalkar 2016) on one shared item order.

All live variants are scored on the same prefix of the items; the worse half by paired difference to the baseline falls
and the prefix grows, until the finalists are scored on every row. The baseline cannot fall. Where calls are short, the
early rungs are cut first, the last one last: finalists that were scored in full are what a claim can be made about.

With ``brackets`` the variants are shared out as in Hyperband (Li et al. 2018): one bracket after the other, each with
an equal part of the calls, from many variants that start on few rows to few that start on many; the best of each stay.
That insures against rows that mislead at first, and costs calls. In replays of recorded scores it lost up to half
again as much, so that one bracket, plain successive halving, is the default.

A variant falls on closed rounds only, when none of its cells waits to be asked: there is nothing to withdraw.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from promptlab.allocators.full import MOST
from promptlab.view import Plan, View, block

FEWEST = 8  # rows of the first rung
SLOWEST = 2.0  # how much deeper each rung goes: at least twice
FASTEST = 4.0  # and at most four times, but for the first rungs, which are not shorter than FEWEST
LEAST = 1.5  # how much deeper those go: nobody falls on hardly more evidence than in the rung before


def halving(view: View, rng: np.random.Generator, *, brackets: int = 1) -> Plan:  # noqa: ARG001 - nothing is drawn
    """Round 0 asks for as many variants as the budget can carry through; every later round is one rung."""
    rows, seats = len(view.dev), view.finalists or 2  # nobody needs a seat: the last rung is a duel
    if view.round == 0:
        return Plan(want=_affordable(view.calls_left, rows, seats))
    alive = [v for v in range(1, len(view.variants)) if view.live[v] and not view.asked[v].all()]
    if brackets <= 1 or math.isinf(view.calls_left):
        return _rung(view, alive, seats, view.calls_left)
    total = view.calls_left + float(view.asked.sum())
    parts = shared_out(len(view.variants) - 1, brackets)
    begun = max((b for b, part in enumerate(parts) if view.asked[list(part)].any()), default=0)
    for b in range(begun, len(parts)):
        calls = min(view.calls_left, total * (b + 1) / len(parts) - float(view.asked.sum()))
        plan = _rung(view, [v for v in alive if v in parts[b]], max(2, seats // len(parts)), calls)
        if plan.cells:
            return plan
    return Plan()


def shared_out(variants: int, brackets: int) -> list[range]:
    """Rows of the view from 1 on, shared out among brackets: the first one holds the most, as 2^s / (s + 1)."""
    weights = [2.0**s / (s + 1) for s in reversed(range(brackets))]
    ends = [round(variants * sum(weights[: b + 1]) / sum(weights)) for b in range(brackets)]
    return [range(1 + start, 1 + end) for start, end in zip([0, *ends], ends, strict=False) if end > start]


def _rung(view: View, alive: list[int], seats: int, calls: float) -> Plan:
    """The next rung of a ladder that these calls have to carry; none where no further row fits for all."""
    rows = len(view.dev)
    if not alive:
        return Plan()
    depths = view.asked[alive].sum(axis=1)
    depth = int(depths.max())
    if depths.min() < depth:  # the budget ended in this rung: nobody falls for rows that were not asked
        return Plan(block(dict.fromkeys((0, *alive), range(depth)), view.asked))
    ranked = [v for v in view.ranking() if v in set(alive)]
    keep = ranked if depth == 0 else ranked[: max(seats, math.ceil(len(ranked) / 2))]
    goal = next_depth(len(keep), depth, rows, seats, calls)
    if goal <= depth:
        return Plan()
    spans = dict.fromkeys((0, *sorted(keep)), range(goal))
    return Plan(block(spans, view.asked), tuple(ranked[len(keep) :]))


def next_depth(variants: int, depth: int, rows: int, seats: int, calls: float) -> int:
    """How many rows the coming rung scores; ``depth`` itself where no further row fits for all.

    The growth from rung to rung is the smallest, from 2 up to 4, at which the whole ladder to the last row fits the
    calls; where none does, the ladder ends earlier, and its first rungs may be short: every rung gets its share.
    """

    def fits(growth: float, end: int, fewest: int = FEWEST) -> bool:
        return _cost(variants, depth, seats, Ladder(end, growth, fewest)) <= calls

    if fits(FASTEST, rows):
        growth = _least(SLOWEST, FASTEST, lambda each: fits(each, rows))
        return _rungs(variants, depth, seats, Ladder(rows, growth))[0][1]
    share = calls / (_halvings(variants, seats) + 1) / (variants + 1)
    fewest = max(1, min(FEWEST, int(share)))
    end = depth + bisect_left(range(depth + 1, rows), True, key=lambda each: not fits(SLOWEST, each, fewest))
    if end > depth:
        return _rungs(variants, depth, seats, Ladder(end, SLOWEST, fewest))[0][1]
    return min(rows, depth + int(calls // (variants + 1)))


def _least(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """The smallest number from ``low`` up that holds, where ``high`` does."""
    if holds(low):
        return low
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where the rungs lead, how much deeper each goes, and how many rows the first one has at least."""

    end: int
    growth: float
    fewest: int = FEWEST


def _halvings(variants: int, seats: int) -> int:
    return math.ceil(math.log2(variants / seats)) if variants > seats else 0


def _rungs(variants: int, depth: int, seats: int, ladder: Ladder) -> list[tuple[int, int]]:
    """(variants scored, depth reached) of every rung to come; the last one reaches the end."""
    rungs = []
    while True:
        aim = math.floor(ladder.end / ladder.growth ** _halvings(variants, seats))
        depth = min(ladder.end, max(aim, ladder.fewest, math.ceil(LEAST * depth), depth + 1))
        rungs.append((variants, depth))
        if depth >= ladder.end:
            return rungs
        variants = max(seats, math.ceil(variants / 2))


def _cost(variants: int, depth: int, seats: int, ladder: Ladder) -> int:
    """Calls of the whole ladder, the baseline's included."""
    total = 0
    for scored, reached in _rungs(variants, depth, seats, ladder):
        total += (scored + 1) * (reached - depth)
        depth = reached
    return total


def _affordable(calls: float, rows: int, seats: int) -> int:
    """How many variants are worth asking for: the most that a ladder to the last row can carry.

    Where that is hardly more than the seats, a ladder to half the rows, a quarter, … tells more than a few variants do.
    """
    end = rows
    while True:
        most = _most(calls, end, seats)
        if most >= 4 * seats or end < 4 * FEWEST:
            return most
        end //= 2


def _most(calls: float, end: int, seats: int) -> int:
    low, high = seats, max(seats, MOST)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _cost(middle, 0, seats, Ladder(end, FASTEST)) <= calls else (low, middle - 1)
    return low
