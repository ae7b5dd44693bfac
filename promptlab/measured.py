"""Predictions as one number per row whose mean is the measure: means of scores, or a jackknife's pseudo-values.

Macro-F1 and its like are no means of rows. Their pseudo-values are (Tukey 1958; Efron & Stein 1981 for the variance):
whole + (n - 1)·(mean of all left-one-out values - the value without the row). Differences, intervals, tests and tie
sets work on them as on scores; their mean is the measure itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from promptlab.kept import Predictions
from promptlab.predict import Task
from promptlab.records import Example, Prediction
from promptlab.stats.sample import Array
from promptlab.view import View


def whole(task: Task) -> bool:
    """Whether the objective has a part that only all rows together give."""
    return any(hasattr(task.metrics[name], "aggregate") for name in task.objective)


def scores_of(rows: Sequence[Prediction], examples: Sequence[Example]) -> Array:
    """One score per example, repeats averaged first; NaN where there is none."""
    found = means(rows, [row.score for row in rows])
    return np.array([found.get(each.id, math.nan) for each in examples], float)


def objective_of(task: Task, rows: Sequence[Prediction], examples: Sequence[Example]) -> Array:
    """One number per example of one variant, whose mean is its objective; NaN where there is none."""
    if not whole(task):
        return scores_of(rows, examples)
    parts = [weight * metric_of(task, name, rows, examples) for name, weight in task.objective.items()]
    return np.asarray(np.sum(parts, axis=0))


def metric_of(task: Task, name: str, rows: Sequence[Prediction], examples: Sequence[Example]) -> Array:
    """One number per example of one variant, whose mean is the metric; NaN where there is none."""
    done = [row for row in rows if row.status != "error" and name in row.scores]
    if hasattr(task.metrics[name], "aggregate"):
        by_id = {example.id: example for example in examples}
        values = _pseudo(task, name, [row for row in done if row.example in by_id], by_id)
    else:
        values = [row.scores[name] for row in done]
    found = means(done, values)
    return np.array([found.get(each.id, math.nan) for each in examples], float)


def measured(view: View, task: Task, predictions: Sequence[Prediction]) -> View:
    """The view with pseudo-values for scores, where the objective needs them."""
    if not whole(task):
        return view
    rows = by_variant(predictions)
    scores = [objective_of(task, rows.get(variant.id, ()), view.dev) for variant in view.variants]
    return replace(view, scores=np.array(scores))


def means(rows: Sequence[Prediction], values: Sequence[float]) -> dict[str, float]:
    """The mean of the values that there are, example by example."""
    found: dict[str, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        if not math.isnan(value):
            found.setdefault(row.example, []).append(value)
    return {example: math.fsum(known) / len(known) for example, known in found.items()}


def by_variant(rows: Sequence[Prediction]) -> Mapping[str, Sequence[Prediction]]:
    """The predictions of each variant, in order."""
    if isinstance(rows, Predictions):
        return rows.by_variant()
    found: dict[str, list[Prediction]] = {}
    for row in rows:
        found.setdefault(row.variant, []).append(row)
    return found


def pairs_of(rows: Sequence[Prediction], examples: Mapping[str, Example]) -> list[tuple[Any, Any]]:
    """What an aggregate is given: what was expected and what was answered, None where there is no answer."""
    return [(examples[row.example].label, row.answer if row.status == "ok" else None) for row in rows]


def _pseudo(task: Task, name: str, rows: Sequence[Prediction], examples: Mapping[str, Example]) -> list[float]:
    """The pseudo-value of each row, among the rows of its repeat."""
    values = [math.nan] * len(rows)
    metric: Any = task.metrics[name]
    labels = tuple(map(str, task.labels))
    for repeat in {row.repeat for row in rows}:
        places = [at for at, row in enumerate(rows) if row.repeat == repeat]
        pairs = pairs_of([rows[at] for at in places], examples)
        total = float(metric.aggregate(pairs, labels))
        without = np.array(_without(metric, pairs, labels), float)
        without[np.isnan(without)] = total
        found = total + (len(pairs) - 1) * (without.mean() - without)
        for at, value in zip(places, found, strict=True):
            values[at] = float(value)
    return values


def _without(metric: Any, pairs: list[tuple[Any, Any]], labels: tuple[str, ...]) -> list[float]:
    """The aggregate without each row in turn."""
    if hasattr(metric, "leave_one_out"):
        return list(metric.leave_one_out(pairs, labels))
    return [float(metric.aggregate(pairs[:at] + pairs[at + 1 :], labels)) for at in range(len(pairs))]
