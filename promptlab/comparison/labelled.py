"""What one variant answers, label by label: per class, confusion, the pairs confused most, the base rate."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from promptlab.metrics.classification import PerClass, confusion, majority, per_class

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 50
NEEDED = {"label", "answer", "status", "split"}


@dataclass(frozen=True, slots=True)
class Labels:
    """Empty where answers are no labels.

    ``confusion``: a row per class as expected, a column per class as answered and a last one for everything else.
    ``confused``: (expected, answered instead, answers), most first; an empty answer is none of the labels. ``repeats``:
    answers to a row, all of which count but in ``support``, which is rows.
    """

    classes: tuple[PerClass, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    confused: tuple[tuple[str, str, int], ...] = ()
    majority: tuple[str, float] | None = None
    split: str = ""
    repeats: int = 1


def _several(label: str) -> bool:
    """Whether a cell holds a list, as the tables write one."""
    try:
        return label.startswith("[") and isinstance(json.loads(label), list)
    except ValueError:
        return False


def by_label(predictions: pd.DataFrame, best: tuple[str, str]) -> Labels:
    """Of the best variant's rows: test where there are any, else dev."""
    if not len(predictions) or not set(predictions.columns) >= NEEDED:
        return Labels()
    own = predictions[(predictions["run"] == best[0]) & (predictions["label"] != "")]
    labels = sorted(set(own["label"]))
    if any(map(_several, labels)):  # sets of labels, or several accepted answers: no classes
        return Labels()
    if not (1 < len(labels) <= MOST_CLASSES and own["example"].nunique() >= 3 * len(labels)):
        return Labels()
    rows = own[own["variant"] == best[1]]
    test = rows[rows["split"] == "test"]
    rows = test if len(test) else rows
    rows = rows[rows["status"] != "error"]
    expected, answered = list(rows["label"]), [each or None for each in rows["answer"]]
    figures = per_class(expected, answered, labels)
    once = rows.drop_duplicates("example")
    support = once["label"].value_counts().to_dict()
    table = confusion(expected, answered, labels)
    names = [*labels, ""]
    wrong = [(labels[i], names[j], n) for i, row in enumerate(table) for j, n in enumerate(row) if n and i != j]
    return Labels(
        classes=tuple(replace(each, support=support.get(each.label, 0)) for each in figures),
        confusion=tuple(tuple(row) for row in table),
        confused=tuple(sorted(wrong, key=lambda each: (-each[2], each))),
        majority=majority(list(once["label"])),
        repeats=int(rows.groupby("example").size().max()) if len(rows) else 1,
        split=str(rows["split"].iloc[0]) if len(rows) else "",
    )
