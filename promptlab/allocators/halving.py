"""Successive halving (Karnin et al. 2013; Jamieson and Talwalkar 2016) on one shared item order.

All live variants are scored on the same prefix of the items; the worse half by paired difference to the baseline falls
and the prefix grows, until the finalists are scored on every row. The baseline cannot fall. Where calls are short, the
early rungs are cut first, the last one last: finalists that were scored in full are what a claim can be made about.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from promptlab.allocators.full import MOST
from promptlab.view import Plan, View, block

FEWEST = 8  # rows of the first rung
SLOWEST = 2.0  # how much deeper each rung goes: at least twice
FASTEST = 4.0  # and at most four times, but for the first rungs, which are not shorter than FEWEST
LEAST = 1.5  # how much deeper those go: nobody falls on hardly more evidence than in the rung before


def halving(view: View, rng: np.random.Generator) -> Plan:  # noqa: ARG001 - ties fall by order of admission
    """Round 0 asks for as many variants as the budget can carry through; every later round is one rung."""
    rows, seats = len(view.dev), max(1, view.finalists)
    if view.round == 0:
        return Plan(want=_affordable(view.calls_left, rows, seats))
    alive = [v for v in range(len(view.variants)) if view.live[v]]
    depths = view.asked[alive].sum(axis=1)
    depth = int(depths.max())
    if depths.min() < depth:  # the budget ended in this rung: nobody falls for rows that were not asked
        return Plan(block(dict.fromkeys(alive, range(depth)), view.asked))
    if depth >= rows:
        return Plan()
    ranked = [v for v in view.ranking() if v != 0]
    keep = ranked if depth == 0 else ranked[: max(seats, math.ceil(len(ranked) / 2))]
    goal = next_depth(len(keep), depth, rows, seats, view.calls_left)
    if goal <= depth:
        return Plan()
    spans = dict.fromkeys((0, *sorted(keep)), range(goal))
    return Plan(block(spans, view.asked), tuple(ranked[len(keep) :]))


def next_depth(variants: int, depth: int, rows: int, seats: int, calls: float) -> int:
    """How many rows the coming rung scores; ``depth`` itself where no further row fits for all.

    The growth from rung to rung is the smallest, from 2 up to 4, at which the whole ladder to the last row fits the
    calls; where none does, the ladder ends earlier.
    """

    def fits(growth: float, end: int) -> bool:
        return _cost(variants, depth, end, seats, growth) <= calls

    if fits(FASTEST, rows):
        growth = _least(SLOWEST, FASTEST, lambda each: fits(each, rows))
        return _ladder(variants, depth, rows, seats, growth)[0][1]
    end = max((each for each in range(depth + 1, rows) if fits(FASTEST, each)), default=None)
    if end is not None:
        return _ladder(variants, depth, end, seats, FASTEST)[0][1]
    return min(rows, depth + int(calls // (variants + 1)))


def _least(low: float, high: float, holds: Callable[[float], bool]) -> float:
    """The smallest number from ``low`` up that holds, where ``high`` does."""
    if holds(low):
        return low
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _ladder(variants: int, depth: int, end: int, seats: int, growth: float) -> list[tuple[int, int]]:
    """(variants scored, depth reached) of every rung to come; the last one reaches ``end``."""
    rungs = []
    while True:
        halvings = math.ceil(math.log2(variants / seats)) if variants > seats else 0
        depth = min(end, max(math.floor(end / growth**halvings), FEWEST, math.ceil(LEAST * depth), depth + 1))
        rungs.append((variants, depth))
        if depth >= end:
            return rungs
        variants = max(seats, math.ceil(variants / 2))


def _cost(variants: int, depth: int, end: int, seats: int, growth: float) -> int:
    """Calls of the whole ladder, the baseline's included."""
    total = 0
    for scored, reached in _ladder(variants, depth, end, seats, growth):
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
        low, high = (middle, high) if _cost(middle, 0, end, seats, FASTEST) <= calls else (low, middle - 1)
    return low
