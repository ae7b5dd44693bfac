"""The batches of one server: each is worked on line by line beside the requests that come in."""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

from promptlab.embedded.batch import WINDOW, Batch, Counts, Tokens, read_batch
from promptlab.embedded.checks import ApiError
from promptlab.embedded.files import Files
from promptlab.embedded.lines import Flaw, Line, Reader
from promptlab.embedded.pages import page
from promptlab.embedded.respond import RESPONDERS

_COST = 16 * 2**10  # bytes that a batch itself may take
_MOST_FLAWS = 100
_MOST_LISTED = 100
_READ_AT_ONCE = 200  # lines, between two looks at what else is to do


def shuffled(lines: Sequence[Line]) -> list[Line]:
    """The lines in an order that is never the one they were sent in: OpenAI promises none. Equal files, equal order."""
    order = list(lines)
    random.Random(crc32("\n".join(line.custom_id for line in lines).encode("utf-8", "surrogatepass"))).shuffle(order)
    return order if order != list(lines) else [*order[1:], *order[:1]]


def _written(custom_id: str, response: dict[str, Any] | None, error: dict[str, Any] | None) -> bytes:
    line = {"id": f"batch_req_{uuid.uuid4().hex[:24]}", "custom_id": custom_id, "response": response, "error": error}
    return json.dumps(line).encode() + b"\n"


def _response(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": status, "request_id": uuid.uuid4().hex, "body": body}


class Batches:
    """Takes batches and works on them, one line at a time, in tasks of the running loop.

    A state changes when work is done: nothing waits for a clock, only a batch that outlives its 24 hours expires.
    """

    def __init__(self, files: Files, now: Callable[[], float] = time.time) -> None:
        self._files = files
        self._now = now
        self._kept: dict[str, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Takes a new batch and starts on it."""
        batch = read_batch(body, f"batch_{uuid.uuid4().hex[:24]}", self._now())
        file = self._files.get(batch.input_file, "input_file_id")
        if file.purpose != "batch":
            message = f"The file's purpose is {file.purpose!r}: upload it with purpose 'batch'."
            raise ApiError(message, "input_file_id", "invalid_file_purpose")
        self._files.take(_COST)
        self._kept[batch.id] = batch
        task = asyncio.get_running_loop().create_task(self._run(batch.id, file.content))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return batch.body()

    def _get(self, name: str) -> Batch:
        if name not in self._kept:
            raise ApiError(f"No batch found with id '{name[:80]}'.", "batch_id", "batch_not_found", 404)
        return self._kept[name]

    def show(self, name: str) -> dict[str, Any]:
        """The batch of that id; ApiError 404 if there is none."""
        return self._get(name).body()

    def list(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of the batches, newest first."""
        found: Iterable[Batch] = reversed(self._kept.values())
        return page([one.body() for one in found], {"limit": "20", **asked}, _MOST_LISTED)

    def cancel(self, name: str) -> dict[str, Any]:
        """Stops a batch before its next line; what is answered by then stays. ApiError if it has ended."""
        batch = self._get(name)
        if batch.ended or batch.status == "finalizing":
            message = f"Cannot cancel a batch with status '{batch.status}'."
            raise ApiError(message, None, "invalid_status", 409)
        if batch.status != "cancelling":
            batch = self._move(name, "cancelling")
        return batch.body()

    async def close(self) -> None:
        """Drops all work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _move(self, name: str, status: str, **changes: Any) -> Batch:
        self._kept[name] = replace(self._kept[name].at(status, self._now()), **changes)
        return self._kept[name]

    async def _run(self, name: str, content: bytes) -> None:
        reader = Reader(self._kept[name].endpoint)
        for place, _ in enumerate(reader.read(content)):
            if place % _READ_AT_ONCE == 0:
                await asyncio.sleep(0)
        if self._kept[name].status == "cancelling":
            self._move(name, "cancelled")
            return
        if reader.flaws:
            self._move(name, "failed", flaws=tuple(reader.flaws[:_MOST_FLAWS]))
            return
        self._move(name, "in_progress", counts=Counts(total=len(reader.lines)), model=reader.model)
        work = _Work(self._files)
        try:
            end = await self._answer(name, reader.lines, work)
            self._finish(name, end, work)
        except ApiError as full:
            work.drop()
            self._move(name, "failed", flaws=(Flaw(full.code or "", full.message),))

    async def _answer(self, name: str, lines: Sequence[Line], work: _Work) -> str:
        """Answers the lines until all are done, the batch is cancelled or its time is over; gives its last state."""
        endpoint = self._kept[name].endpoint
        order = shuffled(lines)
        for place, line in enumerate(order):
            await asyncio.sleep(0)
            if self._kept[name].status == "cancelling":
                return "cancelled"
            if self._now() >= self._kept[name].created + WINDOW:
                work.expire(order[place:])
                return "expired"
            work.answer(endpoint, line)
            self._kept[name] = replace(self._kept[name], counts=work.counts(len(lines)), tokens=work.tokens)
        await asyncio.sleep(0)
        return "cancelled" if self._kept[name].status == "cancelling" else "completed"

    def _finish(self, name: str, end: str, work: _Work) -> None:
        batch = self._kept[name] if end == "cancelled" else self._move(name, "finalizing")
        counts = work.counts(batch.counts.total)
        output, errors = (
            self._files.add(b"".join(found), f"{name}_{kind}.jsonl", "batch_output", self._now()).id if found else None
            for kind, found in (("output", work.output), ("error", work.errors))
        )
        self._move(name, end, counts=counts, output_file=output, error_file=errors)


class _Work:
    """What a batch has written so far; its room is taken line by line."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.output: list[bytes] = []
        self.errors: list[bytes] = []
        self.tokens = Tokens()

    def _keep(self, place: list[bytes], line: bytes) -> None:
        self._files.take(len(line))
        place.append(line)

    def answer(self, endpoint: str, line: Line) -> None:
        """Answers one line, as the route itself would."""
        try:
            body = RESPONDERS[endpoint](line.body, line.raw)
        except ApiError as error:
            self._keep(self.errors, _written(line.custom_id, _response(error.status, error.body()), None))
            return
        used = body["usage"]
        self.tokens = Tokens(
            self.tokens.prompt + used["prompt_tokens"], self.tokens.made + used.get("completion_tokens", 0)
        )
        self._keep(self.output, _written(line.custom_id, _response(200, body), None))

    def expire(self, lines: Sequence[Line]) -> None:
        """Says of lines that they were not reached."""
        why = {
            "code": "batch_expired",
            "message": "This request could not be executed before the completion window expired.",
        }
        for line in lines:
            self._keep(self.errors, _written(line.custom_id, None, why))

    def counts(self, total: int) -> Counts:
        """How many lines are answered and refused."""
        return Counts(total, len(self.output), len(self.errors))

    def drop(self) -> None:
        """Forgets everything; its room is free again."""
        self._files.give(sum(map(len, self.output)) + sum(map(len, self.errors)))
        self.output, self.errors = [], []
