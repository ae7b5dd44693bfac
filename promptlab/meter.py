"""The budget while it is spent: which calls may start, in plan order, without ever going past a cap."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from promptlab.records import Budget, Call, Request

DIGITS = 12
"""Decimals of a US dollar that sums keep. A price per million tokens has at most six, so sums of calls are exact, and
the same in any order of arrival (below some $4,000; beyond that the last digit may differ)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What calls cost at list price."""

    calls: float = 0
    tokens: float = 0
    usd: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.tokens + other.tokens, round(self.usd + other.usd, DIGITS))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.calls - other.calls, self.tokens - other.tokens, round(self.usd - other.usd, DIGITS))

    def __mul__(self, times: float) -> Cost:
        return Cost(self.calls * times, self.tokens * times, self.usd * times)

    def within(self, cap: Cost) -> bool:
        """Whether no part exceeds the cap's."""
        return self.calls <= cap.calls and self.tokens <= cap.tokens and self.usd <= cap.usd + 10**-DIGITS / 2


ONE = Cost(1)


def cap_of(budget: Budget) -> Cost:
    """The budget as a cap; what it does not name is unlimited."""
    return Cost(*(math.inf if value is None else value for value in (budget.calls, budget.tokens, budget.usd)))


def worst_case(request: Request) -> Cost:
    """A true bound: a token is at least one byte of UTF-8, and the answer cannot exceed max_tokens."""
    tokens_in = len(request.content)
    limit: Any = request.body.get("max_tokens", request.body.get("max_completion_tokens"))
    tokens_out = limit if isinstance(limit, int) else 0 if request.route != "/chat/completions" else math.inf
    price = request.model.price
    usd = 0.0
    if price is not None:
        usd = (
            tokens_in * max(price.input, price.cached or 0.0) + (tokens_out * price.output if price.output else 0)
        ) / 1e6
    return Cost(1, tokens_in + tokens_out, usd)


def actual(call: Call) -> Cost:
    """What a finished call counts: at list price, cached or not, so that decisions do not depend on the cache."""
    usage = call.completion.usage if call.completion else None
    return Cost(1, usage.tokens_in + usage.tokens_out if usage else 0, call.usd)


def _short(key: str) -> bytes:
    """Half of a key: enough to tell a billion apart, in a quarter of the memory."""
    return bytes.fromhex(key[:32])


class Meter:
    """Admits calls in plan order, never past the cap.

    A call starts when what precedes it (finished: actual; in flight: worst case) plus its own worst case fits. It is
    refused only when nothing is in flight, so the same calls are admitted at any concurrency. One key counts once.
    A failed call counts nothing, but keeps its place until it is asked again or ``settle`` gives it up: what comes
    later in the plan cannot take it. ``spent`` are US dollars that earlier sessions of the run really spent.
    """

    def __init__(self, cap: Cost, spent: float = 0.0) -> None:
        self.cap = cap
        self._counted = math.isinf(cap.tokens) and math.isinf(cap.usd)
        self.reserved = Cost()
        self.done = Cost()
        self.spent_usd = spent  # really spent; a meter of its own, decides nothing
        self._taken = Cost()  # done, and the worst cases of what is in flight or failed
        self._sent_usd = 0.0  # worst cases that are on the wire, not merely looked up
        self._failed: dict[bytes, Cost] = {}
        self._in_flight = 0
        self._shut = False
        self._turn = asyncio.Lock()
        self._queue = 0  # how many wait for their turn, or have it
        self._landed = asyncio.Event()
        self._keys: set[bytes] = set()

    @property
    def reserved(self) -> Cost:
        """What is kept back for the finalists' test calls."""
        return self._reserved

    @reserved.setter
    def reserved(self, cost: Cost) -> None:
        self._reserved = cost
        self._room = self.cap - cost

    @property
    def left(self) -> Cost:
        """What the search may still spend."""
        return self._room - self.done

    def reopen(self) -> None:
        """A new plan begins."""
        self._shut = False

    async def admit(self, request: Request) -> Cost | None:
        """The worst case that is now held for the request; None when the budget is spent. A known key is free."""
        key = _short(request.key)
        if not self._queue and not self._shut and key not in self._keys and key not in self._failed:
            worst = self._bound(request)
            taken = self._taken + worst
            if taken.within(self._room):
                self._taken = taken
                return self._held(key, worst)
        async with self.turn():
            return await self.admitted(request)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The plan's order: first come, first served. Whoever has its turn may have several requests ``admitted``."""
        self._queue += 1
        try:
            async with self._turn:
                yield
        finally:
            self._queue -= 1

    async def admitted(self, request: Request) -> Cost | None:
        """As ``admit``, within a turn."""
        key = _short(request.key)
        if self._shut:
            return None
        if key in self._keys:
            return Cost()
        worst = self._failed.pop(key, None)
        if worst is None:
            worst = self._bound(request)
            if not await self._fits(worst):
                self._shut = True  # what comes later in the plan does not start either, however small
                return None
            self._taken += worst
        return self._held(key, worst)

    def _held(self, key: bytes, worst: Cost) -> Cost:
        self._keys.add(key)
        self._in_flight += 1
        return worst

    async def _fits(self, worst: Cost) -> bool:
        """Whether it fits once enough of what is in flight has landed."""
        while not (self._taken + worst).within(self._room):
            if not self._in_flight:
                return False
            self._landed.clear()
            await self._landed.wait()
        return True

    def _bound(self, request: Request) -> Cost:
        """The worst case in what is capped; elsewhere it may have no bound, and none is needed."""
        if self._counted:
            return ONE
        worst = worst_case(request)
        tokens = 0 if math.isinf(self.cap.tokens) else worst.tokens
        return Cost(1, tokens, 0.0 if math.isinf(self.cap.usd) else round(worst.usd, DIGITS))

    def send(self, worst: Cost) -> bool:
        """Whether a held request may go onto the wire: False when what was really spent leaves no room for it."""
        if self.spent_usd + self._sent_usd + worst.usd > self.cap.usd + 10**-DIGITS:
            return False
        self._sent_usd = round(self._sent_usd + worst.usd, DIGITS)
        return True

    def back(self, worst: Cost, call: Call | None) -> None:
        """What was sent came back, or never will (None)."""
        self._sent_usd = round(self._sent_usd - worst.usd, DIGITS)
        self.spent_usd = round(self.spent_usd + (call.spent if call else 0.0), DIGITS)

    def land(self, key: str, worst: Cost, call: Call | None) -> None:
        """A call that was admitted has ended; None when it was withdrawn."""
        self._in_flight -= 1
        if call is not None and call.completion is not None:
            cost = actual(call)
            self._taken += cost - worst
            self.done += cost
        else:
            self._keys.discard(_short(key))
            if call is None:
                self._taken -= worst
            else:
                self._failed[_short(key)] = worst
        self._landed.set()

    def settle(self) -> None:
        """Calls that failed are not asked again in this plan: give their places back."""
        for worst in self._failed.values():
            self._taken -= worst
        self._failed.clear()
