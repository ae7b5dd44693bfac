"""The transport that sends each wave of requests as batches: slower, at half the price where that is offered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Self

from promptlab.endpoint import redact
from promptlab.endpoint.batch.answers import Answers
from promptlab.endpoint.batch.course import Course
from promptlab.endpoint.batch.jobs import Jobs, Trouble
from promptlab.endpoint.batch.notes import Chunk, Memory, Notes, Row, short
from promptlab.endpoint.batch.queue import Queue
from promptlab.endpoint.batch.settings import USUAL as USUAL_SETTINGS
from promptlab.endpoint.batch.settings import BatchSettings
from promptlab.endpoint.batch.words import refused, stopped, unmatched
from promptlab.endpoint.dialect import Dialect
from promptlab.endpoint.fault import Fault
from promptlab.endpoint.remedy import Place, of_left_out
from promptlab.endpoint.retry import Backoff
from promptlab.endpoint.row import row as call_of
from promptlab.errors import EndpointUnusable
from promptlab.records import Call, Completion, Endpoint, Request

USUAL = Backoff()


class Batch:
    """One endpoint as a Transport over /files and /batches. ``memory`` is what outlives a kill: nothing is sent twice.

    A call that is cancelled leaves its batch at the endpoint; the next run on the same memory takes the answer from
    there. EndpointUnusable is raised for what cannot go on, and from then on for every call.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        base_url: str,
        api_key: str,
        memory: Memory,
        *,
        dialects: Mapping[str, Dialect] | None = None,
        settings: BatchSettings = USUAL_SETTINGS,
        backoff: Backoff = USUAL,
    ) -> None:
        self.endpoint = endpoint
        self.width = settings.width
        self.url = redact.shown(base_url)
        self._hidden = redact.secrets(base_url, api_key)
        self._jobs = Jobs(endpoint, base_url, api_key, settings, backoff)
        self._notes = Notes(memory, endpoint.identity)
        self._course = Course(self._jobs, self._notes, dialects or {}, settings.output)
        self._queue = Queue(settings, self._send)
        self._answers = Answers(endpoint, self._queue, self._course, self._drop, self._call, backoff)
        self._rows: dict[str, Row] = {}
        self._chunks = {each: chunk for chunk in self._notes.open() for each in chunk.left}  # the newest holds it
        self._tasks: dict[Chunk, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        self._verdict: Exception | None = None
        self._messages: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def left_out(self) -> dict[str, tuple[str, ...]]:
        """By model id, the defaults of promptlab's own that the endpoint rejects."""
        return self._course.left_out

    async def call(self, request: Request) -> Call:
        """Wait for the answer of the batch that this request goes into, or was in when the last run ended."""
        if self._verdict is not None:
            raise _again(self._verdict)
        row = self._rows.get(short(request.key))
        if row is None:
            row = Row(request, asyncio.get_running_loop().create_future(), len(request.content))
            self._rows[row.id] = row
            self._place(row)
        row.waiting += 1
        try:
            call: Call = await asyncio.shield(row.answer)
        finally:
            row.waiting -= 1
            if not row.waiting:
                self._leave(row)
        if row.chunk is not None:  # taken: noted once the log has it, which is before the loop goes on
            self._drop(row.chunk, {row.id})
        return call

    def stop(self) -> None:
        """Send nothing more: what waits for a batch ends with EndpointUnusable; what is in one may be answered."""
        self._queue.close()
        for row in self._rows.values():
            if row.chunk is None and not row.answer.done():
                row.answer.set_exception(EndpointUnusable("the run is stopping"))

    async def close(self) -> None:
        """Leave the endpoint; no call may be under way. What is not answered goes on there, and `notes` says so."""
        self._queue.close()
        await asyncio.sleep(0)
        going = list(self._tasks.values())
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        chunks = set(self._chunks.values())
        for chunk in chunks:
            if chunk.found is not None:
                self._shrink(chunk)
        await self._jobs.close()
        left = [len(chunk.left) for chunk in chunks if chunk.followed and chunk.batch and chunk.found is None]
        if left:
            self._messages.append(stopped(self.url, len(left), sum(left)))

    def notes(self) -> tuple[str, ...]:
        """What people should know of how the endpoint was asked, and of what goes on there."""
        return *of_left_out(self.url, self.left_out), *self._messages

    def _place(self, row: Row) -> None:
        """Into the batch that holds it already, else among those that will be sent together."""
        chunk = row.chunk = self._chunks.get(row.id)
        if chunk is None:
            self._queue.add(row)
            return
        chunk.rows[row.id] = row
        self._follow(chunk)

    def _leave(self, row: Row) -> None:
        """Nobody waits for it any more."""
        self._rows.pop(row.id, None)
        self._queue.remove(row)
        if row.chunk is not None:
            row.chunk.rows.pop(row.id, None)

    def _drop(self, chunk: Chunk, ids: Collection[str]) -> None:
        """These are not to be looked for in the chunk any more."""
        chunk.left.difference_update(ids)
        for each in ids:
            if self._chunks.get(each) is chunk:
                del self._chunks[each]
        if not chunk.left:
            asyncio.get_running_loop().call_soon(self._shrink, chunk)

    def _shrink(self, chunk: Chunk) -> None:
        try:
            self._notes.shrink(chunk)
        except Exception as error:  # noqa: BLE001 - nobody waits for a callback of the loop; whoever calls will hear it
            self._stop(error)

    def _send(self, rows: list[Row]) -> None:
        """A chunk of these, noted before anything of it is sent."""
        if self._verdict is not None:
            return
        request = rows[0].request
        try:
            chunk = self._notes.new(request.route, request.model.id, [row.id for row in rows])
        except Exception as error:  # noqa: BLE001 - as in _shrink: a full disk, most likely
            self._stop(error)
            return
        for row in rows:
            row.chunk = self._chunks[row.id] = chunk
            chunk.rows[row.id] = row
        self._follow(chunk)

    def _follow(self, chunk: Chunk) -> None:
        chunk.followed = True
        if chunk not in self._tasks or self._tasks[chunk].done():
            self._tasks[chunk] = asyncio.get_running_loop().create_task(self._see_through(chunk))
            self._tasks[chunk].add_done_callback(lambda task: self._tasks.get(chunk) is task and self._tasks.pop(chunk))

    async def _see_through(self, chunk: Chunk) -> None:
        """From the requests to their answers. Whatever stops it stops every call."""
        try:
            if chunk.found is None:
                await self._bring(chunk)
            while chunk.rows and chunk.found is not None:
                await self._answers.settle(chunk)
        except Trouble as trouble:
            known = await self._jobs.listed() if trouble.fault.kind == "model" else ()
            place = Place(self.url, trouble.route, chunk.model, self.endpoint.api_key_env, known, trouble.sent)
            self._stop(EndpointUnusable(redact.redact(refused(trouble, place), self._hidden)), chunk)
        except Exception as error:  # noqa: BLE001 - it is raised again by every call that waits
            self._stop(error, chunk)

    async def _bring(self, chunk: Chunk) -> None:
        """Make sure that the chunk's batch exists, wait for its end, and read what it brought."""
        try:
            if self._answers.crowded and not chunk.batch:
                async with self._turn:
                    job = await self._course.run(chunk)
            else:
                job = await self._course.run(chunk)
        except Trouble as trouble:
            if not trouble.fault.text.startswith("HTTP 413"):
                raise
            await self._answers.retreat(chunk, alone=self._alone(chunk))
            return
        if job is None:
            self._answers.anew(chunk, Fault("transient", "the endpoint does not know the batch any more"))
        elif chunk.found is None:
            await self._answers.failed(chunk, job, alone=self._alone(chunk))
        elif job.status == "completed" and not chunk.found and chunk.whole and not self._answers.trusted:
            raise EndpointUnusable(unmatched(self.url, job))

    def _alone(self, chunk: Chunk) -> bool:
        """Whether no other batch is under way."""
        return not any(other.batch for other in self._tasks if other is not chunk)

    def _call(self, row: Row, said: Completion | Fault) -> Call:
        """What the row has come to. Another process may have made its first batch."""
        seconds = max(0.0, time.time() - row.since) if row.since else 0.0
        return call_of(row.request, said, seconds, max(1, row.sent), self._hidden)

    def _stop(self, error: Exception, at: Chunk | None = None) -> None:
        """Raise this, now and for every later call; the first reason stays."""
        self._verdict = self._verdict or error
        self._queue.close()
        for chunk, task in self._tasks.items():
            if chunk is not at:
                task.cancel()
        for row in list(self._rows.values()):
            if not row.answer.done():
                row.answer.set_exception(_again(self._verdict))


def _again(error: Exception) -> Exception:
    """The same to raise once more: one object raised by thousands would gather all their frames."""
    return EndpointUnusable(str(error)) if isinstance(error, EndpointUnusable) else error
