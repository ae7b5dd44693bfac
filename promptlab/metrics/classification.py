"""What labels add to a mean: confusion, per-class figures, macro-F1 and the majority baseline. Pure.

``expected`` and ``answered`` run in parallel. An answer of None (no answer) or outside ``labels`` belongs to no class:
it costs recall of the class it should have been, and precision of none. Labels are told apart by their text, so 3
and "3" are one. Rows whose expected label is None are left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from promptlab.metrics.accepted import text_of


@dataclass(frozen=True, slots=True)
class PerClass:
    """Figures of one class; ``support`` = rows whose label it is. NaN where there is nothing to compute it from."""

    label: Any
    precision: float
    recall: float
    f1: float
    support: int


def confusion(expected: Sequence[Any], answered: Sequence[Any], labels: Sequence[Any]) -> list[list[int]]:
    """Counts: a row per expected label, a column per answered label and a last one for everything else.

    ValueError: an expected label that is not among ``labels``.
    """
    place = {text_of(label): at for at, label in enumerate(labels)}
    table = [[0] * (len(labels) + 1) for _ in labels]
    for want, got in zip(expected, answered, strict=True):
        if want is None:
            continue
        row = place.get(text_of(want))
        if row is None:
            raise ValueError(f"label {want!r} is not one of the labels: {', '.join(place)}")
        table[row][len(labels) if got is None else place.get(text_of(got), len(labels))] += 1
    return table


def per_class(expected: Sequence[Any], answered: Sequence[Any], labels: Sequence[Any]) -> list[PerClass]:
    """Precision, recall and F1 of every label, in the order of ``labels``.

    Recall is NaN without support, precision is NaN if the class is never answered, F1 is NaN if both hold.
    """
    table = confusion(expected, answered, labels)
    figures = []
    for at, label in enumerate(labels):
        right, support, claimed = table[at][at], sum(table[at]), sum(row[at] for row in table)
        figures.append(
            PerClass(
                label=label,
                precision=right / claimed if claimed else math.nan,
                recall=right / support if support else math.nan,
                f1=2 * right / (support + claimed) if support + claimed else math.nan,
                support=support,
            )
        )
    return figures


def macro_f1(expected: Sequence[Any], answered: Sequence[Any], labels: Sequence[Any]) -> float:
    """The mean F1 of the classes that are expected or answered at least once; NaN if there is none."""
    return _mean([each.f1 for each in per_class(expected, answered, labels)])


def leave_one_out(expected: Sequence[Any], answered: Sequence[Any], labels: Sequence[Any]) -> list[float]:
    """Macro-F1 without each row in turn, from one pass over the counts: what a jackknife needs.

    Equal to calling :func:`macro_f1` n times, at 1/n of the cost.
    """
    table = confusion(expected, answered, labels)
    known: dict[tuple[int, int], float] = {}
    place = {text_of(label): at for at, label in enumerate(labels)}
    whole = _mean(_f1s(table))
    values = []
    for want, got in zip(expected, answered, strict=True):
        if want is None:
            values.append(whole)
            continue
        cell = place[text_of(want)], len(labels) if got is None else place.get(text_of(got), len(labels))
        if cell not in known:
            table[cell[0]][cell[1]] -= 1
            known[cell] = _mean(_f1s(table))
            table[cell[0]][cell[1]] += 1
        values.append(known[cell])
    return values


def majority(expected: Sequence[Any]) -> tuple[Any, float]:
    """The commonest label (of several the first by its text) and its share: what answering blindly would score."""
    counts = Counter(text_of(label) for label in expected if label is not None)
    if not counts:
        return None, math.nan
    name, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
    return next(label for label in expected if label is not None and text_of(label) == name), count / counts.total()


def _f1s(table: list[list[int]]) -> list[float]:
    claimed = [sum(column) for column in zip(*table, strict=True)]
    totals = [sum(row) + claimed[at] for at, row in enumerate(table)]
    return [2 * table[at][at] / total if total else math.nan for at, total in enumerate(totals)]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan
