"""Flows that are worked out once: later ones ask for the same calls, which are known by then, and compute nothing.

Every prediction thereby lists every call that it rests on, whichever of them came first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from promptlab.errors import CallFailed
from promptlab.records import Flow, Request

T = TypeVar("T")


@dataclass(slots=True)
class _Told:
    """What a flow yielded, and whether each step was answered."""

    steps: list[Request | tuple[Request, ...]] = field(default_factory=list)
    whole: bool = True


class Once:
    """Values of flows by key. A flow that met a failure, even one it could live with, is worked out anew."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[tuple[Request | tuple[Request, ...], ...], Any]] = {}
        self.computed = 0

    def flow(self, key: Hashable, make: Callable[[], Flow[T]]) -> Flow[T]:
        """The value of the flow that ``make`` gives. Raises what that flow raises, CallFailed where a call fails."""
        known = self._known.get(key)
        if known is not None:
            steps, value = known
            for step in steps:
                answer = yield step
                if isinstance(answer, tuple):
                    _raise_first(answer)
            found: T = value
            return found
        told = _Told()
        self.computed += 1
        found = yield from _noted(make(), told)
        if told.whole:
            self._known[key] = tuple(told.steps), found
        return found


def _raise_first(answers: tuple[Any, ...]) -> None:
    for each in answers:
        if isinstance(each, CallFailed):
            raise each


def _noted(flow: Flow[T], told: _Told) -> Flow[T]:
    """The flow as it is; ``told`` is told what it asks."""
    try:
        step = next(flow)
        while True:
            if isinstance(step, (Request, tuple)):
                told.steps.append(step)
            try:
                answer = yield step
            except Exception as error:  # noqa: BLE001 - it is the flow's, to live with or to raise
                told.whole = False
                step = flow.throw(error)
                continue
            if isinstance(answer, tuple) and any(isinstance(each, CallFailed) for each in answer):
                told.whole = False
            step = flow.send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()
