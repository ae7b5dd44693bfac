"""Numeric: the answer is the label's number, within a tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from promptlab.answer import read_number
from promptlab.metrics.accepted import best
from promptlab.records import Completion, Example

_ROUNDING = 1e-9  # relative: 0.1 + 0.2 is 0.3


@dataclass(frozen=True, slots=True)
class Numeric:
    """1 if the answer is within ``tolerance`` of an accepted number, else 0.

    ``tolerance`` is absolute (0.01) or, with a percent sign ("1%"), relative to the label. An answer that is text
    counts by the last number in it.
    """

    tolerance: float | str = 0.0
    relative: float = field(init=False, repr=False)
    absolute: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        text = str(self.tolerance).strip()
        try:
            size = float(text.removesuffix("%"))
        except ValueError:
            size = math.nan
        if not 0 <= size < math.inf:
            raise ValueError(f"tolerance {self.tolerance!r} is neither a number >= 0 nor a percentage like 1%")
        percent = text.endswith("%")
        object.__setattr__(self, "relative", max(size / 100, _ROUNDING) if percent else _ROUNDING)
        object.__setattr__(self, "absolute", 0.0 if percent else size)

    def __call__(self, example: Example, completion: Completion) -> float:
        """1 if the answer is near an accepted number, else 0."""
        return best(example, completion, self._near)

    def check(self, example: Example) -> str:
        """What makes the row impossible to score; empty if nothing does."""
        wrong = [each for each in example.answers if _number(each) is None]
        return f"label {wrong[0]!r} is not a number" if wrong else ""

    def _near(self, expected: Any, answer: Any) -> float:
        wanted, found = _number(expected), _number(answer)
        if wanted is None or found is None:
            return 0.0
        # max(), not the sum: rounding must not widen a tolerance that the user chose
        return float(abs(found - wanted) <= max(self.absolute * (1 + _ROUNDING), self.relative * abs(wanted)))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    found = value if isinstance(value, (int, float)) else read_number(str(value))
    try:
        return None if found is None or not math.isfinite(found) else float(found)
    except OverflowError:
        return None
