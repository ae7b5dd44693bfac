"""What the tests of retrieval share: passages, models, and flows that are run over a real server or by hand."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from fault_server import FaultServer, Reply, error, raw

from promptlab.drive import Driver, Halt
from promptlab.endpoint.pool import Pool as Wire
from promptlab.endpoint.retry import Backoff
from promptlab.meter import Cost, Meter
from promptlab.records import Call, Completion, Endpoint, Flow, Model, Passage, Request

T = TypeVar("T")
MODEL = Model("m", Endpoint("http://somewhere/v1"), "m")
EMBED = Model("e", Endpoint("http://somewhere/v1", concurrency=4, max_retries=1), "e")


def passages(*texts: str) -> tuple[Passage, ...]:
    return tuple(Passage(f"p{at}", text, source=f"d{at}", end=len(text)) for at, text in enumerate(texts))


class Memory:
    """A log in memory."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}

    def known(self, key: str) -> Call | None:
        call = self.calls.get(key)
        return call if call and call.completion else None

    found = known

    def record(self, *calls: Call) -> None:
        self.calls |= {call.key: call for call in calls}


def run(
    url: str, flows: Iterable[Flow[T]], log: Memory | None = None, endpoint: Endpoint = EMBED.endpoint
) -> list[tuple[T, tuple[Call, ...]]]:
    """What flows give over a real server, each with its calls."""

    async def main() -> list[Any]:
        async with Wire(endpoint, url, "sk-any", backoff=Backoff(base=0.001, cap=0.01)) as wire:
            driver = Driver(wire, log or Memory(), Meter(Cost(math.inf, math.inf, math.inf)), Halt())
            return await driver.run(flows, lambda place, value, calls: (value, calls))

    return asyncio.run(main())


def value(url: str, flow: Flow[T], log: Memory | None = None) -> T:
    return run(url, [flow], log)[0][0]


def by_hand(flow: Flow[T], answer: Callable[[Request], Completion | Exception]) -> tuple[T, list[Request]]:
    """A flow's value, its requests answered by a function, and the requests."""
    asked: list[Request] = []
    send: Any = None
    failure: Exception | None = None
    while True:
        try:
            step = flow.throw(failure) if failure else flow.send(send)
        except StopIteration as stop:
            return stop.value, asked
        failure = None
        if isinstance(step, tuple):
            asked += step
            send = tuple(answer(each) for each in step)
            continue
        assert isinstance(step, Request)
        asked.append(step)
        reply = answer(step)
        send, failure = (None, reply) if isinstance(reply, Exception) else (reply, None)


def vector(text: str) -> list[float]:
    """Letters counted: texts of the same letters are near each other."""
    return [float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"] + [0.1]


def embeddings(texts: Sequence[str], rows: Sequence[Any] | None = None) -> Reply:
    found = [vector(each) for each in texts] if rows is None else rows
    data = [{"object": "embedding", "index": at, "embedding": each} for at, each in enumerate(found)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return raw(json.dumps({"object": "list", "data": data, "model": "e", "usage": usage}))


class Embedder(FaultServer):
    """A server of embeddings: ``most`` texts at once, none longer than ``longest`` characters."""

    def __init__(self, most: int = 2048, longest: int = 10**9) -> None:
        super().__init__()
        self.most, self.longest = most, longest
        self.default = self.answer

    def answer(self, body: Any) -> Reply:
        texts = body["input"]
        if len(texts) > self.most:
            return error(413, f"batch size {len(texts)} > maximum allowed batch size {self.most}")
        if any(len(each) > self.longest for each in texts):
            message = "This model's maximum context length is 8192 tokens, however you requested 9000 tokens."
            return error(400, message, code="context_length_exceeded")
        return embeddings(texts)

    @property
    def texts(self) -> list[str]:
        return [text for seen in self.posts for text in seen.body["input"]]
