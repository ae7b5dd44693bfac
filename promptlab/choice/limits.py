"""What a user asks of an arm beside its score: a target, a waiting time, a price; and which arms keep to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from promptlab.choice.arm import Arm
from promptlab.choice.costs import Use, lacking, served
from promptlab.experiment.choose import MARGIN, Choose
from promptlab.stats.paired import Interval
from promptlab.unit import Unit


@dataclass(frozen=True, slots=True)
class Limits:
    """None = no such limit. ``margin`` and ``target`` are in the unit of the scores.

    ``probe``: an off-task probe is asked for, so that a tuned arm needs one that it passes.
    """

    margin: float = MARGIN
    target: float | None = None
    p95_ms: float | None = None
    usd_per_1k: float | None = None
    probe: bool = False
    use: Use = field(default_factory=Use)


def limits_of(wish: Choose) -> Limits:
    """The limits as the experiment's file has them."""
    use = Use(wish.volume_per_month, wish.months, wish.updates_per_month)
    return Limits(wish.margin, wish.target, wish.p95_ms, wish.usd_per_1k, wish.probe is not None, use)


def too_dear(arm: Arm, limits: Limits) -> list[str]:
    """Why an arm is slower or dearer than it may be, or forgets too much; what is not measured keeps to no limit."""
    found = []
    if limits.p95_ms is not None:
        found += _above("p95", arm.serving.p95_ms, limits.p95_ms, " ms", "no waiting time was measured")
    if limits.usd_per_1k is not None:
        each = served(arm, limits.use)
        why = "" if each is not None else lacking(arm, limits.use)[0]
        found += _above("usd_per_1k", None if each is None else 1000 * each, limits.usd_per_1k, "", why)
    if limits.probe and arm.tuned:
        found += _forgetting(arm)
    return found


def below_target(score: float, interval: Interval, limits: Limits, unit: Unit) -> list[str]:
    """Why a score is not shown to reach the target: its 95 % interval must lie above it."""
    if limits.target is None or interval.low >= limits.target:
        return []
    if math.isnan(interval.low):
        return [f"so few test rows cannot show that it reaches the target {unit.score(limits.target)}"]
    word = "is below" if interval.high < limits.target else "is not shown to reach"
    span = f"{unit.score(score)} [{unit.bound(interval.low)}, {unit.bound(interval.high)}]"
    above = "" if interval.high < limits.target else " (its interval must lie above it)"
    return [f"test score {span} {word} the target {unit.score(limits.target)}{above}"]


def _above(name: str, value: float | None, limit: float, unit: str, unknown: str) -> list[str]:
    if value is None:
        return [f"{name} is not known ({unknown}), and its limit is {_figure(limit)}{unit}"]
    if value <= limit:
        return []
    said, most = _figure(value), _figure(limit)
    return [f"{name} {said if said != most else f'{value:,.10g}'}{unit} is above {most}{unit}"]


def _figure(value: float) -> str:
    """Two thousand as 2,000, and small ones in four digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _forgetting(arm: Arm) -> list[str]:
    lost = arm.off_task
    if lost is None:
        return ["its loss off task was not measured"]
    if math.isnan(lost.worst):
        rows = f"{lost.n} probe row{' is' if lost.n == 1 else 's are'}"
        return [f"{rows} too few to tell what it may have lost off task"]
    if lost.bounded:
        return []
    return [f"off task it may have lost {100 * lost.worst:.1f} points ({lost.n} probe rows); 2 are allowed"]
