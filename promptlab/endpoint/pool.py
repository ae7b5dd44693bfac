"""The transport of one endpoint: `width` attempts in flight, retries, and one verdict per request."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol, Self

from promptlab.endpoint import redact
from promptlab.endpoint.client import Answer, Client, Lost
from promptlab.endpoint.embeddings import vectors
from promptlab.endpoint.fault import AGAIN, FATAL, Fault, of_answer, of_exception
from promptlab.endpoint.limiter import Limiter, Seat
from promptlab.endpoint.listing import models
from promptlab.endpoint.remedy import Place, of_left_out, remedy
from promptlab.endpoint.retry import Backoff
from promptlab.endpoint.row import row
from promptlab.endpoint.usage import count
from promptlab.endpoint.validate import completion
from promptlab.errors import EndpointUnusable
from promptlab.records import Call, Completion, Endpoint, Model, Request

GARBAGE_TRIES = 3
"""Tries of one request while its answers are no completions; and first answers of a pool before it gives up."""
CONNECT_TRIES = 2
"""Tries of one request while the endpoint has never answered anything."""
USUAL = Backoff()
READERS: dict[str, Callable[[bytes, Mapping[str, Any]], Completion | Fault]] = {
    "/chat/completions": completion,
    "/embeddings": vectors,
}


class Dialect(Protocol):
    """How a model of an endpoint wants to be asked, where that differs from how promptlab writes requests."""

    def content(self, request: Request) -> bytes:
        """The bytes to send; `request.content` itself where nothing differs."""


@dataclass(slots=True)
class _Tries:
    """What one request has gone through."""

    sent: int = 0
    failed: int = 0
    garbage: int = 0


class Pool:
    """One endpoint as a Transport. ``base_url`` is the real address; it and the key stay out of every message.

    ``dialects`` are by model id. ``left_out`` names, by model id, the defaults of promptlab's own that the endpoint
    rejects: they are sent no more. `call` raises EndpointUnusable for what is fatal at once, and from then on for every
    call.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        base_url: str,
        api_key: str,
        *,
        backoff: Backoff = USUAL,
        dialects: Mapping[str, Dialect] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.width = endpoint.concurrency
        self.url = redact.shown(base_url)
        self.left_out: dict[str, tuple[str, ...]] = {}
        self._dialects = dict(dialects or {})
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

    def stop(self) -> None:
        """Send nothing more, not even again: a call that waits ends with EndpointUnusable. The wire is left alone."""
        self._verdict = self._verdict or "the run is stopping"
        self._limiter.stop()

    def notes(self) -> tuple[str, ...]:
        """What people should know of how the endpoint was asked: a sentence for each parameter that was left out."""
        return of_left_out(self.url, self.left_out)

    async def call(self, request: Request) -> Call:
        """Ask until there is a completion, or the row or the endpoint is given up."""
        self._client.open()  # imports: not to be measured as latency
        tries = _Tries()
        while True:
            tries.sent += 1
            async with self._limiter.seat(_worst_case(request) if self._limiter.counts_tokens else 0) as seat:
                self._raise_if_unusable()
                asked, content = self._worded(request)
                started = time.monotonic()
                outcome = await self._attempt(asked, content)
                seconds = time.monotonic() - started
                self._tell(seat, outcome, seconds)
            if isinstance(outcome, Fault):
                if self._spare(asked, outcome):
                    continue
                outcome = self._judge(outcome, tries)
                if outcome.kind in FATAL:
                    await self.give_up(outcome, request.model, request.route, _sent(asked, content))
                if outcome.kind in AGAIN:
                    await self._limiter.sleep(max(outcome.wait, self._backoff.delay(tries.failed)))
                    self._raise_if_unusable()
                    continue
            return row(request, outcome, seconds, tries.sent, self._hidden)

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

    def _worded(self, request: Request) -> tuple[Request, bytes]:
        """The request as this endpoint takes it, and the bytes to send; what goes into the log stays ``request``."""
        known = self.left_out.get(request.model.id)
        if known and (spared := [name for name in known if name in request.defaults]):
            body = {name: value for name, value in request.body.items() if name not in spared}
            left = tuple(name for name in request.defaults if name not in spared)
            request = replace(request, body=body, defaults=left)
        dialect = self._dialects.get(request.model.id)
        return request, dialect.content(request) if dialect else request.content

    async def _attempt(self, asked: Request, content: bytes) -> Completion | Fault:
        try:
            async with asyncio.timeout(self.endpoint.timeout):
                answer = await self._client.post(asked.route, content)
        except (Lost, TimeoutError) as error:
            return of_exception(error, self.endpoint.timeout)
        self._answered = True
        return self._read(answer, asked, content)

    def _read(self, answer: Answer, asked: Request, content: bytes) -> Completion | Fault:
        if not 200 <= answer.status < 300:
            return of_answer(answer, _sent(asked, content))
        outcome = READERS.get(asked.route, completion)(answer.body, asked.body)
        if isinstance(outcome, Completion):
            self._trusted = True
        elif outcome.kind == "alien":
            self._aliens += 1
        return outcome

    def _tell(self, seat: Seat, outcome: Completion | Fault, seconds: float) -> None:
        """Let the limiter know how it went."""
        if isinstance(outcome, Completion):
            usage = outcome.usage
            self._limiter.answered(seat, seconds, usage.tokens_in + usage.tokens_out)
        elif outcome.kind == "limited":
            self._limiter.turned_away(seat, outcome.wait)

    def _spare(self, asked: Request, fault: Fault) -> bool:
        """Whether the endpoint rejects what nobody wrote but promptlab; then it is asked without, from now on."""
        if fault.kind != "parameter" or fault.param not in asked.defaults:
            return False
        known = self.left_out.get(asked.model.id, ())
        if fault.param not in known:
            self.left_out[asked.model.id] = (*known, fault.param)
        return True

    def _judge(self, fault: Fault, tries: _Tries) -> Fault:
        """The same fault, or what it has become now: the end of the row or of the run."""
        tries.failed += 1
        garbage = fault.kind in ("alien", "invalid")
        tries.garbage += garbage
        if fault.kind == "alien" and not self._trusted and self._aliens >= GARBAGE_TRIES:
            return Fault("foreign", fault.text)
        if fault.kind == "connect" and not self._answered and tries.failed >= CONNECT_TRIES:
            return Fault("unreachable", fault.text)
        spent = tries.failed > self.endpoint.max_retries or (garbage and tries.garbage >= GARBAGE_TRIES)
        if fault.kind in AGAIN and spent:
            return Fault("failed", fault.text)
        return fault

    async def give_up(self, fault: Fault, model: Model, route: str, sent: Mapping[str, Any] | None = None) -> None:
        """Raise EndpointUnusable, now and for every later call; the first reason stays. ``sent``: the body, if any."""
        async with self._giving_up:
            if not self._verdict:
                known: Collection[str] = await self.listed() if fault.kind == "model" else ()
                place = Place(self.url, route, model.id, self.endpoint.api_key_env, known, sent or {})
                self._verdict = redact.redact(remedy(fault, place), self._hidden)
                self._limiter.stop()
        self._raise_if_unusable()

    def _raise_if_unusable(self) -> None:
        if self._verdict:
            raise EndpointUnusable(self._verdict)


def _sent(asked: Request, content: bytes) -> Mapping[str, Any]:
    """The body as it was sent: a dialect may have changed it."""
    if content == asked.content:
        return asked.body
    body = json.loads(content)
    return body if isinstance(body, dict) else {}


def _worst_case(request: Request) -> int:
    """Roughly the most tokens that a request may cost, for the pace: a quarter of its bytes plus what it may answer."""
    body = request.body
    return len(request.content) // 4 + (count(body.get("max_completion_tokens") or body.get("max_tokens")) or 0)
