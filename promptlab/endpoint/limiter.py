"""Who may send now: seats (concurrency), pace (requests and tokens per minute), and a pause that stops everyone.

The seam for adaptive concurrency: only `Limiter` knows how many attempts may be in flight.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

BURST_SECONDS = 1.0


class Pace:
    """A token bucket that holds one second's worth and may run into debt, so a large request is late, never stuck."""

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60
        self._free_at = -float("inf")

    def reserve(self, cost: float, now: float) -> float:
        """Take ``cost`` at time ``now``; the seconds to wait before it may be used."""
        start = max(self._free_at, now - BURST_SECONDS)
        self._free_at = start + cost / self._per_second
        return max(0.0, start - now)


class Limiter:
    """Bounds the attempts of one pool. ``width``: most attempts in flight; rpm, tpm: per minute, None = no limit."""

    def __init__(self, width: int, rpm: float | None = None, tpm: float | None = None) -> None:
        self._seats = asyncio.Semaphore(width)
        self._requests = Pace(rpm) if rpm else None
        self._tokens = Pace(tpm) if tpm else None
        self._closed_until = 0.0
        self._stopped = asyncio.Event()

    @asynccontextmanager
    async def seat(self, tokens: int) -> AsyncIterator[None]:
        """Hold a seat while one attempt is in flight; ``tokens`` is what it may cost at most."""
        async with self._seats:
            await self._turn(tokens)
            yield

    async def _turn(self, tokens: int) -> None:
        now = time.monotonic()
        waits = [self._requests.reserve(1, now)] if self._requests else []
        waits += [self._tokens.reserve(tokens, now)] if self._tokens else []
        if waits:
            await self.sleep(max(waits))
        while (left := self._closed_until - time.monotonic()) > 0 and not self._stopped.is_set():
            await self.sleep(left * random.uniform(1.0, 1.1))  # all at once would be turned away again

    def pause(self, seconds: float) -> None:
        """Let nobody start before ``seconds`` from now; what is in flight goes on."""
        self._closed_until = max(self._closed_until, time.monotonic() + seconds)

    async def sleep(self, seconds: float) -> None:
        """Sleep, but wake at once when the pool stops."""
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def stop(self) -> None:
        """The endpoint is unusable: wake every sleeper so that it can say so."""
        self._stopped.set()
