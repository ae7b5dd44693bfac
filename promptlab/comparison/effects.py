"""What each choice of each slot is worth, from a block of cells that no allocator picked (EVIDENCE 10).

Such a block is the phase "design" of predictions.csv, or a run that scored every variant, all fixed beforehand, on
every dev row. Of raced cells as they are nothing is told: who got rows was decided by the scores. There, variants that
were scored in full and differ in one slot alone are compared: that is told as "near the winner", and holds there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from promptlab.comparison.factors import INACTIVE, Factor, complete, factors, points
from promptlab.comparison.matched import having, matched
from promptlab.comparison.regression import Fitted, fit
from promptlab.stats.paired import Array
from promptlab.stats.ties import max_t

if TYPE_CHECKING:
    import pandas as pd

Source = Literal["design", "near the winner"]
FIXED = ("baseline", "grid", "random", "")  # origins of variants that no score had a part in
SHOWN, MOST_LEVELS, ALPHA = 10, 12, 0.05


@dataclass(frozen=True, slots=True)
class Effect:
    """A slot's ``value`` is worth ``delta`` more than ``against``, 95 % from ``low`` to ``high``, over ``n`` rows.

    ``variants``: those that have it and were compared, where single ones were ("near the winner").
    """

    slot: str
    value: str
    against: str
    delta: float
    low: float
    high: float
    n: int
    source: Source
    variants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interaction:
    """Two values together are worth ``delta`` more than the sum of what each is worth on its own."""

    slots: tuple[str, str]
    values: tuple[str, str]
    delta: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Effects:
    """Of one run. ``interactions``: the strongest of those that stand out among all ``looked`` at (max-T, 5 %).

    ``variants`` x ``rows`` is the block they come from; ``sampled``: its variants stand for a larger space.
    ``unclear``: slots and values that these variants cannot tell from others.
    """

    effects: tuple[Effect, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    source: Source | None = None
    variants: int = 0
    rows: int = 0
    sampled: bool = False
    looked: int = 0
    seed: int = 0
    unclear: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Variants with their slots and ids, and their scores [variants, rows] on dev; NaN = missing."""

    variants: tuple[Mapping[str, str], ...]
    scores: Array = field(repr=False)
    ids: tuple[str, ...] = ()


def effects(results: pd.DataFrame, predictions: pd.DataFrame, seed: int = 0) -> Effects:
    """The effects of one run's slots, from its results and predictions (as DataFrames or as read from its CSVs)."""
    if not len(results) or not {"split", "variant", "example", "score"} <= set(predictions.columns):
        return Effects(seed=seed)
    known = dict(zip(results["variant"].astype(str), points(results), strict=True))
    dev = predictions[(predictions["split"] == "dev") & predictions["variant"].isin(list(known))]
    base = _baseline(results, known)
    whole = _block(dev, known, full=True)
    block = whole if _fixed(results) and len(whole.variants) == len(known) else None
    if block is None and "phase" in dev.columns:
        block = _block(dev[dev["phase"] == "design"], known, full=False)
    if block is not None and len(block.variants) > 1:
        return _of_design(block, base, seed)
    first = known[str(results.iloc[0]["variant"])]
    found = _near(whole, first, seed)
    source: Source | None = "near the winner" if found else None
    return Effects(found, (), source, len(whole.variants), whole.scores.shape[1], seed=seed)


def _fixed(results: pd.DataFrame) -> bool:
    return "origin" in results.columns and bool(results["origin"].fillna("").isin(FIXED).all())


