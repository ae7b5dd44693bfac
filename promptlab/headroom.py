"""Whether mining can pay here at all, told from a few dozen answers: a handful of unlike variants on the same rows.

Prompt search ends below its starting point about as often as above it, but for tasks where the model can do what it
does not do by default, and a short look tells which these are (arXiv 2604.14585). So: do unlike prompts get other
answers right, and is there anything left to get right? Pure; ``probe`` asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlab.records import Variant
from promptlab.stats.paired import Array, mean, rate_interval
from promptlab.unit import Unit, unit_of

UNREADABLE = 0.2  # share of non-answers from which the form of the answers is what to mend first
CEILING = 0.95  # score of the baseline from which little is left
ALIKE = 0.05  # share of rows on which two variants differ below which prompts hardly matter
SHUFFLES = 999


@dataclass(frozen=True, slots=True)
class Headroom:
    """What a few variants (the baseline first) say on the same ``rows``; all but counts in the unit of the scores.

    ``spread``: best less median variant; ``by_luck``: what it would be on average if all were equal; ``p``: how often
    at least as large then. ``disagree``: the share of rows on which two of them differ (psi). ``oracle``: the mean of
    the best score on each row, ``best``: the best single variant's. ``unread``: the share of answers that could not be
    used; ``errors``: rows left out because a call failed. NaN = could not be told.
    """

    variants: int
    rows: int
    baseline: float
    low: float
    high: float
    best: float
    spread: float
    by_luck: float
    p: float
    disagree: float
    oracle: float
    unread: float
    errors: int
    unit: Unit


def headroom(scores: Array, unread: npt.NDArray[np.bool_], seed: int) -> Headroom:
    """What ``scores`` [variants, rows] tell, row 0 the baseline; NaN = the call failed.

    ``unread`` [variants, rows] marks answers that could not be used. Only rows that all variants have a score on count,
    so that every figure is paired.
    """
    whole = ~np.isnan(scores).any(axis=0)
    table = scores[:, whole]
    v, n = table.shape
    unit = unit_of([scores])
    lost = int((~whole).sum())
    if not n:
        none = math.nan
        return Headroom(v, 0, none, none, none, none, none, none, none, none, none, none, lost, unit)
    interval = rate_interval(table[0], seed=seed)
    means = table.mean(axis=1)
    spread = float(means.max() - np.median(means))
    by_luck, p = _luck(table, spread, seed)
    pairs = [(table[i] != table[j]).mean() for i in range(v) for j in range(i)]
    return Headroom(
        variants=v, rows=n, baseline=mean(table[0]), low=interval.low, high=interval.high, best=float(means.max()),
        spread=spread, by_luck=by_luck, p=p, disagree=float(np.mean(pairs)) if pairs else math.nan,
        oracle=float(table.max(axis=0).mean()), unread=float(unread[:, whole].mean()), errors=lost, unit=unit,
    )  # fmt: skip


def _luck(table: Array, spread: float, seed: int) -> tuple[float, float]:
    """The mean spread of equal variants, and how often it is at least this: scores swapped within every row."""
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.broadcast_to(table.T, (SHUFFLES, *table.T.shape)), axis=2).mean(axis=1)
    spreads = drawn.max(axis=1) - np.median(drawn, axis=1)
    return float(spreads.mean()), float((1 + (spreads >= spread - 1e-9).sum()) / (1 + SHUFFLES))


def words(found: Headroom) -> list[str]:
    """The figures and the verdict, in sentences."""
    if not found.rows:
        return ["no row has an answer of every variant: nothing can be told"]
    unit = found.unit
    span = f" [{unit.bound(found.low)}, {unit.bound(found.high)}]" if not math.isnan(found.low) else ""
    lines = [f"baseline: {unit.score(found.baseline)}{span} on {found.rows} dev rows; no test row was read"]
    if found.variants > 1:
        lines.append(
            f"{found.variants} variants: the best is {unit.points(found.spread)} above the median; equal ones would "
            f"show {unit.points(found.by_luck)} by luck alone (p = {found.p:.2g})"
        )
        lines.append(
            f"two of them differ on {100 * found.disagree:.0f} % of rows; the best answer to every row would make "
            f"{unit.score(found.oracle)}, the best single variant makes {unit.score(found.best)}"
        )
    lines.append(f"{100 * found.unread:.0f} % of the answers could not be read (invalid, refused, cut off)")
    if found.errors:
        lines.append(f"{found.errors} rows are left out: a call failed")
    return [*lines, verdict(found)]


def verdict(found: Headroom) -> str:
    """In words, whether mining can pay."""
    unit = found.unit
    if found.unread >= UNREADABLE:
        return (
            f"format is the problem: {100 * found.unread:.0f} % of the answers cannot be read. Say the form of the "
            "answer, raise max_tokens or change `answer`, then look again"
        )
    if unit.rate and found.baseline >= CEILING:
        left = f"at most {unit.points(1 - found.baseline)[1:]} are left on these rows"
        return f"near the ceiling: {left}. Harder rows would tell more than other prompts"
    if found.variants == 1:
        return "there is only the baseline: leave something open (choices, demos, models) and look again"
    if found.disagree < ALIKE:
        return (
            "all answer alike: mining these choices will hardly pay. What may: demos, passages, another model, or "
            "choices that change more"
        )
    gain = unit.points(found.oracle - found.baseline)
    if found.p < 0.05:
        return f"room: variants differ by more than luck, and up to {gain} are in what they answer right"
    return (
        f"room: up to {gain} are in what these variants answer right. Which of them is better, {found.rows} rows "
        "cannot tell: that is what mining finds out"
    )


def unlike(first: Variant, others: Sequence[Variant], count: int) -> list[Variant]:
    """At most ``count`` of ``others`` that differ most from ``first`` and from one another (farthest point first).

    Two variants are as far apart as the number of slots in which they differ. Ties: the earlier one.
    """
    chosen: list[Variant] = []
    left = [each for each in others if each.id != first.id]
    near = [_apart(each, first) for each in left]
    while left and len(chosen) < count:
        at = max(range(len(left)), key=lambda k: (near[k], -k))
        chosen.append(left.pop(at))
        near.pop(at)
        near = [min(known, _apart(each, chosen[-1])) for known, each in zip(near, left, strict=True)]
    return chosen


def _apart(one: Variant, other: Variant) -> int:
    return sum(one.slots.get(key) != other.slots.get(key) for key in {**one.slots, **other.slots})
