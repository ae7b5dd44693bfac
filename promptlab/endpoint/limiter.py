"""Who may send now: seats (window.py knows how many), pace (requests and tokens a minute), a pause of everyone."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self

from promptlab.endpoint.window import Window

BURST_SECONDS = 1.0
LATE_SECONDS = 0.02
"""A timer rings late under load; so much may be made up for by attempts that are closer together."""


class Pace:
    """A token bucket that holds one second's worth and may run into debt, so a large request is late, never stuck."""

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60
        self.free_at = -float("inf")
        """When the next cost may be taken without waiting."""

    def reserve(self, cost: float, now: float) -> float:
        """Take ``cost`` at time ``now``; the seconds to wait before it may be used."""
        start = max(self.free_at, now - BURST_SECONDS)
        self.free_at = start + cost / self._per_second
        return max(0.0, start - now)

    def give_back(self, cost: float) -> None:
        """Return what was taken too much; below zero: take what was taken too little."""
        self.free_at -= cost / self._per_second


class Seat:
    """The right to make one attempt, held from ``async with`` to its end. ``tokens``: what it may cost at most."""

    __slots__ = ("_limiter", "cuts", "tokens")

    def __init__(self, limiter: Limiter, tokens: int) -> None:
        self._limiter = limiter
        self.tokens = tokens
        self.cuts = 0

    async def __aenter__(self) -> Self:
        limiter = self._limiter
        if limiter.guarded or limiter.flying >= limiter.window.seats:
            await limiter.wait(self.tokens)
        else:
            limiter.flying += 1
        self.cuts = limiter.window.cuts
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limiter.leave()


class Limiter:
    """Bounds the attempts of one pool. ``width``: most attempts in flight; rpm, tpm: per minute, None = no limit.

    Every attempt holds a `Seat`, and tells the limiter how it went before it leaves it.
    """

    def __init__(self, width: int, rpm: float | None = None, tpm: float | None = None) -> None:
        self.window = Window(width)
        self.flying = 0
        self._requests = Pace(rpm) if rpm else None
        self._tokens = Pace(tpm) if tpm else None
        self.counts_tokens = self._tokens is not None
        self.guarded = bool(rpm or tpm)
        """Whether a free seat is not enough."""
        self._queue: deque[tuple[asyncio.Future[None], int]] = deque()
        self._closed_until = 0.0
        self._next = 0.0  # when the window lets the next one go
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = asyncio.Event()

    def seat(self, tokens: int = 0) -> Seat:
        """A seat for one attempt that costs ``tokens`` at most."""
        return Seat(self, tokens)

    def answered(self, seat: Seat, seconds: float, tokens: int) -> None:
        """The attempt in this seat was answered after ``seconds``, and really cost so many ``tokens``."""
        used = bool(self._queue) or self.flying >= self.window.seats
        self.window.answered(asyncio.get_running_loop().time(), seconds, used)
        if self._tokens is not None:
            self._tokens.give_back(seat.tokens - tokens)

    def turned_away(self, seat: Seat, wait: float) -> None:
        """The answer was 429: fewer from now on, and nobody at all for the ``wait`` that the server asks for."""
        self.window.turned_away(asyncio.get_running_loop().time(), seat.cuts, wait)
        self._guard()
        if wait > 0:
            self.pause(wait)

    def pause(self, seconds: float) -> None:
        """Let nobody start before ``seconds`` from now; what is in flight goes on."""
        # clients that all come back in the same moment would be turned away again
        until = asyncio.get_running_loop().time() + seconds * random.uniform(1.0, 1.05)
        self._closed_until = max(self._closed_until, until)
        self.guarded = True

    async def sleep(self, seconds: float) -> None:
        """Sleep, but wake at once when the pool stops."""
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def stop(self) -> None:
        """The endpoint is unusable: wake whoever sleeps or waits, so that it can say so."""
        self._stopped.set()
        self._admit()

    async def wait(self, tokens: int) -> None:
        """Stand in line for a seat: first come, first served."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((turn, tokens))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # let in at that very moment
                self.leave()
            raise

    def leave(self) -> None:
        """Give a seat back."""
        self.flying -= 1
        if self._queue:
            self._admit()

    def _admit(self) -> None:
        """Let in whoever may go now."""
        while self._queue:
            turn, tokens = self._queue[0]
            if not (turn.done() or self._stopped.is_set() or self._take_turn(tokens)):
                return
            self._queue.popleft()
            if not turn.done():
                self.flying += 1
                turn.set_result(None)

    def _take_turn(self, tokens: int) -> bool:
        """Whether there is a seat and it is time; if it is only early, a timer rings."""
        if self.flying >= self.window.seats:
            return False
        now = asyncio.get_running_loop().time()
        costs = [(pace, cost) for pace, cost in ((self._requests, 1), (self._tokens, tokens)) if pace is not None]
        opens = max(self._closed_until, *(pace.free_at for pace, _ in costs), self._next if self.window.gap else 0.0)
        if opens > now:
            self._ring(opens)
            return False
        for pace, cost in costs:
            pace.reserve(cost, now)
        self._next = max(self._next, now - LATE_SECONDS) + self.window.gap
        self._guard()
        return True

    def _guard(self) -> None:
        early = self._closed_until > 0.0 and self._closed_until > asyncio.get_running_loop().time()
        self.guarded = bool(self._requests or self._tokens or self.window.gap) or early

    def _ring(self, at: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at, self._rung)

    def _rung(self) -> None:
        self._timer = None
        self._admit()
