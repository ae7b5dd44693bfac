"""The budget while it is spent: which calls may start, in plan order, without ever going past a cap."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, fields
from typing import Any

from promptlab.records import Budget, Call, Request


@dataclass(frozen=True, slots=True)
class Cost:
    """What calls cost at list price."""

    calls: float = 0
    tokens: float = 0
    usd: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.tokens + other.tokens, self.usd + other.usd)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.calls - other.calls, self.tokens - other.tokens, self.usd - other.usd)

    def __mul__(self, times: float) -> Cost:
        return Cost(self.calls * times, self.tokens * times, self.usd * times)

    def within(self, cap: Cost) -> bool:
        """Whether no part exceeds the cap's; the last digits of money are rounding."""
        return self.calls <= cap.calls and self.tokens <= cap.tokens and self.usd <= cap.usd + 1e-12


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


class Meter:
    """Admits calls in plan order, never past the cap.

    A call starts when what precedes it (finished: actual; in flight: worst case) plus its own worst case fits. It is
    refused only when nothing is in flight, so the same calls are admitted at any concurrency. One key counts once.
    """

    def __init__(self, cap: Cost) -> None:
        self.cap = cap
        self.reserved = Cost()  # kept back for the finalists' test calls
        self.done = Cost()
        self.spent_usd = 0.0  # really spent; a meter of its own, decides nothing
        self._flying = Cost()
        self._in_flight = 0
        self._shut = False
        self._turn = asyncio.Lock()
        self._landed = asyncio.Event()
        self._keys: set[str] = set()
        self._unlimited = all(math.isinf(getattr(cap, each.name)) for each in fields(cap))

    @property
    def left(self) -> Cost:
        """What the search may still spend."""
        return self.cap - self.reserved - self.done

    def reopen(self) -> None:
        """A new plan begins."""
        self._shut = False

    async def admit(self, request: Request) -> Cost | None:
        """The worst case that is now held for the request; None when the budget is spent. A known key is free."""
        async with self._turn:
            if self._shut:
                return None
            if request.key in self._keys:
                return Cost()
            worst = Cost(1) if self._unlimited else worst_case(request)
            while not self._unlimited and not (self.done + self._flying + worst).within(self.cap - self.reserved):
                if not self._in_flight:
                    self._shut = True  # what comes later in the plan does not start either, however small
                    return None
                self._landed.clear()
                await self._landed.wait()
            self._keys.add(request.key)
            self._in_flight += 1
            self._flying += worst
            return worst

    def land(self, worst: Cost, call: Call | None) -> None:
        """A call that was admitted has ended; None when it was withdrawn. What was held for a known key is nothing."""
        if not worst.calls:
            return
        self._in_flight -= 1
        self._flying = self._flying - worst if self._in_flight else Cost()
        if call is not None and call.completion is not None:  # a failed call is missing data and will be asked again
            self.done += actual(call)
            self.spent_usd += call.spent
        self._landed.set()

    def forget(self, key: str) -> None:
        """A failed call will be asked again, and counts again."""
        self._keys.discard(key)
