"""The fine-tuning jobs of one server: each is worked on beside the requests that come in, one epoch a step."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from promptlab.embedded.checks import ApiError, integer, no_model, text, wrong
from promptlab.embedded.engine import MODELS
from promptlab.embedded.files import Files
from promptlab.embedded.pages import page
from promptlab.embedded.tuned import SHELF
from promptlab.embedded.tuning import Flawed, Lesson, Row, epochs, lesson, made, read_rows
from promptlab.embedded.vectors import EMBEDDERS

ENDED = ("succeeded", "failed", "cancelled")
METHODS = ("supervised", "dpo")
_MOST_LISTED = 100
_COST = 16 * 2**10  # bytes that a job itself may take
_MOST_EPOCHS = 50
_KEPT = 3  # checkpoints: the last ones, as OpenAI keeps them


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment; ``events`` and ``checkpoints`` grow, oldest first."""

    id: str
    model: str
    method: str
    file: str
    valid: str | None
    seed: int
    epochs: int
    asked: Mapping[str, Any]
    suffix: str
    metadata: Mapping[str, str] | None
    created: int
    status: str = "validating_files"
    finished: int | None = None
    tokens: int | None = None
    tuned: str | None = None
    results: tuple[str, ...] = ()
    error: Mapping[str, Any] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        """The job as OpenAI's JSON."""
        used = {"n_epochs": self.epochs, "batch_size": 1, "learning_rate_multiplier": 1.0, **self.asked}
        used["n_epochs"] = self.epochs
        return {
            "object": "fine_tuning.job",
            "id": self.id,
            "model": self.model,
            "created_at": self.created,
            "finished_at": self.finished,
            "fine_tuned_model": self.tuned,
            "organization_id": "promptlab",
            "result_files": list(self.results),
            "status": self.status,
            "validation_file": self.valid,
            "training_file": self.file,
            "hyperparameters": used,
            "method": {"type": self.method, self.method: {"hyperparameters": used}},
            "trained_tokens": self.tokens,
            "error": self.error,
            "seed": self.seed,
            "user_provided_suffix": self.suffix or None,
            "estimated_finish": None,
            "integrations": [],
            "metadata": self.metadata,
        }


def _method(body: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The method and its hyperparameters; the old top-level ones stand for a supervised job."""
    method = body.get("method")
    if method is None:
        return "supervised", _settings(body.get("hyperparameters"), "hyperparameters")
    kind = method.get("type") if isinstance(method, dict) else None
    if kind not in METHODS:
        raise wrong("method", f"an object whose type is {' or '.join(METHODS)}", method)
    inner = method.get(kind)
    where = f"method.{kind}.hyperparameters"
    return kind, _settings(inner.get("hyperparameters") if isinstance(inner, dict) else None, where)


def _settings(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(where, "an object", value)
    return {name: each for name, each in value.items() if each != "auto" and each is not None}


def _metadata(value: Any) -> dict[str, str] | None:
    if value is not None and not (isinstance(value, dict) and all(isinstance(each, str) for each in value.values())):
        raise wrong("metadata", "an object of strings", value)
    return value


def read_job(body: Mapping[str, Any], created: float) -> Job:
    """The job that a decoded body asks for; wrong values raise ApiError. Unknown parameters are ignored."""
    model = text(body, "model", "the name of a model")
    if model not in MODELS or SHELF.get(model) is not None:
        raise no_model(model, MODELS, EMBEDDERS)
    method, asked = _method(body)
    count = integer(asked, "n_epochs", 1, _MOST_EPOCHS)
    suffix = body.get("suffix") or ""
    if not isinstance(suffix, str) or len(suffix) > 64:
        raise wrong("suffix", "at most 64 characters", suffix)
    valid = body.get("validation_file")
    return Job(
        id=f"ftjob-{uuid.uuid4().hex[:24]}",
        model=model,
        method=method,
        file=text(body, "training_file", "the id of an uploaded file"),
        valid=None if valid is None else text(body, "validation_file", "the id of an uploaded file"),
        seed=integer(body, "seed", 0, 2**31 - 1) or 0,
        epochs=3 if count is None else count,
        asked=asked,
        suffix=suffix,
        metadata=_metadata(body.get("metadata")),
        created=int(created),
    )


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
        self._kept[job.id] = job
        self._say(job.id, f"Created fine-tuning job: {job.id}")
        task = asyncio.get_running_loop().create_task(self._run(job.id, content))
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

    async def _run(self, name: str, content: bytes) -> None:
        job = self._kept[name]
        self._say(name, f"Validating training file: {job.file}")
        if not await self._alive(name):
            return
        try:
            rows = await asyncio.to_thread(read_rows, content, job.method)
            taught = await asyncio.to_thread(lesson, rows)
        except Flawed as flaw:
            error = {"code": flaw.code, "message": str(flaw), "param": "training_file"}
            self._end(name, "failed", f"The job failed: {flaw}", error=error)
            return
        for status, said in (("queued", "Files validated, moving job to queued state"), ("running", "The job started")):
            if self._kept[name].status in ENDED:
                return
            self._move(name, status=status)
            self._say(name, said)
            if not await self._alive(name):
                return
        await self._learn(name, rows, taught, content)

    async def _learn(self, name: str, rows: Sequence[Row], taught: Lesson, content: bytes) -> None:
        job = self._kept[name]
        known, steps = _name(job, content), ["step,train_loss"]
        for number, (loss, weights) in enumerate(epochs(taught, job.epochs, MODELS[job.model].wide, job.seed), 1):
            step = number * len(rows)
            steps.append(f"{step},{loss:.6f}")
            self._say(name, f"Step {step}/{job.epochs * len(rows)}: training loss={loss:.4f}", {"step": step})
            last = number == job.epochs
            if number > job.epochs - _KEPT:
                mark = known if last else f"{known}:ckpt-step-{step}"
                SHELF.put(made(mark, job.model, job.created, taught, weights))
                job.checkpoints.append(_checkpoint(job, mark, step, loss))
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


def _checkpoint(job: Job, name: str, step: int, loss: float) -> dict[str, Any]:
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": f"ftckpt_{uuid.uuid4().hex[:24]}",
        "created_at": int(time.time()),
        "fine_tuned_model_checkpoint": name,
        "fine_tuning_job_id": job.id,
        "metrics": {"step": step, "train_loss": loss},
        "step_number": step,
    }
