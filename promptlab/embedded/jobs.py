"""The fine-tuning jobs of one server: each is worked on beside the requests that come in, one epoch a step."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptlab.embedded.checks import ApiError
from promptlab.embedded.engine import MODELS
from promptlab.embedded.files import Files
from promptlab.embedded.job import Job, read_job
from promptlab.embedded.pages import page
from promptlab.embedded.tuned import SHELF
from promptlab.embedded.tuning import Flawed, Lesson, Row, epochs, lesson, loss, made, read_rows

ENDED = ("succeeded", "failed", "cancelled")
_MOST_LISTED = 100
_COST = 16 * 2**10  # bytes that a job itself may take
_KEPT = 3  # checkpoints: the last ones, as OpenAI keeps them


class Jobs:
    """Takes jobs and works on them in tasks of the running loop. ``pace``: seconds that each state lasts at least."""

    def __init__(self, files: Files, pace: float = 0.0) -> None:
        self._files = files
        self._pace = pace
        self._kept: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Takes a new job and starts on it."""
        job = read_job(body, time.time())
        for param, name in (("training_file", job.file), ("validation_file", job.valid)):
            file = self._files.get(name, param) if name else None
            if file is not None and file.purpose != "fine-tune":
                message = f"The file's purpose is {file.purpose!r}: upload it with purpose 'fine-tune'."
                raise ApiError(message, param, "invalid_file_purpose")
        self._files.take(_COST)
        content = self._files.get(job.file).content
        valid = self._files.get(job.valid).content if job.valid else b""
        self._kept[job.id] = job
        self._say(job.id, f"Created fine-tuning job: {job.id}")
        task = asyncio.get_running_loop().create_task(self._run(job.id, content, valid))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job.body()

    def show(self, name: str) -> dict[str, Any]:
        """The job of that id; ApiError 404 if there is none."""
        return self._get(name).body()

    def list(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of the jobs, newest first; of those with the metadata that is asked for."""
        wanted = {name[9:-1]: value for name, value in asked.items() if name.startswith("metadata[")}
        jobs: Iterable[Job] = reversed(self._kept.values())
        found = [job.body() for job in jobs if all((job.metadata or {}).get(k) == v for k, v in wanted.items())]
        return page(found, {"limit": "20", **asked}, _MOST_LISTED)

    def events(self, name: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of what has happened to a job, newest first."""
        return page(self._get(name).events[::-1], {"limit": "20", **asked}, _MOST_LISTED)

    def checkpoints(self, name: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of a job's checkpoints, newest first."""
        return page(self._get(name).checkpoints[::-1], {"limit": "10", **asked}, _MOST_LISTED)

    def cancel(self, name: str) -> dict[str, Any]:
        """Stops a job before its next step. ApiError if it has ended."""
        job = self._get(name)
        if job.status in ENDED:
            raise ApiError(f"Cannot cancel a job with status '{job.status}'.", None, "invalid_status", 400)
        self._end(name, "cancelled", "The job was cancelled.")
        return self._get(name).body()

    async def close(self) -> None:
        """Drops all work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _get(self, name: str) -> Job:
        if name not in self._kept:
            message = f"Could not find fine tune: {name[:80]}"
            raise ApiError(message, "fine_tuning_job_id", "fine_tune_not_found", 404)
        return self._kept[name]

    def _move(self, name: str, **changes: Any) -> Job:
        self._kept[name] = replace(self._kept[name], **changes)
        return self._kept[name]

    def _say(self, name: str, message: str, data: Mapping[str, Any] | None = None) -> None:
        self._kept[name].events.append(
            {
                "object": "fine_tuning.job.event",
                "id": f"ftevent-{uuid.uuid4().hex[:24]}",
                "created_at": int(time.time()),
                "level": "info",
                "message": message,
                "type": "metrics" if data else "message",
                "data": data or {},
            }
        )

    def _end(self, name: str, status: str, message: str, **changes: Any) -> None:
        self._move(name, status=status, finished=int(time.time()), **changes)
        self._say(name, message)

    async def _alive(self, name: str) -> bool:
        """Lets others have their turn; whether the job is still to be worked on."""
        await asyncio.sleep(self._pace)
        return self._kept[name].status not in ENDED

    async def _run(self, name: str, content: bytes, valid: bytes) -> None:
        job = self._kept[name]
        self._say(name, f"Validating training file: {job.file}")
        if not await self._alive(name):
            return
        param = "training_file"
        try:
            rows = await asyncio.to_thread(read_rows, content, job.method)
            taught = await asyncio.to_thread(lesson, rows)
            param = "validation_file"
            held = await asyncio.to_thread(lambda: lesson(read_rows(valid, job.method, 1))) if job.valid else None
        except Flawed as flaw:
            error = {"code": flaw.code, "message": str(flaw), "param": param}
            self._end(name, "failed", f"The job failed: {flaw}", error=error)
            return
        for status, said in (("queued", "Files validated, moving job to queued state"), ("running", "The job started")):
            if self._kept[name].status in ENDED:
                return
            self._move(name, status=status)
            self._say(name, said)
            if not await self._alive(name):
                return
        await self._learn(name, rows, (taught, held), content)

    async def _learn(
        self, name: str, rows: Sequence[Row], lessons: tuple[Lesson, Lesson | None], content: bytes
    ) -> None:
        (taught, held), job = lessons, self._kept[name]
        known, wide = _name(job, content), MODELS[job.model].wide
        steps = ["step,train_loss,valid_loss" if held else "step,train_loss"]
        for number, (mean, weights) in enumerate(epochs(taught, job.epochs, wide, job.seed), 1):
            step = number * len(rows)
            losses = {"train_loss": mean, **_valid(taught, weights, held, wide)}
            cells = [str(step), *(f"{losses[each]:.6f}" if each in losses else "" for each in steps[0].split(",")[1:])]
            steps.append(",".join(cells))
            beside = f", validation loss={losses['valid_loss']:.4f}" if "valid_loss" in losses else ""
            said = f"Step {step}/{job.epochs * len(rows)}: training loss={mean:.4f}{beside}"
            self._say(name, said, {"step": step, **losses})
            last = number == job.epochs
            if number > job.epochs - _KEPT:
                mark = known if last else f"{known}:ckpt-step-{step}"
                SHELF.put(made(mark, job.model, job.created, taught, weights))
                job.checkpoints.append(_checkpoint(job, mark, step, losses))
            if not await self._alive(name):
                return
        csv = "\n".join(steps).encode() + b"\n"
        self._files.take(len(csv))
        kept = self._files.add(csv, "step_metrics.csv", "fine-tune-results", time.time()).id
        tokens = job.epochs * sum(row.tokens for row in rows)
        said = f"The job has successfully completed: {known}"
        self._end(name, "succeeded", said, tuned=known, tokens=tokens, results=(kept,))


def _name(job: Job, content: bytes) -> str:
    """The id of what is learned: by the base, the file, the seed and the settings. Equal lessons have one id."""
    about = [job.model, job.method, job.seed, job.epochs, hashlib.sha256(content).hexdigest()]
    return f"ft:{job.model}:promptlab:{job.suffix}:{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]}"


def _valid(taught: Lesson, weights: NDArray[np.float32], held: Lesson | None, wide: bool) -> dict[str, float]:
    """The validation loss, where there is one."""
    found = loss(taught, weights, held, wide) if held and taught.labels else None
    return {} if found is None else {"valid_loss": found}


def _checkpoint(job: Job, name: str, step: int, losses: Mapping[str, float]) -> dict[str, Any]:
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": f"ftckpt_{uuid.uuid4().hex[:24]}",
        "created_at": int(time.time()),
        "fine_tuned_model_checkpoint": name,
        "fine_tuning_job_id": job.id,
        "metrics": {"step": step, **losses},
        "step_number": step,
    }
