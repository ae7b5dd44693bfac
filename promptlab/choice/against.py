"""Arms against the reference: bounds for all of them together, on the rows that both have a score on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from promptlab.choice.arm import Arm
from promptlab.choice.bounds import FLIPS, Bound, bounds
from promptlab.reads import penalty, reread
from promptlab.stats.paired import error_bounds
from promptlab.stats.sample import Array, Codes
from promptlab.unit import Unit, unit_of

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Rows:
    """What the test rows are: their weights, the groups of those that belong together, how many times they were read.

    ``seed`` and ``flips`` are those of the sign flips.
    """

    weights: Array | None = None
    groups: Codes | None = None
    seed: int = 0
    reads: int = 1
    flips: int = FLIPS


def unit(arms: Sequence[Arm], margin: float) -> Unit:
    """Rates if every score lies from 0 to 1, and so does the margin: one of 2 points is of scores that only look so."""
    return Unit(margin <= 1 and unit_of([arm.scores for arm in arms]).rate)


def against(arms: Sequence[Arm], base: Arm, margin: float, rows: Rows, said: Unit) -> Mapping[str, Bound]:
    """The bounds of each arm, by its name."""
    if not arms:
        return {}
    made = bounds(
        np.array([arm.scores - base.scores for arm in arms]),
        margin,
        rows.seed,
        weights=rows.weights,
        groups=rows.groups,
        spread=[_spread(arm, base) for arm in arms],
        level=ALPHA / penalty(rows.reads),  # the r-th reading of the same rows costs as much as it costs a p
        flips=rows.flips,
    )
    return {arm.name: _within(each, rows.reads, said) for arm, each in zip(arms, made, strict=True)}


def turned(arm: Arm, base: Arm, margin: float, rows: Rows, fills: tuple[float, float]) -> bool:
    """Whether failed rows, had they all gone one way, would put the arm no higher than -``margin`` to the reference."""
    return min(error_bounds(arm.scores, base.scores, rows.weights, fills)) <= -margin


def extremes(arms: Sequence[Arm]) -> tuple[float, float]:
    """The least and the most that a row may score: 0 and 1, or what the arms' rows score beyond."""
    known = np.concatenate([arm.scores[~np.isnan(arm.scores)] for arm in arms])
    return float(known.min(initial=0.0)), float(known.max(initial=1.0))


def _within(bound: Bound, reads: int, said: Unit) -> Bound:
    """No two rates are further apart than 1."""
    low, high = (float(np.clip(end, -1, 1)) if said.rate else end for end in (bound.low, bound.high))
    return replace(bound, low=low, high=high, p=reread(bound.p, reads))


def _spread(arm: Arm, base: Arm) -> tuple[float, int]:
    """What the tuning seeds of both sides add, as a variance and the seeds that it was seen over."""
    own, other = arm.spread(), base.spread()
    if own[1] < 2 or other[1] < 2:
        return max(own, other, key=lambda each: each[1])
    seeds = min(own[1], other[1])
    return seeds * (own[0] / own[1] + other[0] / other[1]), seeds
