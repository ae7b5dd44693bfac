"""What may be said of a choice by an allocator, as sentences: after a race, and after a fixed budget.

The shares were measured on recorded scores of real models (23 prompt pools of an optimiser, 10 grids of models and
styles, 55 grids of one model). Nothing of this is about fresh rows: that is what the test says.
"""

from __future__ import annotations

import math
from itertools import pairwise

from promptlab.allocators.race import Race
from promptlab.unit import Unit

# share of replays in which the choice was within a point of the best, and the mean shortfall in points, by calls per
# variant; at the rank schedule, without anything known before
FIXED = ((3, 0.27, 4.0), (5, 0.33, 3.3), (10, 0.51, 2.0), (20, 0.68, 1.1), (40, 0.85, 0.5))
MEASURED = ((2.5, "1-4 %"), (2.25, "3-6 %"), (2.0, "6-10 %"), (1.64, "8-12 %"))  # z and how often it was wrong
SINGLE = "on single tasks up to 20 %"


def raced(race: Race, rivals: int, unit: Unit) -> str:
    """The sentence after a race that came to its end: who is left is within eps of the best of those that ran."""
    within = f"within {_points(race.eps, unit)}" if race.eps else "with nobody above it"
    head = f"Best on these dev rows of the {rivals} variants that ran, {within}"
    if race.strict:
        return f"{head}: proven, wrong in at most {100 * race.alpha:g} % of such runs whenever they stop."
    wrong = next((share for z, share in MEASURED if race.z >= z), None)
    if wrong is None or not unit.rate:
        return f"{head}, by the rule of the race (z = {race.z:g}); how often that errs was not measured."
    return f"{head}. In replays of 88 recorded score tables this rule was wrong in {wrong} ({SINGLE})."


def fixed(calls: float, more: int | None = None) -> str:
    """The sentence after a fixed budget of so many calls per variant; about ``more`` would prove it, where known."""
    if not calls > 0 or math.isinf(calls):
        return ""
    share, short = (_between(calls, at) for at in (1, 2))
    told = (
        f"Chosen with {calls:.0f} calls per variant: in replays of recorded prompt pools such a choice was within "
        f"1 point of the best in {100 * share:.0f} % of runs, {short:.1f} points below it on average. Not proven"
    )
    return f"{told}; proving it takes about {more:,} calls more (`allocate: race`)." if more else f"{told}."


def _between(calls: float, column: int) -> float:
    """A figure between two budgets that were measured, along the logarithm of the calls."""
    points = [(math.log(row[0]), row[column]) for row in FIXED]
    x = math.log(calls)
    if x <= points[0][0]:
        return points[0][1]
    for (a, low), (b, high) in pairwise(points):
        if x <= b:
            return low + (high - low) * (x - a) / (b - a)
    return points[-1][1]


def _points(eps: float, unit: Unit) -> str:
    return f"{100 * eps:g} point{'' if eps == 0.01 else 's'}" if unit.rate else f"{eps:g}"


def needed(gap: float, variance: float, done: int, whole: int, race: Race) -> int:
    """How many rows more until a rival falls, at this paired gap to the leader and variance of the differences.

    All that are left where the gap is not wide enough for any number of them.
    """
    distance = gap + race.eps
    if distance <= 0 or variance <= 0:
        return whole - done
    rows = whole / (1 + (whole - 1) * distance**2 / (race.z**2 * variance))
    return max(0, math.ceil(rows) - done)