def _baseline(results: pd.DataFrame, known: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    if "status" not in results.columns:
        return {}
    own = results.loc[results["status"] == "baseline", "variant"]
    return known[str(own.iloc[0])] if len(own) else {}


def _block(dev: pd.DataFrame, known: Mapping[str, Mapping[str, str]], *, full: bool) -> Block:
    """The cells as a table, repeats averaged. ``full``: only variants that were asked on every row."""
    if not len(dev):
        return Block((), np.empty((0, 0)))
    cells = dev.groupby(["variant", "example"], sort=False)["score"]
    wide = cells.mean().unstack("example")
    if full:
        asked = cells.size().unstack("example").notna()
        wide = wide[asked.all(axis=1)]
    return Block(tuple(known[str(each)] for each in wide.index), wide.to_numpy(float), tuple(map(str, wide.index)))


def _near(block: Block, winner: Mapping[str, str], seed: int) -> tuple[Effect, ...]:
    """Pairs of variants that differ in one slot alone, and which variants those are."""
    return tuple(
        Effect(*each, "near the winner", tuple(block.ids[v] for v in having(block.variants, *each[:3])))
        for each in matched(block.variants, block.scores, winner, seed)
    )


def _of_design(block: Block, baseline: Mapping[str, str], seed: int) -> Effects:
    slots = factors(block.variants, baseline)
    sampled = not complete(block.variants)
    design, starts = _design(slots)
    wanted = [(slot, level) for slot in slots for level in slot.others()]
    found: list[Effect] = []
    unclear: list[tuple[str, str]] = []
    if wanted:
        contrasts = np.zeros((len(wanted), design.shape[1]))
        for row, (slot, level) in enumerate(wanted):
            start = starts[slot.slot]
            contrasts[row, start : start + len(slot.levels) - 1] = slot.contrast(level)
        fitted = fit(design, contrasts, block.scores, sampled=sampled)
        for row, (slot, level) in enumerate(wanted):
            if np.isnan(fitted.delta[row]):
                unclear.append((slot.slot, slot.levels[level]))
                continue
            own = (slot.slot, slot.levels[level], slot.levels[slot.against], *_figures(fitted, row))
            found.append(Effect(*own, "design"))
    together, looked = _interactions(slots, design, block.scores, sampled=sampled, seed=seed)
    rows = block.scores.shape[1]
    return Effects(
        tuple(found), together, "design", len(block.variants), rows, sampled, looked, seed, tuple(unclear)
    )  # fmt: skip


def _figures(fitted: Fitted, row: int) -> tuple[float, float, float, int]:
    return float(fitted.delta[row]), float(fitted.low[row]), float(fitted.high[row]), int(fitted.n[row])


def _design(slots: Sequence[Factor]) -> tuple[Array, dict[str, int]]:
    """Ones and the columns of every slot, and where each slot's begin."""
    count = len(slots[0].places) if slots else 0
    parts, starts, width = [np.ones((count, 1))], {}, 1
    for slot in slots:
        starts[slot.slot] = width
        parts.append(slot.columns())
        width += len(slot.levels) - 1
    return np.hstack(parts), starts


def _interactions(
    slots: Sequence[Factor], design: Array, scores: Array, *, sampled: bool, seed: int
) -> tuple[tuple[Interaction, ...], int]:
    """The two-way interactions that matter, and how many were looked at."""
    found: list[Interaction] = []
    by_row: list[Array] = []
    for one, other in combinations([slot for slot in slots if len(slot.levels) <= MOST_LEVELS], 2):
        both = (one.places != INACTIVE) & (other.places != INACTIVE)
        left, right = one.within(both), other.within(both)
        wanted = [(a, b) for a in left.others() for b in right.others()]
        if not wanted or len(left.levels) < 2 or len(right.levels) < 2:
            continue
        columns = (left.columns()[:, :, None] * right.columns()[:, None, :]).reshape(len(design), -1)
        contrasts = np.zeros((len(wanted), design.shape[1] + columns.shape[1]))
        for row, (a, b) in enumerate(wanted):
            contrasts[row, design.shape[1] :] = np.kron(left.contrast(a), right.contrast(b))
        fitted = fit(np.hstack([design, columns]), contrasts, scores, sampled=sampled)
        for row in np.flatnonzero(~np.isnan(fitted.delta)).tolist():
            a, b = wanted[row]
            values = (left.levels[a], right.levels[b])
            found.append(Interaction((one.slot, other.slot), values, *_figures(fitted, row)))
            by_row.append(fitted.by_row[row])
    if not found:
        return (), 0
    p = max_t(np.array(by_row), seed=seed)
    clear = [each for each, own in zip(found, p, strict=True) if own < ALPHA and (each.low > 0 or each.high < 0)]
    return tuple(sorted(clear, key=lambda each: -abs(each.delta))[:SHOWN]), len(found)
