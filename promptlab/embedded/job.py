"""A fine-tuning job as it is asked for, and as OpenAI's JSON."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.embedded.checks import integer, no_model, text, wrong
from promptlab.embedded.engine import MODELS
from promptlab.embedded.tuned import SHELF
from promptlab.embedded.vectors import EMBEDDERS

METHODS = ("supervised", "dpo")
_MOST_EPOCHS = 50


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
