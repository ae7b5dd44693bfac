"""How a paid job is made once: under a name of its own, and looked up wherever nobody heard what became of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any

from promptlab.endpoint.batch.job import LABEL, named
from promptlab.endpoint.client import Answer
from promptlab.endpoint.fault import AGAIN, Fault
from promptlab.endpoint.redact import shown
from promptlab.errors import EndpointUnusable
from promptlab.tune.course import known
from promptlab.tune.memory import Memory
from promptlab.tune.trainer import Files, Place
from promptlab.tune.wire import JOBS, Refused, Wire

PAGES = 50
LATER = ("transient", "limited", "connect", "unreachable", "patience", "quota")
"""Faults of the list that pass: the same command asks for it again."""
SKEWED = 3600.0  # seconds by which clocks may differ
UNHEARD = (408, 409, 425, 499)
"""Statuses below 500 that do not say that nothing was made."""


class Making:
    """Makes a job and finds it again. ``wait``: seconds after which one that is not listed is looked for once more."""

    def __init__(self, place: Place, wire: Wire, wait: float) -> None:
        self._place, self._wire, self._wait = place, wire, wait

    async def made(self, files: Files, seed: int, uploaded: tuple[str, str], memory: Memory) -> dict[str, Any]:
        """A new job of these uploaded files (the second may be ""); what the endpoint does not know is left out.

        Raises EndpointUnusable where an attempt ended and nobody can tell whether it made one.
        """
        memory.note("making", memory.fact("making") or f"{files.recipe[:16]}-{secrets.token_hex(8)}")
        memory.note("at", time.time())
        memory.note("rows", files.rows)
        memory.note("seed", seed)
        asked, unsure = self._asked(seed, uploaded, str(memory.fact("making"))), False

        async def attempt() -> dict[str, Any] | Fault:
            nonlocal unsure
            there = await self.found(memory) if unsure else None
            if there is not None:
                return there
            answer = await self._wire.answer(self._wire.jobs.create(**asked))
            value = named(answer)
            unsure = unsure or (isinstance(value, Fault) and not _refused(answer))
            if isinstance(value, Fault) and value.kind not in AGAIN and _spared(asked, value):
                return await attempt()
            return value

        try:
            return await self._wire.patiently(JOBS, attempt)
        except Refused:
            if not unsure:
                memory.note("making", "")  # nothing was made, and nothing needs to be looked up
            raise

    async def found(self, memory: Memory) -> dict[str, Any] | None:
        """The job that was about to be made, among those that the endpoint lists; None if it was not.

        Raises EndpointUnusable where the endpoint does not list them, so that nobody can tell.
        """
        found = await self._listed(memory)
        if found is None:
            await asyncio.sleep(self._wait)  # a list may lag behind
            found = await self._listed(memory)
        return found

    async def _listed(self, memory: Memory) -> dict[str, Any] | None:
        after = ""
        for _ in range(PAGES):
            page = await self._page(after, memory)
            jobs = [each for each in page["data"] if isinstance(each, dict) and isinstance(each.get("id"), str)]
            for each in jobs:
                if each["id"] and _same(each, memory):
                    return each
            if any(_nameless(each, memory) for each in jobs):
                raise self._untold(memory, "it lists jobs without metadata and files")
            if not page.get("has_more"):
                return None
            last = jobs[-1]["id"] if jobs else ""
            if not last or last == after:
                raise self._untold(memory, "its list does not go on where it says that there is more")
            after = last
        return None

    async def _page(self, after: str, memory: Memory) -> dict[str, Any]:
        """One page of the list."""
        more = {"after": after} if after else {}
        try:
            page = await self._wire.get(lambda: self._wire.jobs.list(limit=100, **more), JOBS)
        except Refused as refused:
            if refused.fault.kind in LATER or refused.fault.text.startswith("HTTP 401"):
                raise
            raise self._untold(memory, refused.fault.text) from None
        if not page or not isinstance(page.get("data"), list):
            raise self._untold(memory, "it keeps no list of jobs" if not page else "its list of jobs is none")
        return page

    def _untold(self, memory: Memory, why: str) -> EndpointUnusable:
        return EndpointUnusable(
            f"{shown(self._place.url)}: a job was asked for and the answer did not come, and the endpoint does not "
            f"say which jobs there are ({why}): nobody can tell whether it was made. None is made again, for both "
            "would be paid. Look there: if it is there, name its model with `tune.trainer: given` once it has ended; "
            f"if it is not, remove {memory.path}: then the same command makes it."
        )

    def _asked(self, seed: int, uploaded: tuple[str, str], name: str) -> dict[str, Any]:
        settings, (file, valid) = self._place.settings, uploaded
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


def _same(job: Mapping[str, Any], memory: Memory) -> bool:
    """Whether a listed job is the one that was about to be made: by its name; where it has none, by file and seed."""
    metadata, file = job.get("metadata"), memory.fact("file")
    label = metadata.get(LABEL) if isinstance(metadata, Mapping) else None
    if label:
        return bool(label == memory.fact("making"))
    return bool(file and job.get("training_file") == file and job.get("seed") in (None, memory.fact("seed")))


def _nameless(job: Mapping[str, Any], memory: Memory) -> bool:
    """Whether it may be the one: it is new, and says neither what it is called nor what it is trained on."""
    begun, metadata = job.get("created_at"), job.get("metadata")
    if job.get("training_file") or (isinstance(metadata, Mapping) and metadata.get(LABEL)):
        return False
    return not known(begun) or begun > float(memory.fact("at") or 0.0) - SKEWED


def _refused(answer: Answer | Fault) -> bool:
    """Whether it is certain that an answer stands for no job: it was turned away, or nobody was reached."""
    if isinstance(answer, Fault):
        return answer.kind in ("connect", "unreachable")
    return 300 <= answer.status < 500 and answer.status not in UNHEARD


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
