"""Which arm to take: of those shown to be as good as the best on dev, within a margin and the limits, the cheapest.

An arm is eligible iff the one-sided 95 % lower bound of (arm - reference), over all arms together, is above -margin: as
good is a claim that rows have to bear out. "Not significantly worse" bears out nothing: with few rows nothing is. For
the same reason an arm is only the choice where the rows show that no cheaper arm is as good, and that no other arm is
better than the reference by the margin: dev's luck may have put forward an arm that a bad one is as good as. Otherwise
it is "not decided", with the rows that it takes. An arm that is shown to be better than dev's best by the margin takes
its place as the reference: dev was wrong there, and more rows of test would only say so again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from promptlab.choice.against import Rows, against, extremes, turned, unit
from promptlab.choice.arm import Arm, best_on_dev
from promptlab.choice.bounds import FLIPS, Bound
from promptlab.choice.costs import per_call, total
from promptlab.choice.limits import Limits, below_target, too_dear
from promptlab.stats.paired import Interval, mean, rate_interval
from promptlab.stats.sample import Array, Codes
from promptlab.unit import Unit

Z_BOUND, Z_POWER = 1.645, 0.84

Verdict: TypeAlias = Literal["chosen", "until then", "eligible", "open", "worse", "outside"]
"""``eligible``: as good, but dearer. ``open``: neither shown as good nor shown worse. ``outside``: of the limits."""
Basis: TypeAlias = Literal["total", "call", "parts"]
"""What `cheaper` means: dollars over all months, dollars a call, or fewer moving parts where a price is missing."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An arm, judged. ``bound`` is None for the reference itself; ``outside`` says which limits it does not keep.

    ``failed``: it would be eligible, were it not for the rows on which calls failed.
    """

    arm: Arm
    score: float
    interval: Interval
    bound: Bound | None
    eligible: bool
    outside: tuple[str, ...]
    total: float | None
    verdict: Verdict = "open"
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """``name`` is the arm to take (None: none keeps the limits); ``decided``: the rows bear that out.

    Where they do not, ``rivals`` are the arms that it is not decided against and ``rows`` how many would tell, on
    average (None: no number does); ``name`` is then what to take until then. ``reads``: how many times these test rows
    have been read, which the bounds are adjusted for. ``refuted``: the best on dev, where test shows the reference to
    be better than it by the margin.
    """

    name: str | None
    decided: bool
    reference: str
    judged: tuple[Judged, ...]
    basis: Basis
    limits: Limits
    unit: Unit
    rivals: tuple[str, ...] = ()
    rows: int | None = None
    reads: int = 1
    refuted: str = ""

    def of(self, name: str) -> Judged:
        """An arm, judged. KeyError: there is none."""
        return {each.arm.name: each for each in self.judged}[name]

    @property
    def best(self) -> str:
        """What the reference is, in words."""
        return "the best shown on test" if self.refuted else self.dev

    @property
    def dev(self) -> str:
        """What the reference was on dev, in words: an arm that is too slow or too dear may be better there."""
        base = self.of(self.refuted or self.reference).arm
        other = best_on_dev([each.arm for each in self.judged])
        return "the best on dev" if other is base else "the best on dev inside the limits"


def reference_of(arms: Sequence[Arm], limits: Limits) -> str:
    """The arm that the others are held against: the best on dev of those that are neither too dear nor too slow."""
    within = [arm for arm in arms if not too_dear(arm, limits)]
    return best_on_dev(within or arms).name


def rule(
    arms: Sequence[Arm],
    reference: str,
    limits: Limits | None = None,
    *,
    weights: Array | None = None,
    groups: Codes | None = None,
    seed: int = 0,
    reads: int = 1,
    flips: int = FLIPS,
) -> Choice:
    """The choice among arms that were scored on the same test rows. ValueError: ``reference`` is none of them."""
    limits = limits or Limits()
    base = next((arm for arm in arms if arm.name == reference), None)
    if base is None:
        raise ValueError(f"there is no arm {reference!r}")
    drawn = Rows(weights, groups, seed, reads, flips)
    choice = _held(arms, base, limits, drawn)
    better = _better(choice, drawn)
    if better is None:
        return choice
    again = replace(_held(arms, better, limits, drawn), refuted=reference)
    return again if _worse(again.of(reference), limits.margin) else choice  # both ways round, among all the arms


def _better(choice: Choice, drawn: Rows) -> Arm | None:
    """The arm inside the limits that is shown to be better than the reference by the margin, whatever failed calls say.

    Of several the one that is so by most; None = there is none.
    """
    margin, base = choice.limits.margin, choice.of(choice.reference).arm
    fills = extremes([each.arm for each in choice.judged])
    shown = [
        (each.bound.delta, -each.arm.parts, each.arm)
        for each in choice.judged
        if each.bound and each.bound.low > margin and not each.outside
    ]
    sure = [each for each in shown if not turned(each[-1], base, -margin, drawn, fills)]
    return max(sure, key=lambda each: each[:2])[-1] if sure else None


def _held(arms: Sequence[Arm], base: Arm, limits: Limits, drawn: Rows) -> Choice:
    """The choice where all are held against ``base``."""
    said, fills = unit(arms, limits.margin), extremes(arms)
    others = sorted((arm for arm in arms if arm is not base), key=lambda arm: arm.name)
    found = against(others, base, limits.margin, drawn, said)
    judged = [_judged(arm, base, found.get(arm.name), limits, (drawn, said, fills)) for arm in arms]
    basis = _basis([each.arm for each in judged if not each.outside and not _worse(each, limits.margin)], limits)
    return _chosen(judged, base, limits, (basis, said, drawn.reads))


def _judged(
    arm: Arm, base: Arm, bound: Bound | None, limits: Limits, how: tuple[Rows, Unit, tuple[float, float]]
) -> Judged:
    rows, said, fills = how
    score = mean(arm.scores, rows.weights)
    interval = rate_interval(arm.scores, rows.weights, rows.seed, groups=rows.groups)
    outside = (*too_dear(arm, limits), *below_target(score, interval, limits, said))
    shown = bound is None or bound.low > -limits.margin
    lost = bool(np.isnan(arm.scores - base.scores).any())
    failed = shown and lost and bound is not None and turned(arm, base, limits.margin, rows, fills)
    return Judged(arm, score, interval, bound, shown and not failed, outside, total(arm, limits.use), failed=failed)


def _basis(arms: Sequence[Arm], limits: Limits) -> Basis:
    """Dollars over all months, dollars a call without a volume; moving parts where a price lacks, or all are alike.

    Only arms that may be taken count: what an arm costs that is shown to be worse does not matter.
    """
    costs = [total(arm, limits.use) if limits.use.per_month else per_call(arm, limits.use) for arm in arms]
    if None in costs or len(set(costs)) < 2:
        return "parts"
    return "total" if limits.use.per_month else "call"


def order(basis: Basis, limits: Limits) -> Callable[[Judged], tuple[float, int]]:
    """What puts the cheaper arm first; of equal costs the one with fewer moving parts."""

    def key(each: Judged) -> tuple[float, int]:
        cost = {"total": each.total, "call": per_call(each.arm, limits.use), "parts": 0.0}[basis]
        return float(f"{cost or 0.0:.9g}"), each.arm.parts

    return key


def _chosen(judged: Sequence[Judged], base: Arm, limits: Limits, how: tuple[Basis, Unit, int]) -> Choice:
    basis, unit, reads = how
    cost = order(basis, limits)
    within = [each for each in judged if not each.outside]
    fit = sorted((each for each in within if each.eligible), key=cost)
    pick = fit[0] if fit else None
    rivals = [] if pick is None else _rivals(within, pick, limits.margin, cost)
    verdicts: Mapping[str, Verdict] = {
        each.arm.name: _verdict(each, pick, limits, open_=bool(rivals)) for each in judged
    }
    told = tuple(replace(each, verdict=verdicts[each.arm.name]) for each in judged)
    asked = rivals if pick else [each for each in within if not each.eligible and not _worse(each, limits.margin)]
    return Choice(
        pick.arm.name if pick else None,
        pick is not None and not rivals,
        base.name,
        told,
        basis,
        limits,
        unit,
        tuple(each.arm.name for each in asked),
        _rows(asked, limits.margin),
        reads,
    )


def _rivals(
    within: Sequence[Judged], pick: Judged, margin: float, cost: Callable[[Judged], tuple[float, int]]
) -> list[Judged]:
    """The arms that the pick is not decided against.

    Cheaper ones that are not shown to be worse by the margin; and whoever may be better than the reference by the
    margin: that dev's best is the best is what the rows have to bear out as well, whichever arm is as good as it.
    """
    cheaper = [each for each in within if not each.eligible and cost(each) < cost(pick) and not _worse(each, margin)]
    others = [each for each in within if each is not pick and each not in cheaper]
    return cheaper + [each for each in others if each.bound is not None and not each.bound.high < margin]


def _worse(each: Judged, margin: float) -> bool:
    return each.bound is not None and each.bound.high < -margin


def _verdict(each: Judged, pick: Judged | None, limits: Limits, *, open_: bool) -> Verdict:
    if pick is not None and each.arm is pick.arm:
        return "until then" if open_ else "chosen"
    if each.outside:
        return "outside"
    if each.eligible:
        return "eligible"
    return "worse" if _worse(each, limits.margin) else "open"


def _rows(rivals: Sequence[Judged], margin: float) -> int | None:
    """The test rows that would tell if the arms are equal: (z.95 + z.80)²·psi / margin², for the rival in most need."""
    known = [each.bound for each in rivals if each.bound is not None and each.bound.n > 0]
    if margin <= 0 or not known:
        return None
    return math.ceil((Z_BOUND + Z_POWER) ** 2 * max(bound.psi for bound in known) / margin**2 - 1e-9)
