"""A scriptable OpenAI-compatible server on 127.0.0.1 that can misbehave in every way seen in the wild.

It runs in a thread of its own, so that sync and async tests and subprocesses can use it:

    with FaultServer() as server:
        server.script(error(429, headers={"Retry-After": "1"}), ok("billing"))   # in order of arrival
        server.default = lambda body: ok("small")                                # then, for every other request
        ... point a client at server.url ...
        assert len(server.seen) == 2
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """One answer, and ``how`` it comes.

    reset (before headers), cut (mid-body; torn: of no known length), hang, drip (a byte per 50 ms), yawn (white space
    for a quarter of a second, then the body), chunked.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    delay: float = 0.0
    how: str = ""


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes
    at: float  # time.monotonic()

    @property
    def body(self) -> Any:
        return json.loads(self.content)


def raw(body: bytes | str, status: int = 200, **headers: str) -> Reply:
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    return Reply(status, data, {"Content-Type": "application/json", **headers})


def completion(text: Any = "ok", **changes: Any) -> dict[str, Any]:
    """A chat completion; ``message``, ``choice`` and other keys replace or add to what it holds (None removes)."""
    message = {"role": "assistant", "content": text, **changes.pop("message", {})}
    choice = {"index": 0, "finish_reason": "stop", "message": message, **changes.pop("choice", {})}
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "served-model",
        "choices": [choice],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


def ok(text: Any = "ok", delay: float = 0.0, **changes: Any) -> Reply:
    return Reply(body=json.dumps(completion(text, **changes)).encode(), delay=delay)


def error(
    status: int, message: str = "boom", headers: dict[str, str] | None = None, how: str = "", **fields: Any
) -> Reply:
    body = json.dumps({"error": {"message": message, **fields}}).encode()
    return Reply(status, body, {**JSON, **(headers or {})}, how=how)


class FaultServer:
    """Answers by script, then by ``default``; remembers what it ``seen`` and the ``peak`` of requests in flight."""

    def __init__(self) -> None:
        self.default: Callable[[Any], Reply] = lambda _: ok()
        self.models: Reply = raw(json.dumps({"object": "list", "data": [{"id": "served-model"}]}))
        self.seen: list[Seen] = []
        self.in_flight = 0
        self.peak = 0
        self.url = ""
        self._script: deque[Reply] = deque()
        self._released: asyncio.Event | None = None

    def script(self, *replies: Reply) -> None:
        self._script.extend(replies)

    @property
    def posts(self) -> list[Seen]:
        return [each for each in self.seen if each.method == "POST"]

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(ready))
        finally:
            self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        self._stop = asyncio.Event()
        app = web.Application(client_max_size=50_000_000)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/v1"
        ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        self.seen.append(Seen(request.method, request.path_qs, dict(request.headers), content, time.monotonic()))
        if request.method == "GET":
            return await self._answer(request, self.models)
        with self._counted():
            reply = self._script.popleft() if self._script else self.default(_parsed(content))
            await asyncio.sleep(reply.delay)
            return await self._answer(request, reply)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        if reply.how == "hang":
            await self._stop.wait()
        if reply.how in ("reset", "hang"):
            _abort(request)
        if not reply.how or reply.how == "reset":
            return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        if reply.how not in ("chunked", "torn", "yawn"):
            response.content_length = len(reply.body)
        await response.prepare(request)
        await self._stream(request, response, reply)
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, reply: Reply) -> None:
        if reply.how in ("cut", "torn"):
            await response.write(reply.body[: len(reply.body) // 2])
            _abort(request)
            return
        for _ in range(5 if reply.how == "yawn" else 0):
            await response.write(b" \n")
            await asyncio.sleep(0.05)
        step = 1 if reply.how == "drip" else 65_536
        for start in range(0, len(reply.body), step):
            await response.write(reply.body[start : start + step])
            if reply.how == "drip":
                await asyncio.sleep(0.05)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
