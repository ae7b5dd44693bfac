"""JSON fields: how many of the label's fields the answer's object has right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlab.json_answer import read_json
from promptlab.metrics.accepted import best, equal
from promptlab.records import Completion, Example


@dataclass(frozen=True, slots=True)
class JsonFields:
    """The share of the label object's fields that the answer object matches, the best over accepted answers.

    ``fields`` ("a,b" or a list): only these. The label is an object, or JSON text of one (csv); so is the answer. A
    field that both leave out matches; fields that only the answer has cost nothing.
    """

    fields: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        names = self.fields.split(",") if isinstance(self.fields, str) else self.fields
        object.__setattr__(self, "fields", tuple(name for name in (str(each).strip() for each in names) if name))

    def __call__(self, example: Example, completion: Completion) -> float:
        """The share of fields that match."""
        return best(example, completion, self._share)

    def check(self, example: Example) -> str:
        """What makes the row impossible to score; empty if nothing does."""
        wrong = [each for each in example.answers if _object(each) is None]
        return f"label {wrong[0]!r} is not a JSON object" if wrong else ""

    def _share(self, expected: Any, answer: Any) -> float:
        wanted, found = _object(expected), _object(answer)
        if wanted is None or found is None:
            return 0.0
        names = self.fields or tuple(wanted)
        right = sum(_matches(wanted, found, name) for name in names)
        return right / len(names) if names else 1.0


def _matches(wanted: Mapping[str, Any], found: Mapping[str, Any], name: str) -> bool:
    if name in wanted and name in found:
        return equal(wanted[name], found[name])
    return name not in wanted and name not in found


def _object(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, str):
        value = read_json(value)
    return value if isinstance(value, Mapping) else None
