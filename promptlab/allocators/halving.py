"""Successive halving (Karnin et al. 2013; Jamieson and Talwalkar 2016) on one shared item order.

All live variants are scored on the same prefix of the items; the worse half by paired difference to the baseline falls,
the prefix doubles, until the finalists are scored on every row. The baseline cannot fall.
"""

from __future__ import annotations

import math

import numpy as np

from promptlab.allocators.full import MOST
from promptlab.view import Plan, View, block

FEWEST = 8  # rows of the first rung


def halving(view: View, rng: np.random.Generator) -> Plan:  # noqa: ARG001 - ties fall by order of admission
    """Round 0 asks for as many variants as the budget can carry through; every later round is one rung."""
    rows, seats = len(view.dev), max(1, view.finalists)
    if view.round == 0:
        return Plan(want=_affordable(view.calls_left, rows, seats))
    depth = int(view.asked[0].sum())
    ranked = [v for v in view.ranking() if v != 0]
    keep = ranked if depth == 0 else ranked[: max(seats, math.ceil(len(ranked) / 2))]
    dropped = tuple(ranked[len(keep) :])
    if depth >= rows and not dropped:
        return Plan()
    goal = next_depth(len(keep), depth, rows, seats, view.calls_left)
    spans = {v: range(goal) for v in (0, *sorted(keep))}
    return Plan(block(spans, view.asked), dropped)


def next_depth(variants: int, depth: int, rows: int, seats: int, calls: float) -> int:
    """How many rows the coming rung scores: the last rung scores all, each earlier one half as many.

    Where the calls left cannot carry the whole ladder, every rung is shortened by the same factor.
    """
    scale = 1.0
    if _cost(variants, depth, rows, seats, 1.0) > calls:
        low, high = 0.0, 1.0
        for _ in range(40):
            scale = (low + high) / 2
            low, high = (scale, high) if _cost(variants, depth, rows, seats, scale) <= calls else (low, scale)
        scale = low
    return _rungs(variants, depth, rows, seats, scale)[0][1]


def _rungs(variants: int, depth: int, rows: int, seats: int, scale: float) -> list[tuple[int, int]]:
    """(variants scored, depth reached) of every rung to come."""
    rungs = []
    while True:
        halvings = max(0, math.ceil(math.log2(variants / seats))) if variants > seats else 0
        goal = max(math.floor(scale * rows / 2**halvings), FEWEST if scale == 1.0 else 1, depth + 1)
        depth = min(rows, goal)
        rungs.append((variants, depth))
        if halvings == 0 or depth >= rows:
            return rungs
        variants = max(seats, math.ceil(variants / 2))


def _cost(variants: int, depth: int, rows: int, seats: int, scale: float) -> int:
    """Calls of the whole ladder, the baseline's included."""
    total = 0
    for scored, reached in _rungs(variants, depth, rows, seats, scale):
        total += (scored + 1) * (reached - depth)
        depth = reached
    return total


def _affordable(calls: float, rows: int, seats: int) -> int:
    """The most variants whose whole ladder, last rung over all rows, fits the calls; never fewer than the seats."""
    low, high = seats, MOST
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _cost(middle, 0, rows, seats, 1.0) <= calls else (low, middle - 1)
    return low
