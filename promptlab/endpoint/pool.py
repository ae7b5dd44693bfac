"""The transport of one endpoint: `width` attempts in flight, retries, and one verdict per request."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from types import TracebackType
from typing import Self

from promptlab.endpoint import redact
from promptlab.endpoint.client import Answer, Client, Lost
from promptlab.endpoint.fault import AGAIN, FATAL, Fault, Kind, of_answer, of_exception
from promptlab.endpoint.limiter import Limiter
from promptlab.endpoint.listing import models
from promptlab.endpoint.remedy import Place, remedy
from promptlab.endpoint.retry import Backoff
from promptlab.endpoint.usage import count
from promptlab.endpoint.validate import completion
from promptlab.errors import EndpointUnusable
from promptlab.records import Call, Completion, Endpoint, Model, Request

GARBAGE_TRIES = 3
"""Tries of one request while its answers are no completions; and first answers of a pool before it gives up."""
CONNECT_TRIES = 2
"""Tries of one request while the endpoint has never answered anything."""
TURNED_AWAY: dict[Kind, str] = {"overflow": "context_overflow", "refused": "content_filter"}
USUAL = Backoff()


class Pool:
    """One endpoint as a Transport. ``base_url`` is the real address; it and the key stay out of every message.

    `call` raises EndpointUnusable for what is fatal at once, and from then on for every call.
    """

    def __init__(self, endpoint: Endpoint, base_url: str, api_key: str, *, backoff: Backoff = USUAL) -> None:
        self.endpoint = endpoint
        self.width = endpoint.concurrency
        self.url = redact.shown(base_url)
        self._hidden = redact.secrets(base_url, api_key)
        self._client = Client(base_url, api_key, self.width)
        self._limiter = Limiter(self.width, endpoint.rpm, endpoint.tpm)
        self._backoff = backoff
        self._answered = False  # any answer, of any status, ever
        self._trusted = False  # a completion, ever
        self._aliens = 0
        self._verdict = ""  # why the endpoint is unusable
        self._giving_up = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; no call may be under way."""
        await self._client.close()

    async def call(self, request: Request) -> Call:
        """Ask until there is a completion, or the row or the endpoint is given up."""
        self._client.open()  # imports: not to be measured as latency
        tries: Counter[str] = Counter()
        while True:
            tries["all"] += 1
            async with self._limiter.seat(_worst_case(request)):
                self._raise_if_unusable()
                started = time.monotonic()
                outcome = await self._attempt(request)
                seconds = time.monotonic() - started
            if isinstance(outcome, Fault):
                outcome = self._judge(outcome, tries)
                if outcome.kind in FATAL:
                    await self.give_up(outcome, request.model, request.route)
                if outcome.kind in AGAIN:
                    await self._limiter.sleep(max(outcome.wait, self._backoff.delay(tries["all"])))
                    self._raise_if_unusable()
                    continue
            return self._row(request, outcome, seconds, tries["all"])

    async def listed(self) -> tuple[str, ...]:
        """The model ids that GET /models names; empty if it does not answer or holds something else."""
        try:
            async with asyncio.timeout(min(10.0, self.endpoint.timeout)):
                answer = await self._client.get("/models")
        except (Lost, TimeoutError):
            return ()
        return models(answer.body) if answer.status == 200 else ()

    async def knock(self) -> Fault | None:
        """Ask for something free: None if the server answers anything at all, else why it does not."""
        try:
            async with asyncio.timeout(self.endpoint.timeout):
                await self._client.get("/models")
        except (Lost, TimeoutError) as error:
            return of_exception(error, self.endpoint.timeout)
        self._answered = True
        return None

    async def _attempt(self, request: Request) -> Completion | Fault:
        try:
            async with asyncio.timeout(self.endpoint.timeout):
                answer = await self._client.post(request.route, request.content)
        except (Lost, TimeoutError) as error:
            return of_exception(error, self.endpoint.timeout)
        self._answered = True
        return self._read(answer, request)

    def _read(self, answer: Answer, request: Request) -> Completion | Fault:
        if not 200 <= answer.status < 300:
            return of_answer(answer, request.body)
        outcome = completion(answer.body, request.body)
        if isinstance(outcome, Completion):
            self._trusted = True
        elif outcome.kind == "alien":
            self._aliens += 1
        return outcome

    def _judge(self, fault: Fault, tries: Counter[str]) -> Fault:
        """The same fault, or what it has become now: the end of the row or of the run."""
        if fault.kind == "limited":
            self._limiter.pause(fault.wait)
        garbage = fault.kind in ("alien", "invalid")
        tries["garbage"] += garbage
        if fault.kind == "alien" and not self._trusted and self._aliens >= GARBAGE_TRIES:
            return Fault("foreign", fault.text)
        if fault.kind == "connect" and not self._answered and tries["all"] >= CONNECT_TRIES:
            return Fault("unreachable", fault.text)
        spent = tries["all"] > self.endpoint.max_retries or (garbage and tries["garbage"] >= GARBAGE_TRIES)
        if fault.kind in AGAIN and spent:
            return Fault("failed", fault.text)
        return fault

    def _row(self, request: Request, outcome: Completion | Fault, seconds: float, attempts: int) -> Call:
        if isinstance(outcome, Fault) and outcome.kind in TURNED_AWAY:
            outcome = Completion(text="", finish_reason=TURNED_AWAY[outcome.kind], model=request.model.id)
        if isinstance(outcome, Fault):
            tail = f" (after {attempts} attempts)" if attempts > 1 else ""
            error = redact.redact(outcome.text + tail, self._hidden)
            return Call(request.key, request.purpose, None, latency=seconds, attempts=attempts, error=error)
        price = request.model.price
        usd = price.of(outcome.usage) if price else 0.0
        return Call(request.key, request.purpose, outcome, usd=usd, latency=seconds, attempts=attempts)

    async def give_up(self, fault: Fault, model: Model, route: str) -> None:
        """Raise EndpointUnusable, now and for every later call; the first reason stays."""
        async with self._giving_up:
            if not self._verdict:
                known = await self.listed() if fault.kind == "model" else ()
                place = Place(self.url, route, model.id, self.endpoint.api_key_env, known)
                self._verdict = redact.redact(remedy(fault, place), self._hidden)
                self._limiter.stop()
        self._raise_if_unusable()

    def _raise_if_unusable(self) -> None:
        if self._verdict:
            raise EndpointUnusable(self._verdict)


def _worst_case(request: Request) -> int:
    """Roughly the most tokens that a request may cost, for the pace: a quarter of its bytes plus what it may answer."""
    body = request.body
    return len(request.content) // 4 + (count(body.get("max_completion_tokens") or body.get("max_tokens")) or 0)
