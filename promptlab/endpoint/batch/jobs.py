"""The batches of an endpoint: upload, create, look up, wait for, read. Patient with hiccups, plain about the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from promptlab.endpoint.batch.job import LABEL, Job, job_of, named, parsed
from promptlab.endpoint.batch.lines import garbled
from promptlab.endpoint.batch.notes import Chunk
from promptlab.endpoint.batch.settings import BatchSettings
from promptlab.endpoint.client import Answer
from promptlab.endpoint.fault import AGAIN, Fault, of_answer
from promptlab.endpoint.listing import models
from promptlab.endpoint.patience import Patience
from promptlab.endpoint.retry import Backoff
from promptlab.endpoint.sdk import answered, client, downloaded
from promptlab.records import Endpoint

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

FILES, BATCHES = "/files", "/batches"
ENDED = ("completed", "failed", "expired", "cancelled")
GONE = (404, 410)
LATE = 3  # looks at a batch just made that may not find it yet
PAGES = 100
PER_SECOND = 100_000  # bytes; an upload or download slower than this counts as broken


class Trouble(Exception):  # noqa: N818 - reads as what it is
    """A step that cannot be done: the fault, the route, the tries that it took, and the body if it was about one."""

    def __init__(self, fault: Fault, route: str, tries: int, sent: Mapping[str, Any] | None = None) -> None:
        super().__init__(fault.text)
        self.fault, self.route, self.tries, self.sent = fault, route, tries, sent or {}


class Jobs:
    """Each step is tried ``max_retries`` times more; Trouble is raised for what does not help."""

    def __init__(
        self, endpoint: Endpoint, base_url: str, api_key: str, settings: BatchSettings, backoff: Backoff
    ) -> None:
        self._endpoint = endpoint
        self._address = base_url, api_key
        self._settings = settings
        self._patience = Patience(self._endpoint, backoff)
        self._opened: openai.AsyncOpenAI | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def upload(self, name: str, content: bytes) -> str:
        """The id of the input file."""
        seconds = self._endpoint.timeout + len(content) / PER_SECOND

        async def attempt() -> dict[str, Any] | Fault:
            file = (f"promptlab-{name}.jsonl", content, "application/jsonl")
            return named(await answered(self._files.create(file=file, purpose="batch"), seconds))

        return str((await self._patiently(FILES, attempt))["id"])

    async def create(self, chunk: Chunk) -> Job:
        """The batch, made from the chunk's file. One attempt of unknown end is looked up before the next."""
        unsure = False

        async def attempt() -> Job | Fault:
            nonlocal unsure
            known = await self._look(chunk) if unsure else None
            if known is not None:
                return known
            asking = self._batches.create(
                completion_window="24h",
                endpoint=f"/v1{chunk.route}",
                input_file_id=chunk.file,
                metadata={LABEL: chunk.name},
            )
            value = named(await answered(asking, self._endpoint.timeout))
            unsure = isinstance(value, Fault)
            return value if isinstance(value, Fault) else job_of(value)

        return await self._patiently(BATCHES, attempt)

    async def find(self, chunk: Chunk) -> Job | None:
        """The batch of a chunk that was being sent when the process ended; None if it was never made."""

        async def attempt() -> Job | Fault:
            known = await self._look(chunk)
            return Job("", "") if known is None else known

        job = await self._patiently(BATCHES, attempt)
        return job if job.id else None

    async def ended(self, chunk: Chunk) -> Job | None:
        """The chunk's batch once it has ended, however long that takes; None if the endpoint does not know it."""
        wait, missing = self._settings.poll, 0

        async def attempt() -> Job | Fault:
            answer = await answered(self._batches.retrieve(chunk.batch), self._endpoint.timeout)
            if isinstance(answer, Answer) and answer.status in GONE:
                return Job("", "gone")
            value = named(answer)
            if isinstance(value, Fault) or value.get("status"):
                return value if isinstance(value, Fault) else job_of(value)
            return Fault("alien", "HTTP 200 with a batch that has no status")

        while True:
            job = await self._patiently(BATCHES, attempt)
            missing += not job.id
            if (job.id and not job.holds(chunk)) or missing >= (1 if chunk.resumed else LATE):
                return None
            if job.status in ENDED:
                return job
            await asyncio.sleep(wait)
            wait = min(self._settings.slowest, 1.5 * wait)

    async def read(self, file: str) -> bytes | None:
        """A file's content, at most ``settings.output`` bytes of it; None if it is gone."""
        most = self._settings.output
        seconds = self._endpoint.timeout + most / PER_SECOND

        async def attempt() -> Answer | Fault:
            answer = await downloaded(self._sdk.files.with_streaming_response.content(file), seconds, most)
            if isinstance(answer, Answer) and not 200 <= answer.status < 300 and answer.status not in GONE:
                return of_answer(answer, ())
            if isinstance(answer, Answer) and answer.status not in GONE and garbled(answer.body):
                return Fault("alien", f"HTTP {answer.status} with a file that holds no line of JSON")  # asking is free
            return answer

        answer = await self._patiently(FILES, attempt)
        return None if answer.status in GONE else answer.body

    async def listed(self) -> tuple[str, ...]:
        """The model ids that GET /models names; empty if it does not answer or holds something else."""
        answer = await answered(self._sdk.models.with_raw_response.list(), min(10.0, self._endpoint.timeout))
        return models(answer.body) if isinstance(answer, Answer) and answer.status == 200 else ()

    @property
    def _sdk(self) -> openai.AsyncOpenAI:
        """Made at the first request: a run that is all known opens nothing."""
        if self._opened is None:
            self._opened = client(*self._address)
        return self._opened

    @property
    def _files(self) -> Any:
        return self._sdk.files.with_raw_response

    @property
    def _batches(self) -> Any:
        return self._sdk.batches.with_raw_response

    async def _look(self, chunk: Chunk) -> Job | Fault | None:
        """The chunk's batch among those that the endpoint lists, newest first; None also where it lists none."""
        after = ""
        for _ in range(PAGES):
            asking = self._batches.list(limit=100, **({"after": after} if after else {}))
            page = parsed(await answered(asking, self._endpoint.timeout))
            if isinstance(page, Fault):
                return page if page.kind in (*AGAIN, "key") else None
            items = page.get("data")
            jobs = [job_of(each) for each in items if isinstance(each, dict)] if isinstance(items, list) else []
            for job in jobs:
                if job.name == chunk.name or (chunk.file and not job.name and job.input == chunk.file):
                    return job
            if not page.get("has_more") or not jobs or jobs[-1].id == after:
                return None
            after = jobs[-1].id
        return None

    async def _patiently(self, route: str, attempt: Callable[[], Awaitable[T | Fault]]) -> T:
        outcome, tries = await self._patience.through(attempt)
        if isinstance(outcome, Fault):
            raise Trouble(outcome, route, tries)
        return outcome
