"""The course of one batch: made or found again, waited for, read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promptlab.endpoint.batch.job import Job
from promptlab.endpoint.batch.jobs import Jobs
from promptlab.endpoint.batch.lines import found, outcome, written
from promptlab.endpoint.batch.notes import Chunk, Notes, Row
from promptlab.endpoint.dialect import Dialect
from promptlab.endpoint.fault import Fault
from promptlab.records import Completion, Request


class Course:
    """`left_out` are, by model id, defaults of promptlab's own that the endpoint rejects."""

    def __init__(self, jobs: Jobs, notes: Notes, dialects: Mapping[str, Dialect], output: int) -> None:
        self.left_out: dict[str, tuple[str, ...]] = {}
        self._jobs = jobs
        self._notes = notes
        self._dialects = dialects
        self.output = output

    async def run(self, chunk: Chunk) -> Job | None:
        """The chunk's batch at its end, what it brought in ``chunk.found``; None if the endpoint does not know it."""
        if not chunk.batch:
            job = await self._jobs.find(chunk) if chunk.resumed else await self._made(chunk)
            if job is None:
                return None
            chunk.batch = job.id
            self._notes.keep(chunk)
        job = await self._jobs.ended(chunk)
        if job is None or (job.status == "failed" and (job.errors or not job.outputs)):
            return job
        chunk.status = job.status
        files = [await self._jobs.read(name) for name in job.outputs]
        bodies = [body for body in files if body is not None]  # a file that is gone is as good as empty
        chunk.whole = len(bodies) == len(files) and all(len(body) < self.output for body in bodies)
        chunk.cut = any(len(body) >= self.output for body in bodies)
        chunk.found = found(bodies, chunk.left)
        return job

    async def _made(self, chunk: Chunk) -> Job | None:
        rows = list(chunk.rows.values())
        chunk.order = tuple(row.id for row in rows)
        for row in rows:
            known = self.left_out.get(row.request.model.id, ())
            row.without = tuple(name for name in known if name in row.request.defaults)
        if not rows:  # whoever asked has gone
            return None
        content = b"".join(written(row.id, chunk.route, self._worded(row)[1]) for row in rows)
        chunk.file = await self._jobs.upload(chunk.name, content)
        self._notes.keep(chunk)
        return await self._jobs.create(chunk)

    def judged(self, chunk: Chunk, row: Row) -> tuple[Completion | Fault, Mapping[str, Any]]:
        """What the chunk's batch says to a row, and the body that it was sent with."""
        asked, content = self._worded(row)
        sent = asked.body if content is asked.content else json.loads(content)
        return outcome((chunk.found or {}).get(row.id, ()), asked, sent, chunk.status), sent

    def spare(self, row: Row, param: str) -> bool:
        """Whether the endpoint rejects a parameter that nobody wrote, and that was sent: from now on it is not."""
        if param not in row.request.defaults or param in row.without:
            return False
        known = self.left_out.get(row.request.model.id, ())
        self.left_out[row.request.model.id] = known if param in known else (*known, param)
        return True

    def _worded(self, row: Row) -> tuple[Request, bytes]:
        """The request as this endpoint takes it, and the bytes to send; what goes into the log stays the row's."""
        request = row.request
        if row.without:
            body = {key: value for key, value in request.body.items() if key not in row.without}
            request = replace(request, body=body)
        dialect = self._dialects.get(request.model.id)
        return request, dialect.content(request) if dialect else request.content
