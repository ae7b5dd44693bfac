"""Macro-F1 as a metric: the mean F1 of the classes over all rows. A row has one class, or a set of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from promptlab.metrics import classification, label_sets
from promptlab.metrics.accepted import equal, text_of
from promptlab.metrics.exact import exact
from promptlab.records import Completion, Example

Pairs = Sequence[tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class MacroF1:
    """Per row 1 or 0 as ``exact`` gives it (several labels: their F1); ``aggregate`` is what is reported.

    Pairs are (expected, answer): expected as in Example.label (of several accepted answers the one given counts, else
    the first), answer None where there is none. ``labels``: the fixed list; without one, the expected labels.
    """

    def __call__(self, example: Example, completion: Completion) -> float:
        """Exact match, 1 or 0; F1 of a set of labels."""
        if label_sets.is_many(example.answers):
            return label_sets.set_f1(example, completion)
        return exact(example, completion)

    def aggregate(self, pairs: Pairs, labels: Sequence[Any] = ()) -> float:
        """Macro-F1 over the rows; classes neither expected nor answered are left out."""
        if _sets(pairs):
            return label_sets.macro(label_sets.counted(pairs), labels)
        return classification.macro_f1(*_columns(pairs, labels))

    def leave_one_out(self, pairs: Pairs, labels: Sequence[Any] = ()) -> list[float]:
        """The aggregate without each row in turn, for a jackknife; much cheaper than n aggregates."""
        if _sets(pairs):
            return label_sets.without_each(pairs, lambda counts: label_sets.macro(counts, labels))
        return classification.leave_one_out(*_columns(pairs, labels))


def _sets(pairs: Pairs) -> bool:
    return label_sets.is_many(each for want, _ in pairs for each in (want if isinstance(want, tuple) else (want,)))


def _columns(pairs: Pairs, labels: Sequence[Any]) -> tuple[list[Any], list[Any], Sequence[Any]]:
    expected = [_single(want, got) for want, got in pairs]
    if not labels:
        labels = list({text_of(want): want for want in expected if want is not None}.values())
    return expected, [got for _, got in pairs], labels


def _single(expected: Any, answer: Any) -> Any:
    """One accepted answer: the given one where it is accepted, else the first."""
    if not isinstance(expected, tuple):
        return expected
    if answer is None or not expected:
        return expected[0] if expected else None
    return next((each for each in expected if equal(each, answer)), expected[0])
