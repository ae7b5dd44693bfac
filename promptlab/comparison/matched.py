"""Slot effects without a design block: variants that differ in one slot alone, row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from promptlab.stats.paired import Array, paired

Point = Mapping[str, str]
Found = tuple[str, str, str, float, float, float, int]


def matched(variants: Sequence[Point], scores: Array, winner: Point, seed: int) -> list[Found]:
    """(slot, value, against, delta, low, high, rows) against the winner's value of each slot.

    Where several pairs show the same two values, their differences are averaged row by row: rows are what is sampled.
    """
    pairs: dict[tuple[str, str, str], list[Array]] = {}
    for one, other in combinations(range(len(variants)), 2):
        slot = sole_difference(variants[one], variants[other])
        if slot is None or slot not in winner:
            continue
        for a, b in ((one, other), (other, one)):
            value, against = variants[a].get(slot), variants[b].get(slot)
            if value is not None and against == winner[slot]:
                pairs.setdefault((slot, value, against), []).append(scores[a] - scores[b])
    found = []
    for key, gaps in pairs.items():
        known = np.array(gaps)
        known = known[:, ~np.isnan(known).all(axis=0)]
        gap = paired(np.nanmean(known, axis=0), np.zeros(known.shape[1]), seed)
        found.append((*key, gap.delta, gap.low, gap.high, gap.n))
    order = {slot: at for at, slot in enumerate(winner)}
    return sorted(found, key=lambda each: (order[each[0]], each[1]))


def having(variants: Sequence[Point], slot: str, value: str, against: str) -> list[int]:
    """The variants with ``value`` of which another one differs in that slot alone, by having ``against``."""
    others = [each for each in variants if each.get(slot) == against]
    return [
        place
        for place, each in enumerate(variants)
        if each.get(slot) == value and any(sole_difference(each, other) == slot for other in others)
    ]


def sole_difference(one: Point, other: Point) -> str | None:
    """The slot in which two variants differ; slots that only one of them has hang on it. None: several, or none."""
    differing = [slot for slot in one if slot in other and one[slot] != other[slot]]
    return differing[0] if len(differing) == 1 else None


def otherwise_equal(variants: Sequence[Point], slot: str) -> list[list[int]]:
    """Groups of variants that have this slot and are the same in every other one; only those with several values."""
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, each in enumerate(variants):
        if slot in each:
            rest = tuple(sorted((name, value) for name, value in each.items() if name != slot))
            groups.setdefault(rest, []).append(place)
    return [group for group in groups.values() if len(Counter(variants[place][slot] for place in group)) > 1]
