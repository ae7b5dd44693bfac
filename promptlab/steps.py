"""Flows whose steps are answered without the wire, or in the service of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from promptlab.errors import CallFailed
from promptlab.records import Call, Completion, Flow, Request

T = TypeVar("T")
Known = Callable[[str], Completion | None]
"""What was answered to the request of a key, as far as somebody knows."""


def settled(flow: Flow[T], known: Known) -> T | None:
    """A flow's value where everything that it asks is known; None where it is not."""
    send: Any = None
    try:
        while True:
            step = flow.send(send)
            asked = step if isinstance(step, tuple) else (step,)
            answers = [known(each.key) if isinstance(each, Request) else None for each in asked]
            if any(each is None for each in answers):
                return None
            send = tuple(answers) if isinstance(step, tuple) else answers[0]
    except StopIteration as stop:
        value: T = stop.value
        return value
    except CallFailed:
        return None
    finally:
        flow.close()


def rehearsed(flow: Flow[Any]) -> list[Request]:
    """What a flow of embeddings asks, if every answer is a vector for each text."""
    asked: list[Request] = []
    send: Any = None
    try:
        while True:
            step = flow.send(send)
            parts = [each for each in (step if isinstance(step, tuple) else (step,)) if isinstance(each, Request)]
            asked += parts
            answers = tuple(Completion(f"[{','.join(['[1.0]'] * len(each.body['input']))}]") for each in parts)
            send = answers if isinstance(step, tuple) else answers[0]
    except StopIteration:
        return asked


def relayed(flow: Flow[T], passed: Callable[[Any], Flow[Any]]) -> Flow[T]:
    """The flow, each of its steps answered by ``passed``; a call that failed there is thrown into it."""
    send: Any = None
    failure: Exception | None = None
    try:
        while True:
            step = flow.send(send) if failure is None else flow.throw(failure)
            send = failure = None
            try:
                send = yield from passed(step)
            except CallFailed as error:
                failure = error
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()


def as_judge(flow: Flow[T]) -> Flow[T]:
    """The flow, its requests in the service of a judge."""

    def judging(step: Any) -> Flow[Any]:
        if isinstance(step, Request):
            step = replace(step, purpose="judge")
        elif isinstance(step, tuple):
            step = tuple(replace(each, purpose="judge") for each in step)
        return (yield step)

    return relayed(flow, judging)


def reminded(flow: Flow[T], made: Mapping[str, Call], calls: list[Call]) -> Flow[T]:
    """The flow; what was ``made`` before is answered at once, and joins ``calls``.

    A prediction whose query was embedded before the first round is one call to the driver, like any other: so the
    budget admits the same ones at any concurrency.
    """

    def reminding(step: Any) -> Flow[Any]:
        asked = step if isinstance(step, tuple) else (step,)
        found = [made.get(each.key) if isinstance(each, Request) else None for each in asked]
        known = [call for call in found if call is not None and call.completion is not None]
        if len(known) < len(asked):
            return (yield step)
        calls.extend(known)
        answers = tuple(call.completion for call in known)
        return answers if isinstance(step, tuple) else answers[0]

    return relayed(flow, reminding)
