"""The slots of variants as factors of a linear model, conditional slots included.

Every slot is coded as deviations from its mean (sum to zero over its values), and as zeros where it is inactive. So
what a slot brings is told at the average of the slots that hang on it: eight demos, over every way of choosing them.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from promptlab.stats.paired import Array

if TYPE_CHECKING:
    import pandas as pd

Places: TypeAlias = npt.NDArray[np.int64]
INACTIVE = -1


@dataclass(frozen=True, slots=True)
class Factor:
    """One slot: its values as text, the one that the others are told against, and which of them each variant has."""

    slot: str
    levels: tuple[str, ...]
    against: int
    places: Places = field(repr=False)  # a place in ``levels`` per variant, or INACTIVE

    def columns(self) -> Array:
        """[variants, levels - 1]."""
        return np.where((self.places == INACTIVE)[:, None], 0.0, _codes(len(self.levels))[self.places])

    def contrast(self, level: int) -> Array:
        """What a value brings beyond ``against``, as weights of the columns."""
        codes = _codes(len(self.levels))
        found: Array = codes[level] - codes[self.against]
        return found

    def others(self) -> list[int]:
        """Every value but ``against``."""
        return [level for level in range(len(self.levels)) if level != self.against]

    def within(self, active: npt.NDArray[np.bool_]) -> Factor:
        """The factor on these variants alone, inactive on all others."""
        known = [level for level in range(len(self.levels)) if (self.places[active] == level).any()]
        places = np.full(len(self.places), INACTIVE)
        for place, level in enumerate(known):
            places[active & (self.places == level)] = place
        against = known.index(self.against) if self.against in known else 0
        return Factor(self.slot, tuple(self.levels[level] for level in known), against, places)


def slot_columns(results: pd.DataFrame) -> dict[str, str]:
    """Slots by their column in results.csv."""
    named = {name: name for name in ("model", "template") if name in results.columns}
    return named | {name: name.removeprefix("slot.") for name in results.columns if name.startswith("slot.")}


def points(results: pd.DataFrame) -> list[dict[str, str]]:
    """The active slots of every variant with their values as text."""
    columns = slot_columns(results)
    rows = ({columns[name]: text_of(row[name]) for name in columns} for row in results.to_dict("records"))
    return [{slot: value for slot, value in row.items() if value} for row in rows]


def text_of(value: Any) -> str:
    """A slot's value as results.csv has it; empty where the slot is inactive."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def factors(variants: Sequence[Mapping[str, str]], baseline: Mapping[str, str]) -> list[Factor]:
    """The slots that have more than one value among these variants; told against the baseline's value if it has one."""
    found = []
    for slot in dict.fromkeys(name for each in variants for name in each):
        levels = tuple(sorted({each[slot] for each in variants if slot in each}, key=_natural))
        if len(levels) < 2:
            continue
        places = np.array([levels.index(each[slot]) if slot in each else INACTIVE for each in variants])
        own = baseline.get(slot)
        found.append(Factor(slot, levels, levels.index(own) if own in levels else 0, places))
    return found


def complete(variants: Sequence[Mapping[str, str]]) -> bool:
    """Whether these are all combinations of their values, slots that are inactive together taken together.

    A space with holes in it is told as incomplete: its intervals come out wider than they need to be, never narrower.
    """
    patterns: dict[Hashable, list[Mapping[str, str]]] = {}
    for each in variants:
        patterns.setdefault(tuple(sorted(each)), []).append(each)
    distinct = len({tuple(sorted(each.items())) for each in variants})
    sizes = [math.prod(len({each[slot] for each in group}) for slot in group[0]) for group in patterns.values()]
    return len(variants) == distinct == sum(sizes)


def _codes(levels: int) -> Array:
    return np.vstack([np.eye(levels - 1), -np.ones(levels - 1)])


def _natural(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)
