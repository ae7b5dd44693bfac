"""Several labels on one row: the answer is a set of labels, right where it is the set that the row has.

Labels are told apart by their text. An answer that is one label is a set of one; no answer is the empty set, but an
empty set where none is expected has to be said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from promptlab.metrics.accepted import best, text_of
from promptlab.records import Completion, Example

Pairs: TypeAlias = Sequence[tuple[Any, Any]]
Counts: TypeAlias = tuple[Counter[str], Counter[str]]
"""By label: how often it is right, and how often it is expected or answered (both at once counts twice)."""


def exact_set(example: Example, completion: Completion) -> float:
    """1 if the answer has all the labels of the row and no other, else 0."""
    return best(example, completion, lambda expected, answer: float(members(expected) == members(answer)))


def set_f1(example: Example, completion: Completion) -> float:
    """F1 of the answer's labels and the row's, 2|both| / (|one| + |other|); two empty sets are equal."""
    return best(example, completion, lambda expected, answer: overlap(members(expected), members(answer)))


def overlap(expected: frozenset[str], answer: frozenset[str]) -> float:
    """F1 of two sets, in [0, 1] and symmetric."""
    size = len(expected) + len(answer)
    return 2 * len(expected & answer) / size if size else 1.0


def members(value: Any) -> frozenset[str]:
    """The labels of a value by their text; none for None."""
    if value is None:
        return frozenset()
    return frozenset(map(text_of, value if isinstance(value, (list, tuple, set, frozenset)) else [value]))


@dataclass(frozen=True, slots=True)
class MicroF1:
    """Per row the F1 of its labels; ``aggregate`` is F1 over all labels of all rows: frequent ones count most."""

    def __call__(self, example: Example, completion: Completion) -> float:
        """F1 of the row's labels."""
        return set_f1(example, completion)

    def aggregate(self, pairs: Pairs, labels: Sequence[Any] = ()) -> float:  # noqa: ARG002 - as every aggregate
        """Micro-F1; NaN without a label anywhere."""
        return _micro(counted(pairs))

    def leave_one_out(self, pairs: Pairs, labels: Sequence[Any] = ()) -> list[float]:  # noqa: ARG002 - as above
        """The aggregate without each row in turn, for a jackknife."""
        return without_each(pairs, _micro)


def macro(counts: Counts, labels: Sequence[Any] = ()) -> float:
    """The mean F1 of the labels that are expected or answered at least once; NaN if there is none.

    Without ``labels`` those are all labels seen, else what is not among them counts against nothing but its row.
    """
    right, seen = counts
    names = [text_of(label) for label in labels] or sorted(seen)
    f1 = [2 * right[name] / seen[name] for name in names if seen[name] > 0]
    return math.fsum(f1) / len(f1) if f1 else math.nan


def _micro(counts: Counts) -> float:
    right, seen = counts
    total = seen.total()
    return 2 * right.total() / total if total else math.nan


def counted(pairs: Pairs) -> Counts:
    """The counts of rows (expected, answer); rows without a label are left out."""
    right: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for expected, answer in pairs:
        if expected is not None:
            one, other = members(_single(expected, answer)), members(answer)
            right.update(one & other)
            seen.update([*one, *other])
    return right, seen


def without_each(pairs: Pairs, figure: Callable[[Counts], float]) -> list[float]:
    """A figure of the counts without each row in turn, from one pass over the rows."""
    right, seen = counted(pairs)
    values = []
    for pair in pairs:
        fewer, least = counted([pair])
        right.subtract(fewer)
        seen.subtract(least)
        values.append(figure((right, seen)))
        right.update(fewer)
        seen.update(least)
    return values


def _single(expected: Any, answer: Any) -> Any:
    """One accepted set: of several (a tuple) the one most like the answer."""
    if not isinstance(expected, tuple):
        return expected
    return max(expected, key=lambda each: overlap(members(each), members(answer)), default=None)


def is_many(values: Iterable[Any]) -> bool:
    """Whether labels are sets of labels."""
    return any(isinstance(value, list) for value in values)
