"""A scriptable server of /v1/files and /v1/batches on 127.0.0.1, in a thread of its own.

A batch is looked at ``polls`` times before it ends; what its output holds is up to ``output``:

    with BatchServer() as server:
        server.instead["create"].append(error(503))          # the next creation is answered by this
        server.final = ["expired", "completed"]               # how the first batches end; the last one stands
        server.output = lambda lines: Files(lines[::-1])      # the lines of the output and of the error file
        ... point a Batch at server.url ...
        assert server.sent[short(request.key)] == 1            # how often it was in a batch that was made
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from fault_server import FaultServer, Reply, Seen, completion, error, raw

from promptlab.drive import Driver, Halt
from promptlab.endpoint.batch.batch import Batch
from promptlab.endpoint.batch.settings import BatchSettings
from promptlab.endpoint.retry import Backoff
from promptlab.meter import Cost, Meter
from promptlab.records import Endpoint, Flow, Model, Request
from promptlab.store import Store

Line = dict[str, Any]
FREE = Cost(float("inf"), float("inf"), float("inf"))
FAST = BatchSettings(quiet=0.03, poll=0.005, slowest=0.02, width=200)
SOON = Backoff(base=0.002, cap=0.01)


@dataclass
class Files:
    """The lines of an output and an error file: objects, or bytes as they are."""

    output: list[Any] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)


def said(request: Line) -> Line:
    """The line of a request that is answered with its own words, backwards."""
    text = request["body"]["messages"][-1]["content"]
    return line(request["custom_id"], completion(text[::-1]))


def line(custom_id: str, body: Any, status: Any = 200) -> Line:
    return {"id": "r", "custom_id": custom_id, "response": {"status_code": status, "body": body}, "error": None}


def failure(custom_id: str, code: str, message: str = "boom") -> Line:
    return {"custom_id": custom_id, "response": None, "error": {"code": code, "message": message}}


class BatchServer(FaultServer):
    """Keeps files and batches; ``instead`` holds, by step, replies in place of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.polls = 2
        self.final = ["completed"]
        self.errors: list[list[Line]] = []  # of the batches in order: errors of a batch that fails
        self.answer: Callable[[Line], Line] = said
        self.output: Callable[[list[Line]], Files] = Files
        self.metadata = True  # kept, and shown
        self.gone: set[str] = set()  # what GET does not find any more
        self.lost = 0  # batches that are made, but whose creation is answered by a broken connection
        self.instead: dict[str, deque[Reply]] = defaultdict(deque)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Line] = {}
        self.uploads = self.downloads = 0
        self.sent: Counter[str] = Counter()
        self._left: dict[str, int] = {}

    @property
    def inputs(self) -> list[list[Line]]:
        """The requests of every batch, in order."""
        return [self._lines(each["input_file_id"]) for each in self.batches.values()]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        step = _step(request)
        self.seen.append(Seen(request.method, request.path_qs, dict(request.headers), b"", time.monotonic()))
        if self.instead[step]:
            await request.read()
            return await self._answer(request, self.instead[step].popleft())
        return await self._answer(request, await self._own(step, request))

    async def _own(self, step: str, request: web.Request) -> Reply:
        if step == "upload":
            return await self._upload(request)
        if step == "create":
            return self._create(json.loads(await request.read()))
        if step == "list":
            return self._list(request.query.get("after", ""), int(request.query.get("limit", "20")))
        if step == "models":
            return self.models
        if step == "chat":
            return self.default(await request.json())
        name = request.path.split("/")[3]
        if name in self.gone or name not in (self.files if step == "download" else self.batches):
            return error(404, f"No such object: {name}")
        if step == "download":
            self.downloads += 1
            return Reply(body=self.files[name], headers={"Content-Type": "application/octet-stream"})
        self._advance(name)
        return raw(json.dumps(self._shown(name)))

    async def _upload(self, request: web.Request) -> Reply:
        fields: dict[str, bytes] = {}
        async for part in await request.multipart():
            fields[str(part.name)] = bytes(await part.read())  # type: ignore[union-attr]
        assert fields["purpose"] == b"batch"
        self.uploads += 1
        return raw(json.dumps({"id": self._keep(fields["file"]), "object": "file", "purpose": "batch"}))

    def _create(self, body: Line) -> Reply:
        name = f"batch_{len(self.batches) + 1}"
        self.batches[name] = {"id": name, "object": "batch", "status": "validating", "created_at": 1, **body}
        self._left[name] = self.polls
        self.sent.update(each["custom_id"] for each in self._lines(body["input_file_id"]))
        if self.lost:
            self.lost -= 1
            return Reply(how="reset")
        return raw(json.dumps(self._shown(name)))

    def _list(self, after: str, limit: int) -> Reply:
        names = list(self.batches)[::-1]
        names = names[names.index(after) + 1 :] if after else names
        page = [self._shown(name) for name in names[: min(limit, 2)]]  # so that pages are turned
        return raw(json.dumps({"object": "list", "data": page, "has_more": len(names) > len(page)}))

    def _shown(self, name: str) -> Line:
        return self.batches[name] | ({} if self.metadata else {"metadata": None})

    def _advance(self, name: str) -> None:
        batch = self.batches[name]
        if "ended" in batch:
            return
        self._left[name] -= 1
        batch["status"] = "in_progress"
        if self._left[name] > 0:
            return
        place = list(self.batches).index(name)
        batch["status"] = self.final[min(place, len(self.final) - 1)]
        batch["ended"] = True
        if batch["status"] == "failed":
            batch["errors"] = {"object": "list", "data": self.errors[place]}
            return
        files = self.output([self.answer(each) for each in self._lines(batch["input_file_id"])])
        for key, lines in (("output_file_id", files.output), ("error_file_id", files.errors)):
            batch[key] = self._keep(b"\n".join(map(_bytes, lines)) + b"\n") if lines else None

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    def _lines(self, file: str) -> list[Line]:
        return [json.loads(each) for each in self.files[file].decode().splitlines()]


def _step(request: web.Request) -> str:
    parts = request.path.strip("/").split("/")[1:]
    if parts[0] in ("models", "chat"):
        return parts[0]
    if request.method == "POST":
        return "upload" if parts[0] == "files" else "create"
    return "list" if len(parts) == 1 else "download" if parts[0] == "files" else "poll"


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def endpoint(url: str, **settings: Any) -> Endpoint:
    return Endpoint(url, mode="batch", timeout=settings.pop("timeout", 5.0), **settings)


def ask(where: Endpoint, text: str, model: str = "m", **body: Any) -> Request:
    messages = [{"role": "user", "content": text}]
    return Request(Model(model, where, model), "/chat/completions", {"model": model, "messages": messages, **body})


def flow(request: Request) -> Flow[str]:
    completion = yield request
    return str(completion.text)


def drive(url: str, log: Path, count: int) -> list[str | None]:
    """A run of ``count`` flows over a Batch, with a real Driver and a real Store; the log stays."""
    where = endpoint(url)
    store = Store(log, None)

    async def go() -> list[str | None]:
        async with Batch(where, url, "", store, settings=FAST, backoff=SOON) as batch:
            driver = Driver(batch, store, Meter(FREE), Halt())
            flows = (flow(ask(where, f"text {number}")) for number in range(count))
            return await driver.run(flows, lambda _place, value, _calls: value)

    try:
        return asyncio.run(go())
    finally:
        store.close()
