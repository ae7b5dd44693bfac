"""Patience with one endpoint's hiccups, for steps that are few and dear: uploads, batches, tuning jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from promptlab.endpoint.fault import AGAIN, Fault
from promptlab.endpoint.retry import Backoff
from promptlab.records import Endpoint

T = TypeVar("T")

CONNECT_TRIES = 2  # while the endpoint has never answered anything
GARBAGE_TRIES = 3


class Patience:
    """Tries a step ``max_retries`` times more, as long as that may help."""

    def __init__(self, endpoint: Endpoint, backoff: Backoff) -> None:
        self._endpoint = endpoint
        self._backoff = backoff
        self._answered = False

    async def through(self, attempt: Callable[[], Awaitable[T | Fault]]) -> tuple[T | Fault, int]:
        """What ``attempt`` gives in the end, or the fault that no further try helps; and how many it took."""
        tries = garbage = 0
        while True:
            tries += 1
            outcome = await attempt()
            if not isinstance(outcome, Fault):
                self._answered = True
                return outcome, tries
            self._answered = self._answered or outcome.text.startswith("HTTP")
            garbage += outcome.kind in ("alien", "invalid")
            if outcome.kind == "connect" and not self._answered and tries >= CONNECT_TRIES:
                outcome = replace(outcome, kind="unreachable")
            if outcome.kind not in AGAIN or tries > self._endpoint.max_retries or garbage >= GARBAGE_TRIES:
                return outcome, tries
            await asyncio.sleep(max(outcome.wait, self._backoff.delay(tries)))
