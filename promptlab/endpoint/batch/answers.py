"""What a batch brought, and who gets it: an answer, an error, or a place in the next batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from promptlab.endpoint.batch.course import Course
from promptlab.endpoint.batch.job import Job
from promptlab.endpoint.batch.jobs import Trouble
from promptlab.endpoint.batch.judge import GARBAGE_TRIES, crowded, judged, rejected
from promptlab.endpoint.batch.notes import Chunk, Row
from promptlab.endpoint.batch.queue import Queue
from promptlab.endpoint.fault import AGAIN, FATAL, Fault
from promptlab.endpoint.retry import Backoff
from promptlab.records import Call, Completion, Endpoint


class Answers:
    """Trouble is raised for what ends the run. ``drop`` says of ids that their chunk has nothing more for them.

    `trusted`: there was a completion, ever. `crowded`: the endpoint takes one batch at a time.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        queue: Queue,
        course: Course,
        drop: Callable[[Chunk, Collection[str]], None],
        call: Callable[[Row, Completion | Fault], Call],
        backoff: Backoff,
    ) -> None:
        self.trusted = self.crowded = False
        self._endpoint = endpoint
        self._queue = queue
        self._course = course
        self._drop = drop
        self._call = call
        self._backoff = backoff

    async def failed(self, chunk: Chunk, job: Job, *, alone: bool) -> None:
        """The endpoint did not take the input file: it is too much at once, some lines are wrong, or all of it is."""
        if crowded(job):
            await self.retreat(chunk, alone=alone)
            return
        wrong = rejected(chunk, job)
        if isinstance(wrong, Fault):
            self._drop(chunk, set(chunk.left))  # it brings nothing any more: the next run sends them again
            raise Trouble(wrong, chunk.route if wrong.kind in FATAL else "the input file", 1)
        for name, fault in wrong.items():
            if row := chunk.rows.pop(name, None):
                self._land(row, fault)
        self.anew(chunk)

    async def retreat(self, chunk: Chunk, *, alone: bool) -> None:
        """Too much at once: one batch at a time from here, and smaller ones if this one was alone."""
        if alone:
            if len(chunk.rows) == 1:
                raise Trouble(Fault("failed", "not even a batch of one request is taken"), "/batches", 1)
            self._queue.most = max(1, len(chunk.rows) // 2) if chunk.rows else self._queue.most
        self.crowded = True
        await asyncio.sleep(self._backoff.delay(3))
        self.anew(chunk)

    def anew(self, chunk: Chunk, fault: Fault | None = None) -> None:
        """The chunk is history: whoever still asks is sent again; with a fault, that was a try."""
        self._drop(chunk, set(chunk.left))
        for row in list(chunk.rows.values()):
            if fault is not None and chunk.batch:
                row.sent += 1
                self._once_more(row, judged(row, fault, self._endpoint.max_retries, foreign=False))
            else:
                self._once_more(row)

    def _once_more(self, row: Row, fault: Fault | None = None) -> None:
        if row.chunk is not None:
            row.chunk.rows.pop(row.id, None)
        row.chunk = None
        if fault is None or fault.kind in AGAIN:
            if row.waiting:
                self._queue.add(row)
        else:
            self._land(row, fault)

    async def settle(self, chunk: Chunk) -> None:
        """Answer everybody who asks for one of the chunk's requests; completions first."""
        assert chunk.found is not None
        said = [(row, *self._course.judged(chunk, row)) for row in chunk.rows.values()]
        faults = [(row, each, sent) for row, each, sent in said if isinstance(each, Fault)]
        for place, (row, each, _) in enumerate(said):
            chunk.rows.pop(row.id, None)
            row.sent += 1
            row.since = row.since or chunk.at
            if isinstance(each, Completion):
                self.trusted = True
                self._land(row, each)
                if place % 256 == 255:
                    await asyncio.sleep(0)  # what landed is logged, and signals are heard
        self._drop(chunk, [row.id for row, _, _ in faults])
        aliens = sum(fault.kind == "alien" for _, fault, _ in faults)
        foreign = not self.trusted and aliens >= GARBAGE_TRIES
        for row, fault, sent in faults:
            now = self._judge(row, chunk, fault, foreign=foreign)
            if now is not None and now.kind in FATAL:
                raise Trouble(now, chunk.route, 1, sent)
            self._once_more(row, now)

    def _judge(self, row: Row, chunk: Chunk, fault: Fault, *, foreign: bool) -> Fault | None:
        """What the fault has become: the end of the row or of the run, or one more batch; None: it does not count."""
        if fault.kind == "parameter" and self._course.spare(row, fault.param):
            return None
        if chunk.cut and row.id not in (chunk.found or {}):
            fault = Fault("failed", f"the batch's output is larger than {self._course.output} bytes")
        return judged(row, fault, self._endpoint.max_retries, foreign=foreign)

    def _land(self, row: Row, said: Completion | Fault) -> None:
        row.land(self._call(row, said))
