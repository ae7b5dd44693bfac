"""The trainer `openai`: a file goes up, a job is made from it, followed, and found again after a kill. Never two.

What is noted, in this order: the uploaded file; that a job is about to be made, under a name of its own; its id. A
second start that finds the second and not the third looks the job up among those that the endpoint lists.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import Any

from promptlab.endpoint.batch.job import LABEL, named
from promptlab.endpoint.complaint import line
from promptlab.endpoint.fault import AGAIN, Fault
from promptlab.endpoint.retry import Backoff
from promptlab.errors import EndpointUnusable, nearest
from promptlab.tune import course
from promptlab.tune.memory import Memory
from promptlab.tune.shown import job_of
from promptlab.tune.trainer import Files, Job, Place, Tuned
from promptlab.tune.wire import INSTEAD, JOBS, Refused, Wire

PAGES = 50
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
                found = await self._found(memory)
                name = found and str(found["id"])
            if not name:
                return "no job was made"
            shown = await self._wire.get(lambda: self._wire.jobs.cancel(name), JOBS)
        except Refused as refused:
            return f"{name or 'it may have been made'}: {refused.fault.text}"
        return f"{name}: {shown.get('status', 'cancelled')}" if shown else f"{name}: the endpoint does not know it"

    async def _started(self, files: Files, seed: int, memory: Memory) -> Job:
        name = memory.fact("job")
        if isinstance(name, str) and name:
            job = await self._known(name, memory)
            if job is not None:
                return job
            memory.forget()
        shown = await self._found(memory) if memory.fact("making") else None
        if shown is None:
            if not self.external and memory.fact("file"):
                memory.forget()  # what was uploaded ended with the process that served it
            file = await self._file(files.train, "file", memory)
            valid = await self._file(files.valid, "valid", memory) if files.checked else ""
            memory.note("making", memory.fact("making") or f"{files.recipe[:16]}-{secrets.token_hex(8)}")
            memory.note("at", time.time())
            memory.note("rows", files.rows)
            shown = await self._made(self._asked(file, valid, seed, str(memory.fact("making"))), memory)
        memory.note("job", str(shown["id"]))
        return job_of(shown, (), memory)

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
                return job_of(shown, (), memory) if shown else Job(name, "succeeded", (), Tuned(**kept))
            if not self.external:
                return None
            raise EndpointUnusable(_vanished(model, listed))
        if shown is None:
            if not self.external:
                return None
            raise EndpointUnusable(
                f"the endpoint does not know the job {name} any more. If it is gone, --fresh trains anew; "
                "if its model exists, name it with `tune.trainer: given`."
            )
        job = job_of(shown, (), memory)
        return None if job.status in ("failed", "cancelled") else job

    async def _file(self, path: Any, fact: str, memory: Memory) -> str:
        """The id of the uploaded file, uploaded once."""
        known = memory.fact(fact)
        if not known:
            known = await self._wire.upload(f"promptlab-{path.parent.name}-{path.name}", path.read_bytes())
            memory.note(fact, known)
        return str(known)

    def _asked(self, file: str, valid: str, seed: int, name: str) -> dict[str, Any]:
        settings = self._place.settings
        epochs = "auto" if settings.epochs is None else settings.epochs
        asked: dict[str, Any] = {
            "model": self._place.base.id,
            "training_file": file,
            "seed": seed,
            "method": {"type": settings.method, settings.method: {"hyperparameters": {"n_epochs": epochs}}},
            "metadata": {LABEL: name},
        }
        if valid:
            asked["validation_file"] = valid
        if settings.suffix:
            asked["suffix"] = settings.suffix
        return asked

    async def _made(self, asked: dict[str, Any], memory: Memory) -> dict[str, Any]:
        """The new job. An attempt of unknown end is looked up before the next; what is not known there is left out."""
        unsure = False

        async def attempt() -> dict[str, Any] | Fault:
            nonlocal unsure
            known = await self._found(memory) if unsure else None
            if known is not None:
                return known
            value = named(await self._wire.answer(self._wire.jobs.create(**asked)))
            unsure = isinstance(value, Fault)
            if isinstance(value, Fault) and value.kind not in AGAIN and _spared(asked, value):
                return await attempt()
            return value

        return await self._wire.patiently(JOBS, attempt)

    async def _found(self, memory: Memory) -> dict[str, Any] | None:
        """The job that was about to be made, among those that the endpoint lists; None if it was not."""
        name, file, after = memory.fact("making"), memory.fact("file"), ""
        for _ in range(PAGES):
            page = await self._wire.get(
                lambda: self._wire.jobs.list(limit=100, **({"after": after} if after else {})),  # noqa: B023 - asked at once
                JOBS,
            )
            items = page.get("data") if page else None
            jobs = [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []
            for each in jobs:
                label = (each.get("metadata") or {}).get(LABEL)
                if each.get("id") and (label == name or (not label and file and each.get("training_file") == file)):
                    return each
            last = str(jobs[-1].get("id")) if jobs else ""
            if not page or not page.get("has_more") or not last or last == after:
                return None
            after = last
        return None

    async def _looked(self, name: str, memory: Memory) -> Job:
        shown = await self._wire.get(lambda: self._wire.jobs.retrieve(name), JOBS)
        if shown is None:
            raise EndpointUnusable(f"the endpoint does not know the job {name} any more. --fresh trains anew.")
        job = job_of(shown, await self._events(name), memory)
        if job.tuned is not None and job.tuned.model_id:
            memory.note("listed", (await self._wire.knows(job.tuned.model_id))[0])
        return job

    async def _told(self, job: Job, memory: Memory) -> tuple[str, ...]:
        """Checkpoints and result file of a job that has succeeded, laid beside it once; its last losses in words."""
        if job.status != "succeeded" or memory.fact("course"):
            return ()
        shown = await self._wire.once(self._wire.jobs.retrieve(job.id))
        said = await course.keep(self._wire, shown, memory.path.parent) if shown else ()
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
                    told.append(line(each["message"], 160))
        return tuple(told)


def _spared(asked: dict[str, Any], fault: Fault) -> bool:
    """Leave out what the endpoint complains of and can do without; False if there is nothing such."""
    text = f"{fault.param} {fault.text}"
    for name in ("metadata", "method", "seed"):
        if name not in asked or name not in text or not fault.text.startswith(("HTTP 400", "HTTP 422")):
            continue
        value = asked.pop(name)
        if name == "method":
            if value["type"] != "supervised":
                asked[name] = value
                return False
            asked["hyperparameters"] = value["supervised"]["hyperparameters"]
        return name != "seed"  # another seed is another experiment
    return False


def _vanished(model: str, listed: tuple[str, ...]) -> str:
    near = nearest(model, listed)
    return f"the tuned model {model!r} is not there any more. {near} --fresh trains anew. {INSTEAD}"
