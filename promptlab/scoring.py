"""A metric asked for its score, whatever its colour: plain, a Flow, or awaitable."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any

from promptlab.errors import BadInput, CallFailed, Problem
from promptlab.metrics import Metric, scored
from promptlab.records import Completion, Example, Flow, Score, Variant


def score_of(name: str, metric: Metric, example: Example, completion: Completion, variant: Variant) -> Flow[Score]:
    """A metric's value, with what else it raises named."""
    try:
        return scored((yield from given(metric(example, completion))))
    except (CallFailed, GeneratorExit):
        raise
    except Exception as error:
        what = (
            f"the metric `{name}` failed on row {example.id} of variant {variant.id}: {type(error).__name__}: {error}"
        )
        remedy = "Mend it and run the same command: every answer so far is kept."
        raise BadInput(Problem(what, remedy=remedy)) from error


def given(value: Any) -> Flow[Any]:
    """What a metric gives, whatever its colour: a value, a Flow of one, or an awaitable."""
    if inspect.isgenerator(value):
        return (yield from value)
    if isinstance(value, Awaitable):
        return (yield value)
    return value
