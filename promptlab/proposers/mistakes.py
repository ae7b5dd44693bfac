"""What a variant gets wrong, to learn from: on rows of train, asked for that; where there is no train split, on dev.

Sources: ProTeGi and GEPA look at minibatches of training data. What a text is made from should not be what it is then
judged by; mistakes on dev that are shown in lack of train cost nothing, and the door refuses texts that repeat them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from promptlab.errors import CallFailed
from promptlab.metrics.accepted import text_of
from promptlab.records import Example, Flow, Prediction, Request, Variant
from promptlab.view import Failure, View

T = TypeVar("T")
LOOKED = 12  # rows of train that a parent is asked in a round
MOST_MISTAKES = 64  # on dev, that the shown ones are drawn from


def minibatch(view: View, count: int, rng: np.random.Generator) -> tuple[Example, ...]:
    """At most ``count`` labelled rows of train, drawn; none where nothing can be asked."""
    rows = [row for row in view.train if row.answers] if view.predict else []
    return tuple(rows[int(place)] for place in rng.permutation(len(rows))[:count])


def mistakes_of(view: View, variant: Variant, row: int, rows: Sequence[Example]) -> Flow[list[Failure]]:
    """Its wrong answers on ``rows`` of train; without any, those on dev that the view knows of it (``row`` there).

    Raises CallFailed where a call failed twice: no round may be closed on it.
    """
    if not rows or view.predict is None:
        return view.failures(row, MOST_MISTAKES) if row >= 0 else []
    told = yield from together([view.predict(variant, each) for each in rows])
    again = [place for place, each in enumerate(told) if each.status == "error"]
    more = yield from together([view.predict(variant, rows[place]) for place in again])
    for place, each in zip(again, more, strict=True):
        if each.status == "error":
            raise CallFailed(each.error)
        told[place] = each
    top = max(1.0, *(each.score for each in told))
    return [_failure(row, each) for row, each in zip(rows, told, strict=True) if each.score < top]


def _failure(row: Example, said: Prediction) -> Failure:
    return Failure(row, said.output, " | ".join(map(text_of, row.answers)), said.explanation, said.score)


def together(flows: Sequence[Flow[T]]) -> Flow[list[T]]:
    """What flows return that go on side by side: the requests of a step go out together."""
    found: dict[int, T] = {}
    sent: dict[int, Any] = dict.fromkeys(range(len(flows)))
    try:
        while sent:
            asked: dict[int, Request] = {}
            for place, value in sent.items():
                step = yield from _until_asked(flows[place], value)
                if isinstance(step, Request):
                    asked[place] = step
                else:
                    [found[place]] = step
            sent = dict(zip(asked, (yield tuple(asked.values())), strict=True)) if asked else {}
    finally:
        for flow in flows:
            flow.close()
    return [found[place] for place in range(len(flows))]


def _until_asked(flow: Flow[T], value: Any) -> Flow[Request | tuple[T]]:
    """A flow's next single request after it was sent a value, or what it returns; what else it yields is passed on."""
    error: Exception | None = value if isinstance(value, CallFailed) else None
    try:
        while True:
            step = flow.send(value) if error is None else flow.throw(error)
            if isinstance(step, Request):
                return step
            try:
                value, error = (yield step), None
            except Exception as failed:  # noqa: BLE001 - a user's metric may raise anything: its flow says what it means
                error = failed
    except StopIteration as stop:
        return (stop.value,)
