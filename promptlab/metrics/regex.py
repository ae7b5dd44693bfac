"""Regex: the output matches a pattern.

``regex:PATTERN`` looks for one pattern, the same on every row. Plain ``regex`` takes the row's label (any of its
accepted answers) as the pattern. Python syntax; looked for anywhere in the output: anchor it with ^ and $.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from promptlab.answer import LONGEST
from promptlab.records import Completion, Example


@dataclass(frozen=True, slots=True)
class Regex:
    """1 if the pattern, or without one the row's label read as a pattern, is found in the output's text, else 0."""

    pattern: str = ""

    def __post_init__(self) -> None:
        reason = _wrong(self.pattern)
        if reason:
            raise ValueError(f"the pattern does not compile: {reason}")

    @property
    def needs_label(self) -> bool:
        """Whether the label is the pattern."""
        return not self.pattern

    def __call__(self, example: Example, completion: Completion) -> float:
        """1 if a pattern is found, else 0."""
        patterns = (self.pattern,) if self.pattern else tuple(map(str, example.answers))
        if not patterns:
            return math.nan
        text = completion.text.strip()[:LONGEST]
        return float(any(re.search(each, text) for each in patterns if not _wrong(each)))

    def check(self, example: Example) -> str:
        """What makes the row impossible to score; empty if nothing does."""
        wrong = [] if self.pattern else [(each, _wrong(str(each))) for each in example.answers]
        return "; ".join(f"label {each!r} is no pattern: {reason}" for each, reason in wrong if reason)


def _wrong(pattern: Any) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError, TypeError) as error:
        return str(error)
    return ""
