"""Accepted answers: what a labelled row allows, and how values are told equal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from promptlab.records import Completion, Example


def best(example: Example, completion: Completion, score: Callable[[Any, Any], float]) -> float:
    """The best ``score(accepted, answer)`` over the accepted answers: NaN without a label, 0 without an answer."""
    if not example.answers:
        return math.nan
    if completion.answer is None:
        return 0.0
    return max(float(score(accepted, completion.answer)) for accepted in example.answers)


def equal(expected: Any, answer: Any) -> bool:
    """Whether two values are the same answer: two texts as text, numbers as numbers, anything else as JSON.

    A number equals a text that is a plain numeral of it (a csv holds text only): 12 is "12.0", but "12" is not "12.0".
    """
    if isinstance(expected, str) and isinstance(answer, str):
        return expected.strip() == answer.strip()
    if _is_number(expected) or _is_number(answer):
        left, right = _numeral(expected), _numeral(answer)
        if left is not None and right is not None:
            return left == right
    return text_of(expected) == text_of(answer)


def singly(answers: Iterable[Any]) -> list[Any]:
    """Every label of accepted answers: those of a set of labels one by one."""
    return [each for answer in answers for each in (answer if isinstance(answer, list) else (answer,))]


def text_of(value: Any) -> str:
    """A value as people write it in a table: text as it is, everything else as JSON with sorted keys."""
    if isinstance(value, str):
        return value.strip()
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError):
        return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _numeral(value: Any) -> int | float | None:
    """The number that a value is or spells, None if it is none; whole numbers stay exact."""
    if _is_number(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str) and "_" not in value:
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return None
