"""The examination of one model: sends the asks, remembers the answers, and has them judged. Alone touches the wire."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from promptlab.doctor import asks
from promptlab.doctor.asks import Ask
from promptlab.doctor.blame import blamed, negotiable, shape
from promptlab.doctor.chart import Body, Chart, Rejection, Reply
from promptlab.doctor.finding import Finding
from promptlab.doctor.judges import judged
from promptlab.endpoint import redact
from promptlab.endpoint.client import Answer, Client, Lost
from promptlab.endpoint.fault import AGAIN, Fault, Kind, of_answer, of_exception
from promptlab.endpoint.pool import Pool
from promptlab.endpoint.retry import Backoff
from promptlab.endpoint.usage import count
from promptlab.endpoint.validate import completion
from promptlab.errors import EndpointUnusable
from promptlab.records import Completion, Model
from promptlab.tokens import estimate

NO_KEY = "none"  # as a run sends where there is no key
TRIES = 3
LONGEST_WAIT = 30.0  # seconds that doctor waits where a server asks it to
LONGEST_CALL = 60.0
LOOK_SECONDS = 10.0
SHORT = Backoff(base=0.5, cap=4.0)
ENDS = ("quota", "patience", "redirect")  # whatever was asked, the next call fares no better
ENDS_FIRST = ("key", "model", "path", "unreachable", "foreign", *ENDS)
BECOMES: Mapping[Kind, Kind] = {"connect": "unreachable", "alien": "foreign"}


@dataclass(frozen=True, slots=True)
class Report:
    """What doctor found out about a model, and what that took."""

    model: Model
    findings: tuple[Finding, ...]
    calls: int
    tokens: int
    looks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Patient:
    """A model, the real address of its endpoint, and the key ("" = none). Neither address nor key enters a report."""

    model: Model
    base_url: str
    api_key: str
    params: Mapping[str, Any]  # what its experiment sends beside what is tested anyway
    context: int = 0  # tokens of the long prompt; 0 = what the budget leaves


async def examine(patient: Patient, backoff: Backoff = SHORT) -> Report:
    """Find out what the endpoint does. Raises EndpointUnusable for a wrong key, address or model."""
    started = time.monotonic()
    async with Pool(patient.model.endpoint, patient.base_url, patient.api_key or NO_KEY) as pool:
        examination = _Examination(patient, pool, backoff)
        try:
            chart = await examination.run()
        finally:
            await examination.close()
    hidden = redact.secrets(patient.base_url, patient.api_key)
    findings = tuple(Finding.from_json(_redacted(each.as_json(), hidden)) for each in judged(chart))
    seconds = time.monotonic() - started
    return Report(patient.model, findings, chart.calls, chart.tokens, len(chart.looked), seconds)


def _redacted(value: Any, hidden: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {key: _redacted(each, hidden) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(each, hidden) for each in value]
    return redact.redact(value, hidden) if isinstance(value, str) else value


class _Examination:
    """The wire of one examination, and its chart."""

    def __init__(self, patient: Patient, pool: Pool, backoff: Backoff) -> None:
        self._patient, self._pool, self._backoff = patient, pool, backoff
        url, key = patient.base_url, patient.api_key or NO_KEY
        self._client = Client(url, key, 8)
        root = url.rstrip("/").removesuffix("/v1")
        self._root = Client(root, key, 4) if root != url.rstrip("/") else None
        self._chart = Chart(
            patient.model.id,
            url=redact.shown(patient.model.endpoint.base_url),
            keyed=bool(patient.api_key),
            context=patient.context,
            params=patient.params,
        )

    async def close(self) -> None:
        """Close every connection."""
        for client in (self._client, self._root):
            if client is not None:
                await client.close()

    async def run(self) -> Chart:
        """Ask everything, in an order in which later asks can use what earlier ones told."""
        await self._look(self._client, "/models")
        first = await self._ask(asks.FIRST)
        if first.completion is None:
            await self._give_up(first.fault)
        for ask in asks.LIMITS:
            await self._ask(ask)
        started = time.monotonic()
        await asyncio.gather(*(self._ask(ask) for ask in asks.AT_ONCE))
        self._chart = replace(self._chart, together=time.monotonic() - started)
        for ask in (*asks.LATER, asks.own(self._chart)):
            await self._ask(ask)
        for route in asks.LOOKS[1:]:
            await self._look(self._client, route)
        for route in asks.ROOT_LOOKS if self._root else ():
            await self._look(self._root or self._client, route)
        return self._chart

    async def _look(self, client: Client, route: str) -> None:
        answer: Answer | None = None
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                answer = await client.get(route)
        except (Lost, TimeoutError):
            pass
        self._chart = replace(self._chart, looked={**self._chart.looked, route: answer})

    async def _ask(self, ask: Ask) -> Reply:
        """Ask, and ask again without what is rejected, until there is an answer or nothing is left to blame."""
        body = ask.body(self._chart)
        if body is None:
            return Reply({})
        reply = await self._exchange(ask.route, body)
        rejections: list[Rejection] = []
        while reply.fault is not None and negotiable(reply.fault):
            known = [each.name for each in rejections]
            suspects = [name for name in ask.tests if asks.holds(reply.body, name) and name not in known]
            found, reply = await self._blame(ask.route, reply, reply.fault, suspects)
            if not found:
                break
            rejections += found
        self._chart = replace(
            self._chart,
            rejections=(*self._chart.rejections, *rejections),
            replies={**self._chart.replies, ask.name: reply},
        )
        return reply

    async def _blame(
        self, route: str, reply: Reply, fault: Fault, suspects: Sequence[str]
    ) -> tuple[list[Rejection], Reply]:
        """What a fault is about, and the reply without it: what it names, else what it helps to leave out.

        First one after the other, then all at once. Nothing where nothing helps: then none of them was to blame.
        """
        named = blamed(fault, suspects)
        if named:
            trial = await self._exchange(route, asks.without(reply.body, named))
            return [Rejection(named, reply.body.get(named), fault.text)], trial
        for name in suspects:
            trial = await self._exchange(route, asks.without(reply.body, name))
            if trial.fault is None:
                return [Rejection(name, reply.body.get(name), fault.text)], trial
        body = functools.reduce(asks.without, suspects, reply.body)
        trial = await self._exchange(route, body) if len(suspects) > 1 else reply
        if trial.fault is not None:
            return [], reply
        return [Rejection(name, reply.body.get(name), fault.text, sure=False) for name in suspects], trial

    async def _exchange(self, route: str, body: Body) -> Reply:
        """One answer; a hiccup or a limit is waited out for a short while."""
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
        for attempt in range(1, TRIES + 1):
            reply = await self._attempt(route, body, content)
            if reply.fault is not None and reply.fault.kind in ENDS:
                await self._give_up(reply.fault)
            if reply.fault is None or reply.fault.kind not in AGAIN or reply.fault.wait > LONGEST_WAIT:
                break
            if attempt == 2 and negotiable(reply.fault):  # twice the same: it is the request
                break
            if attempt < TRIES:
                await asyncio.sleep(max(reply.fault.wait, self._backoff.delay(attempt)))
        return reply

    async def _attempt(self, route: str, body: Body, content: bytes) -> Reply:
        self._chart = replace(self._chart, calls=self._chart.calls + 1)
        timeout = min(LONGEST_CALL, self._patient.model.endpoint.timeout)
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout):
                answer = await self._client.post(route, content)
        except (Lost, TimeoutError) as error:
            return Reply(body, fault=of_exception(error, timeout), seconds=time.monotonic() - started)
        reply = replace(_read(answer, route, body), seconds=time.monotonic() - started)
        if not 200 <= answer.status < 300:
            self._chart = replace(self._chart, errors=(*self._chart.errors, (answer.status, shape(answer.body))))
        self._chart = replace(self._chart, tokens=self._chart.tokens + _tokens(reply))
        return reply

    async def _give_up(self, fault: Fault | None) -> None:
        """Raise EndpointUnusable with the remedy."""
        fault = fault or Fault("foreign", "the answer is no completion")
        kind = BECOMES.get(fault.kind, fault.kind)
        if kind in ENDS_FIRST:
            await self._pool.give_up(replace(fault, kind=kind), self._patient.model, "/chat/completions")
        hidden = redact.secrets(self._patient.base_url, self._patient.api_key)
        text = redact.redact(fault.text, hidden)
        raise EndpointUnusable(f"{self._pool.url}: not even a plain request is answered ({text}). Try again later.")


def _read(answer: Answer, route: str, body: Body) -> Reply:
    """The reply that an answer is."""
    headers = {name: value for name, value in answer.headers.items() if "ratelimit" in name.lower()}
    if not 200 <= answer.status < 300:
        return Reply(body, fault=of_answer(answer, body), headers=headers)
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        value = None
    data = value if isinstance(value, dict) else {}
    if route != "/chat/completions":
        fault = None if "data" in data else Fault("invalid", "HTTP 200 without data")
        return Reply(body, data, fault=fault, headers=headers)
    outcome = completion(answer.body, body)
    if isinstance(outcome, Completion):
        return Reply(body, data, outcome, headers=headers)
    return Reply(body, data, fault=outcome, headers=headers)


def _tokens(reply: Reply) -> int:
    """What a call cost, as reported, else estimated."""
    if reply.completion is not None:
        return reply.completion.usage.tokens_in + reply.completion.usage.tokens_out
    if reply.fault is None:
        known = count(reply.reported.get("prompt_tokens"))
        return sum(map(estimate, reply.body.get("input", ()))) if known is None else known
    return 0
