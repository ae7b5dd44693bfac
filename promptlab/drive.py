"""Runs flows over a transport: a fixed crew on one lazy iterator, ``width`` calls at once, no barrier, one writer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, TypeVar

from promptlab.commits import Commits
from promptlab.errors import CallFailed, EndpointUnusable, Interrupted
from promptlab.meter import Cost, Meter
from promptlab.records import Call, Flow, Request

AHEAD = 64
"""Most flows whose next request stands ready while all seats are taken: a seat is filled in the moment it is free."""

T = TypeVar("T")
K = TypeVar("K")
Step: TypeAlias = Request | tuple[Request, ...] | Awaitable[Any]


class Transport(Protocol):
    """What touches the wire."""

    width: int

    async def call(self, request: Request) -> Call:
        """The call, made. A failed one carries ``error``; EndpointUnusable is raised for what cannot go on."""


class Log(Protocol):
    """What remembers calls."""

    def known(self, key: str) -> Call | None:
        """The call of this key, if it was ever answered."""

    def found(self, key: str) -> Call | None:
        """As ``known``, for a key that is asked for the first time since the log was opened."""

    def record(self, *calls: Call) -> None:
        """Keep calls that were made, all in one commit."""


class Halt:
    """Asks everything to stop: no new calls start; those in flight may land."""

    def __init__(self) -> None:
        self.reason: Exception | None = None
        self.event = asyncio.Event()
        self.told: Callable[[], None] = lambda: None  # the transport hears of it here: what waits there is not sent

    def __call__(self, reason: Exception) -> None:
        """Stop for this reason; the first one stands."""
        if self.reason is None:
            self.reason = reason
            self.told()
        self.event.set()


class _Stopped(Exception):  # noqa: N818 - not an error: the budget is spent, or a halt was asked for
    """No further call may start."""


class Driver:
    """Drives flows; keeps every answered call in the log before anything else sees it."""

    def __init__(self, transport: Transport, log: Log, meter: Meter, halt: Halt, drain: float = 10.0) -> None:
        self.transport = transport
        self.log = log
        self.meter = meter
        self.halt = halt
        self.drain = drain
        self.landed: Callable[[Call], None] = lambda _: None  # progress looks on here
        self._flying: dict[str, asyncio.Future[Call]] = {}
        self._failures = 0  # attempts without an answer since the last one
        self._failed: set[str] = set()
        self._hits = 0
        self._seats = asyncio.Semaphore(transport.width)
        self._commits = Commits(log.record, halt, lambda: self._seats.release())  # noqa: PLW0108 - each run's own

    async def run(self, flows: Iterable[Flow[T]], keep: Callable[[int, T, tuple[Call, ...]], K]) -> list[K | None]:
        """What ``keep`` made of each flow's place, value and calls, in plan order.

        None where the budget was spent before the flow was done. Raises Interrupted after a halt, EndpointUnusable when
        the endpoint cannot go on, and whatever else a flow or the transport raises; each time what is in flight may
        land first, for ``drain`` seconds.
        """
        kept: list[K | None] = []
        plan = enumerate(flows)
        self.meter.reopen()
        width = self.transport.width
        self._seats = asyncio.Semaphore(width)
        crew = [asyncio.create_task(self._work(plan, keep, kept)) for _ in range(width + min(width, AHEAD))]
        stop = asyncio.create_task(self.halt.event.wait())
        working: asyncio.Future[Any] = asyncio.gather(*crew)
        try:
            waiting: list[asyncio.Future[Any]] = [working, stop]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await asyncio.wait([working], timeout=self.drain)
        finally:
            for task in (*crew, stop):
                task.cancel()
            await asyncio.gather(*crew, stop, working, return_exceptions=True)
        if self.halt.reason is not None:
            raise self.halt.reason
        while kept and kept[-1] is None:
            kept.pop()
        return kept

    async def _work(
        self, plan: Iterator[tuple[int, Flow[T]]], keep: Callable[[int, T, tuple[Call, ...]], K], kept: list[K | None]
    ) -> None:
        for place, flow in plan:
            kept.append(None)  # so that places are in plan order
            try:
                if self.halt.reason is not None:
                    return
                value, calls = await self._drive(flow)
                kept[place] = keep(place, value, calls)
            except _Stopped:
                return
            except Exception as error:  # noqa: BLE001 - raised again by run, once the answers in flight are kept
                self.halt(error)
                return
            finally:
                flow.close()

    async def _drive(self, flow: Flow[T]) -> tuple[T, tuple[Call, ...]]:
        calls: list[Call] = []
        try:
            step: Step = next(flow)
            while True:
                value, error = await self._answer(step, calls)
                step = flow.send(value) if error is None else flow.throw(error)
        except StopIteration as stop:
            return stop.value, tuple(calls)

    async def _answer(self, step: Step, calls: list[Call]) -> tuple[Any, Exception | None]:
        """What the flow is to be sent, or what is to be raised in it. A call joins ``calls``."""
        if isinstance(step, Request):
            call = await self._ask(step)
            calls.append(call)
            return call.completion, None if call.completion is not None else CallFailed(call.error)
        if isinstance(step, tuple):
            several = await self._ask_all(step)
            calls.extend(several)
            return tuple(each.completion or CallFailed(each.error) for each in several), None
        try:
            return await step, None
        except Exception as error:  # noqa: BLE001 - a user's coroutine may raise anything; its flow says what it means
            return None, error

    async def _ask(self, request: Request) -> Call:
        held = await self.meter.admit(request)
        if held is None:
            raise _Stopped
        return await self._started(request, held)

    async def _ask_all(self, requests: Sequence[Request]) -> list[Call]:
        """The calls of requests that go out side by side, in their order. If one raises, the others land first.

        They are admitted in one turn, each as soon as it fits, so that a short budget makes them follow one another.
        """
        crew: list[asyncio.Future[Call]] = []
        try:
            async with self.meter.turn():
                for request in requests:
                    held = await self.meter.admitted(request)
                    if held is None:
                        break
                    crew.append(asyncio.ensure_future(self._started(request, held)))
                    crew[-1].add_done_callback(self._noticed)
            await asyncio.gather(*crew, return_exceptions=True)
        finally:
            for each in crew:
                each.cancel()
            await asyncio.gather(*crew, return_exceptions=True)
        if len(crew) < len(requests):
            raise _Stopped
        return [each.result() for each in crew]

    def _noticed(self, done: asyncio.Future[Call]) -> None:
        """Stop at once for what one of several raised: the others may take long to land."""
        error = None if done.cancelled() else done.exception()
        if isinstance(error, Exception) and not isinstance(error, _Stopped):
            self.halt(error)

    def _started(self, request: Request, held: Cost) -> Awaitable[Call]:
        """The call of an admitted request. It is known to be in flight before anything else can ask for its key."""
        if not held.calls:
            return self._again(request)
        flying = self._flying[request.key] = asyncio.get_running_loop().create_future()
        return self._fly(request, held, flying)

    async def _fly(self, request: Request, held: Cost, flying: asyncio.Future[Call]) -> Call:
        call: Call | None = None
        try:
            known = self.log.found(request.key)
            call = await self._at_list_price(request, known) if known else await self._send(request, held)
            flying.set_result(call)
        except BaseException as error:
            if not flying.done():
                flying.set_exception(error) if isinstance(error, Exception) else flying.cancel()
            raise
        finally:
            self._land(request.key, held, call, flying)
        return call if call.purpose == request.purpose else replace(call, purpose=request.purpose)

    def _land(self, key: str, held: Cost, call: Call | None, flying: asyncio.Future[Call]) -> None:
        del self._flying[key]
        if flying.done() and not flying.cancelled():
            flying.exception()  # looked at: whoever raised it reports it
        self.meter.land(key, held, call)
        if call is not None:
            self.landed(call)

    async def _again(self, request: Request) -> Call:
        """A key that was asked before in this run: joined while in flight, else read from the log. Costs nothing."""
        flying = self._flying.get(request.key)
        call = await asyncio.shield(flying) if flying else self.log.known(request.key)
        if call is None:  # it failed meanwhile
            return await self._ask(request)
        return replace(await self._at_list_price(request, call), cached=True, purpose=request.purpose)

    async def _at_list_price(self, request: Request, call: Call) -> Call:
        """A known call at today's price: what an answer cost then is not what it costs."""
        if call.completion is None:
            return call
        self._hits += 1
        if self._hits % 64 == 0:
            await asyncio.sleep(0)  # a run that is all known still hears signals and shows progress
        price = request.model.price
        usd = price.of(call.completion.usage) if price else 0.0
        return call if usd == call.usd else replace(call, usd=usd)

    async def _send(self, request: Request, held: Cost) -> Call:
        await self._seats.acquire()
        try:
            call = await self._sent(request, held)
        except BaseException:
            self._seats.release()
            raise
        await self._commits.add(call)
        self._count(call)
        return call

    async def _sent(self, request: Request, held: Cost) -> Call:
        if self.halt.reason is not None:
            raise _Stopped
        if not self.meter.send(held):
            spent, cap = self.meter.spent_usd, self.meter.cap.usd
            raise Interrupted(
                f"${spent:,.2f} of the budget's ${cap:,.2f} are really spent, and the next call may not fit. "
                "Every answer is kept: with a higher search.budget.usd they cost nothing again."
            )
        call: Call | None = None
        try:
            call = await self.transport.call(request)
        finally:
            self.meter.back(held, call)
        return call

    def _count(self, call: Call) -> None:
        """Stop when nothing but failures comes back: so many attempts in a row, whoever made them.

        A row that fails again says something about the row, not about the endpoint.
        """
        if call.completion is not None:
            self._failures = 0
        elif call.key not in self._failed:
            self._failed.add(call.key)
            self._failures += call.attempts
        if self._failures >= max(20, 2 * self.transport.width):
            raise EndpointUnusable(
                f"{self._failures} attempts in a row brought no answer; the last error: {call.error}. "
                "Every answer is kept: run the same command to go on."
            )
