"""The trainer `openai`: a file goes up, a job is made from it, followed, and found again after a kill. Never two.

What is noted, in this order: the uploaded file; that a job is about to be made, under a name of its own; its id. A
second start that finds the second and not the third looks the job up among those that the endpoint lists.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promptlab.endpoint.complaint import line
from promptlab.endpoint.redact import shown as visible
from promptlab.endpoint.retry import Backoff
from promptlab.errors import EndpointUnusable, nearest
from promptlab.tune import course
from promptlab.tune.making import Making
from promptlab.tune.memory import Memory
from promptlab.tune.shown import job_of
from promptlab.tune.trainer import Files, Job, Place, Tuned
from promptlab.tune.wire import INSTEAD, JOBS, Refused, Wire

USUAL = Backoff()
SLOWEST = 60.0


class Jobs:
    """One job after the other is made; ``poll`` waits longer from look to look."""

    width = 4

    def __init__(self, place: Place, backoff: Backoff = USUAL, first: float = 5.0) -> None:
        self.external = not place.base.endpoint.embedded
        self._place = place
        self._wire = Wire(place, backoff)
        self._first = first if self.external else 0.02
        self._making = Making(place, self._wire, self._first)
        self._slowest = SLOWEST if self.external else 0.5
        self._waits: dict[str, float] = {}
        self._seen: dict[str, set[str]] = {}

    async def close(self) -> None:
        """See Trainer."""
        await self._wire.close()

    async def start(self, files: Files, seed: int, memory: Memory) -> Job:
        """See Trainer."""
        try:
            job = await self._started(files, seed, memory)
            return replace(job, said=(*files.said, *job.said, *await self._told(job, memory)))
        except Refused as refused:
            raise await self._wire.said(refused) from None

    async def poll(self, job: Job, memory: Memory) -> Job:
        """See Trainer."""
        wait = self._waits.get(job.id, self._first)
        await asyncio.sleep(wait)
        self._waits[job.id] = min(self._slowest, 1.5 * wait)
        try:
            now = await self._looked(job.id, memory)
            return replace(now, said=(*now.said, *await self._told(now, memory)))
        except Refused as refused:
            raise await self._wire.said(refused) from None

    async def cancel(self, memory: Memory) -> str:
        """See Trainer."""
        name = memory.fact("job")
        try:
            if not name and memory.fact("making"):  # stopped before the endpoint said whether it made one
                found = await self._making.found(memory)
                name = found and str(found["id"])
            if not name:
                return "no job was made"
            shown = await self._wire.get(lambda: self._wire.jobs.cancel(name), JOBS)
        except Refused as refused:
            return f"{name or 'it may have been made'}: {refused.fault.text}"
        except EndpointUnusable as untold:
            return str(untold)
        if shown is None:
            return f"{name}: the endpoint does not know it"
        return f"{name}: {self._wire.hidden.told(line(str(shown.get('status', 'cancelled')), 80))}"

    async def _started(self, files: Files, seed: int, memory: Memory) -> Job:
        name = memory.fact("job")
        if isinstance(name, str) and name:
            job = await self._known(name, memory)
            if job is not None:
                return job
            memory.forget()
        shown = await self._making.found(memory) if memory.fact("making") else None
        if shown is None:
            if not self.external and memory.fact("file"):
                memory.forget()  # what was uploaded ended with the process that served it
            file = await self._file(files.train, "file", memory)
            valid = await self._file(files.valid, "valid", memory) if files.checked else ""
            shown = await self._making.made(files, seed, (file, valid), memory)
        memory.note("job", str(shown["id"]))
        return self._job(shown, (), memory)

    def _job(self, shown: Mapping[str, Any], said: tuple[str, ...], memory: Memory) -> Job:
        """The job that was noted. Raises EndpointUnusable if the endpoint tells of another one."""
        name, told = str(memory.fact("job")), shown.get("id")
        if told not in (None, name):
            other = self._wire.hidden.told(line(str(told), 80))
            raise EndpointUnusable(
                f"{visible(self._place.url)}: asked for the job {name}, the endpoint tells of {other}. Nothing of that "
                "is taken; the same command asks again, and --fresh trains anew."
            )
        return job_of({**shown, "id": name}, said, memory, self._place.base.id, self._wire.hidden)

    async def _known(self, name: str, memory: Memory) -> Job | None:
        """The job that was noted; None where it is to be made anew: it failed, or the embedded engine has forgotten it.

        Raises EndpointUnusable where the endpoint has forgotten it, or the model that it once listed.
        """
        shown = await self._wire.get(lambda: self._wire.jobs.retrieve(name), JOBS)
        kept = memory.fact("tuned")
        model = str(shown.get("fine_tuned_model") or "") if shown else str(kept["model_id"]) if kept else ""
        if model:
            there, listed = await self._wire.knows(model)
            if there or (self.external and not memory.fact("listed")):  # some never list what they have tuned
                memory.note("listed", there)
                return self._job(shown, (), memory) if shown else Job(name, "succeeded", (), Tuned(**kept))
            if not self.external:
                return None
            raise EndpointUnusable(self._wire.hidden.told(_vanished(model, listed)))
        if shown is None:
            if not self.external:
                return None
            raise EndpointUnusable(
                f"the endpoint does not know the job {name} any more. If it is gone, --fresh trains anew; "
                "if its model exists, name it with `tune.trainer: given`."
            )
        job = self._job(shown, (), memory)
        return None if job.status in ("failed", "cancelled") else job

    async def _file(self, path: Any, fact: str, memory: Memory) -> str:
        """The id of the uploaded file, uploaded once."""
        known = memory.fact(fact)
        if not known:
            known = await self._wire.upload(f"promptlab-{path.parent.name}-{path.name}", path.read_bytes())
            memory.note(fact, known)
        return str(known)

    async def _looked(self, name: str, memory: Memory) -> Job:
        shown = await self._wire.get(lambda: self._wire.jobs.retrieve(name), JOBS)
        if shown is None:
            raise EndpointUnusable(f"the endpoint does not know the job {name} any more. --fresh trains anew.")
        job = self._job(shown, await self._events(name), memory)
        if job.tuned is not None and job.tuned.model_id:
            memory.note("listed", (await self._wire.knows(job.tuned.model_id))[0])
        return job

    async def _told(self, job: Job, memory: Memory) -> tuple[str, ...]:
        """Checkpoints and result file of a job that has succeeded, laid beside it once; its last losses in words."""
        if job.status != "succeeded" or memory.fact("course"):
            return ()
        shown = await self._wire.once(self._wire.jobs.retrieve(job.id))
        said = await course.keep(self._wire, {**shown, "id": job.id}, memory.path.parent) if shown else ()
        memory.note("course", True)
        return said

    async def _events(self, name: str) -> tuple[str, ...]:
        """What was said since the last look; an endpoint without events says nothing."""
        try:
            page = await self._wire.get(lambda: self._wire.jobs.list_events(name, limit=50), JOBS)
        except Refused:
            return ()
        items = page.get("data") if page else None
        seen = self._seen.setdefault(name, set())
        told = []
        for each in reversed(items if isinstance(items, list) else []):
            if isinstance(each, dict) and isinstance(each.get("message"), str):
                mark = str(each.get("id") or each["message"])
                if mark not in seen:
                    seen.add(mark)
                    told.append(self._wire.hidden.told(line(each["message"], 160)))
        return tuple(told)


def _vanished(model: str, listed: tuple[str, ...]) -> str:
    near = nearest(model, listed)
    return f"the tuned model {model!r} is not there any more. {near} --fresh trains anew. {INSTEAD}"
