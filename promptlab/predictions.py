"""predictions as rows, and rows as DataFrames: the columns of predictions.csv in one place."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from promptlab.records import Call, Example, Prediction

if TYPE_CHECKING:
    import pandas as pd

_TEXT = frozenset(
    ("run", "variant", "example", "label", "answer", "output", "error", "name", "status", "model", "template",
     "method", "origin", "parents", "engine", "split", "phase", "usage", "group",
     "passages")
)  # fmt: skip
_TOLD = 6  # significant digits of a measured number: more would be noise, and no reader of CSV would agree on them


def prediction_columns(inputs: Sequence[str], beside: Sequence[str] = ()) -> list[str]:
    """The columns of predictions.csv, in order; ``beside`` are those that only some data has."""
    return [
        "run", "variant", "example", "repeat", "split", "phase", *(f"input.{name}" for name in inputs), "label",
        "answer", "score", "status", "output", "tokens_in", "tokens_cached", "tokens_out", "usage", "usd", "latency_ms",
        "attempts", "cached", "model", "error", *beside,
    ]  # fmt: skip


def input_names(examples: Mapping[str, Example]) -> list[str]:
    """Every input column that any row has, in order of first sight."""
    return list(dict.fromkeys(name for example in examples.values() for name in example.inputs))


def beside(examples: Mapping[str, Example], predictions: Iterable[Prediction] = ()) -> list[str]:
    """What rows have beside the usual, if any of them does: their group, their weight, the passages they were shown.

    Where rows name gold passages, ``hit_at_k`` says whether one was found (1 or 0).
    """
    grouped = any(each.group for each in examples.values())
    weighed = any(each.weight != 1 for each in examples.values())
    shown = any(each.passages for each in predictions)
    found = ["passages", *(["hit_at_k"] if any(each.gold for each in examples.values()) else [])] if shown else []
    return [*(["group"] if grouped else []), *(["weight"] if weighed else []), *found]


def prediction_rows(
    run: str,
    predictions: Iterable[Prediction],
    examples: Mapping[str, Example],
    inputs: Sequence[str],
    unpriced: Container[str] = (),
    beside: Sequence[str] = (),
) -> Iterator[list[Any]]:
    """One list of cells per prediction, as ``prediction_columns`` orders them. None = not measured.

    What a call took is None where none was answered, its dollars also where the model is ``unpriced``; ``cached`` = all
    calls were known before they were asked.
    """
    shown = {
        each.id: [*(cell(each.inputs.get(name)) for name in inputs), cell(each.label)] for each in examples.values()
    }
    named = [name for name in beside if name not in ("passages", "hit_at_k")]
    further = {each.id: [getattr(each, name) for name in named] for each in examples.values()}
    listed, known = "passages" in beside, "hit_at_k" in beside
    for row in predictions:
        yield [
            run, row.variant, row.example, row.repeat, row.split, row.phase, *shown[row.example], cell(row.answer),
            rounded(row.score), row.status, row.output, *_taken(row.calls, priced=row.model not in unpriced),
            sum([call.attempts for call in row.calls]),
            bool(row.calls) and all(call.cached for call in row.calls), row.model, row.error, *further[row.example],
            *([cell(list(row.passages))] if listed else []),
            *([rounded(row.measures.get("hit_at_k"))] if known else []),
        ]  # fmt: skip


def _taken(calls: Sequence[Call], *, priced: bool) -> tuple[Any, ...]:
    """Tokens in, cached and out, where they come from, US dollars spent, milliseconds."""
    usages = [call.completion.usage for call in calls if call.completion is not None]
    if not usages:
        return (None,) * 6
    return (
        sum([each.tokens_in for each in usages]),
        sum([each.tokens_cached for each in usages]),
        sum([each.tokens_out for each in usages]),
        "estimated" if any(each.source == "estimated" for each in usages) else "reported",
        rounded(math.fsum([call.spent for call in calls])) if priced else None,
        rounded(1000 * sum([call.latency for call in calls if call.completion is not None])),
    )


def cell(value: Any) -> Any:
    """Text and numbers as they are; several accepted answers, lists and objects as JSON; None stays None."""
    if value is None or isinstance(value, (str, int, float)):
        return str(value).lower() if isinstance(value, bool) else value
    return json.dumps(value, ensure_ascii=False, default=str)


def rounded(value: float | None) -> float | None:
    """A measured number to six significant digits, whole numbers kept whole; None for what was not measured."""
    if value is None or math.isnan(value):
        return None
    if value == 0 or math.isinf(value):
        return float(value)
    return round(float(value), max(0, _TOLD - 1 - math.floor(math.log10(abs(value)))))


def text_columns(header: Iterable[str]) -> list[str]:
    """The columns of a results.csv or predictions.csv that hold text, whatever their cells look like.

    ``error`` is a message in predictions.csv, and a count in results.csv.
    """
    names = list(header)
    return [
        name
        for name in names
        if (name in _TEXT or name.startswith(("slot.", "input."))) and (name != "error" or "output" in names)
    ]


def frame(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> pd.DataFrame:
    """A DataFrame of these columns; in columns of numbers, what was not measured is NaN."""
    import pandas as pd

    table = pd.DataFrame([tuple(row) for row in rows], columns=list(columns))
    numbers = set(columns) - set(text_columns(columns))
    return table.astype({name: "float64" for name in table.columns if name in numbers and table[name].isna().all()})
