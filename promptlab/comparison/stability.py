"""How far scores move when nothing that matters changes: asked twice, demos in another order, other words.

Each is told only where the data has it. What luck alone would spread, at this many rows, stands beside every spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptlab.comparison.factors import points
from promptlab.comparison.matched import Point, otherwise_equal, sole_difference
from promptlab.stats.paired import Array

if TYPE_CHECKING:
    import pandas as pd

DRAWS = ("bank.order", "bank.seed")  # slots that nobody means to matter
SHUFFLES = 200
FEWEST = 10  # rows below which a spread is luck and nothing else


@dataclass(frozen=True, slots=True)
class Repeats:
    """The same prompt asked again: an A/A test.

    ``changed``: the share of (variant, row) whose answer was not the same every time. ``floor``: two single runs of one
    variant on ``rows`` rows differ by at most this much in 95 % of cases (in scores; 0 = not once).
    """

    variants: int
    rows: int
    repeats: int
    changed: float
    floor: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Variants that are equal but for ``slot``, in ``groups`` of several: how far apart their means are.

    ``mean`` and ``most``: best minus worst of a group, on the rows that all of it have. ``luck``: the mean it would
    have if the values made no difference (scores shuffled within rows, seeded).
    """

    slot: str
    kind: str  # "demos" or "wording"
    groups: int
    variants: int
    rows: int
    mean: float
    most: float
    luck: float


def repeats(predictions: pd.DataFrame) -> Repeats | None:
    """What repeats show; None where nothing was asked twice."""
    if "repeat" not in predictions.columns or not predictions["repeat"].nunique() > 1:
        return None
    asked = predictions[predictions["score"].notna()]
    said = asked["answer"].astype(str) if "answer" in asked.columns else asked["score"].astype(str)
    if "status" in asked.columns:
        said = said + "\n" + asked["status"].astype(str)
    by = asked.assign(said=said).groupby(["run", "split", "variant", "row"], sort=False)
    cells = by.agg(n=("score", "size"), answers=("said", "nunique"), var=("score", "var"))
    cells = cells[cells["n"] > 1]
    if not len(cells):
        return None
    rows = cells.groupby(["run", "split", "variant"], sort=False).size()
    typical = int(rows.median())
    floor = 1.96 * float(np.sqrt(2 * cells["var"].mean() / typical))
    variants = len(set(zip(cells.index.get_level_values("run"), cells.index.get_level_values("variant"), strict=True)))
    return Repeats(variants, typical, int(cells["n"].max()), float((cells["answers"] > 1).mean()), floor)


def spreads(results: pd.DataFrame, predictions: pd.DataFrame, seed: int) -> tuple[Spread, ...]:
    """Demo order and draw, and wording, of one run, on dev."""
    if not len(results) or not {"split", "score"} <= set(predictions.columns):
        return ()
    dev = predictions[predictions["split"] == "dev"]
    if not len(dev):
        return ()
    wide = dev.groupby(["variant", "example"], sort=False)["score"].mean().unstack("example")
    rows = results[results["variant"].isin(wide.index)]
    known, scores = points(rows), wide.loc[rows["variant"]].to_numpy(float)
    found = [_spread(slot, "demos", otherwise_equal(known, slot), scores, seed) for slot in DRAWS]
    found += [_spread(slot, "wording", groups, scores, seed) for slot, groups in _reworded(rows, known).items()]
    return tuple(each for each in found if each is not None)


def _reworded(results: pd.DataFrame, known: Sequence[Point]) -> dict[str, list[list[int]]]:
    """Variants rewritten from one parent in one slot alone, with that parent, by slot."""
    if "parents" not in results.columns:
        return {}
    place = {str(variant): at for at, variant in enumerate(results["variant"])}
    families: dict[tuple[str, int], list[int]] = {}
    for child, parents in enumerate(results["parents"].fillna("").astype(str)):
        parent = place.get(parents)
        slot = sole_difference(known[child], known[parent]) if parent is not None else None
        if parent is not None and slot is not None and " " in known[child][slot]:  # a text, not another option
            families.setdefault((slot, parent), [parent]).append(child)
    found: dict[str, list[list[int]]] = {}
    for (slot, _), family in families.items():
        found.setdefault(slot, []).append(family)
    return found


def _spread(slot: str, kind: str, groups: Sequence[Sequence[int]], scores: Array, seed: int) -> Spread | None:
    rng = np.random.default_rng(seed)
    ranges, lucks, sizes, rows = [], [], 0, []
    for group in groups:
        full = _equally_deep(scores[list(group)])
        if len(full) < 2 or full.shape[1] < FEWEST:
            continue
        ranges.append(float(np.ptp(full.mean(axis=1))))
        lucks.append(float(np.mean([np.ptp(rng.permuted(full, axis=0).mean(axis=1)) for _ in range(SHUFFLES)])))
        sizes += len(full)
        rows.append(full.shape[1])
    if not ranges:
        return None
    figures = float(np.mean(ranges)), float(np.max(ranges)), float(np.mean(lucks))
    return Spread(slot, kind, len(ranges), sizes, int(np.median(rows)), *figures)


def _equally_deep(scores: Array) -> Array:
    """The variants that were scored as deep as the deepest, on the rows that all of these have."""
    depth = np.sum(~np.isnan(scores), axis=1)
    full = scores[depth >= 0.9 * depth.max()] if len(depth) else scores
    found: Array = full[:, ~np.isnan(full).any(axis=0)]
    return found
