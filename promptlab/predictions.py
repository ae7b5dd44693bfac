"""predictions as rows, and rows as DataFrames: the columns of predictions.csv in one place."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from promptlab.records import Example, Prediction

if TYPE_CHECKING:
    import pandas as pd


def prediction_columns(inputs: Sequence[str]) -> list[str]:
    """The columns of predictions.csv, in order."""
    return [
        "run", "variant", "example", "repeat", "split", "phase", *(f"input.{name}" for name in inputs), "label",
        "answer", "score", "status", "output", "tokens_in", "tokens_cached", "tokens_out", "usage", "usd", "latency_ms",
        "attempts", "cached", "model", "error",
    ]  # fmt: skip


def input_names(examples: Mapping[str, Example]) -> list[str]:
    """Every input column that any row has, in order of first sight."""
    return list(dict.fromkeys(name for example in examples.values() for name in example.inputs))


def prediction_rows(
    run: str, predictions: Sequence[Prediction], examples: Mapping[str, Example], inputs: Sequence[str]
) -> Iterator[list[Any]]:
    """One list of cells per prediction, as ``prediction_columns`` orders them. None = not measured."""
    shown = {
        each.id: [*(cell(each.inputs.get(name)) for name in inputs), cell(each.label)] for each in examples.values()
    }
    for row in predictions:
        calls = [call for call in row.calls if call.completion is not None]
        usages = [call.completion.usage for call in calls if call.completion is not None]
        estimated = any(usage.source == "estimated" for usage in usages)
        yield [
            run, row.variant, row.example, row.repeat, row.split, row.phase, *shown[row.example], cell(row.answer),
            None if math.isnan(row.score) else row.score, row.status, row.output,
            *(
                (
                    sum(u.tokens_in for u in usages), sum(u.tokens_cached for u in usages),
                    sum(u.tokens_out for u in usages), "estimated" if estimated else "reported",
                    math.fsum(call.spent for call in calls), 1000 * sum(call.latency for call in calls),
                )
                if usages
                else (None,) * 6
            ),
            sum(call.attempts for call in row.calls), all(call.cached for call in row.calls), row.model,
            row.error,
        ]  # fmt: skip


def cell(value: Any) -> Any:
    """Text and numbers as they are; several accepted answers, lists and objects as JSON; None stays None."""
    if value is None or isinstance(value, (str, int, float)):
        return str(value).lower() if isinstance(value, bool) else value
    return json.dumps(value, ensure_ascii=False, default=str)


def frame(columns: Sequence[str], rows: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> pd.DataFrame:
    """A DataFrame of these columns."""
    import pandas as pd

    return pd.DataFrame([tuple(row) for row in rows], columns=list(columns))
