"""A tuning job as an endpoint describes it. Nothing of it is believed but what has the right type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptlab.endpoint.complaint import of
from promptlab.tune.memory import Memory
from promptlab.tune.trainer import ENDED, Job, State, Tuned

STATES: Mapping[str, State] = {
    "validating_files": "queued",
    "queued": "queued",
    "pending": "queued",
    "created": "queued",
    "running": "running",
    "paused": "running",
    "started": "running",
    "succeeded": "succeeded",
    "success": "succeeded",
    "completed": "succeeded",
    "failed": "failed",
    "failed_validation": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "cancellation_requested": "running",
}
"""What endpoints call the states of a job."""


def job_of(shown: Mapping[str, Any], said: tuple[str, ...], memory: Memory) -> Job:
    """The job; what came of it is noted once it has succeeded."""
    name, word = str(shown.get("id") or ""), str(shown.get("status") or "").lower()
    status = STATES.get(word, "running")
    if status not in ENDED:
        return Job(name, status, said)
    model, tokens = shown.get("fine_tuned_model"), shown.get("trained_tokens")
    error = of(shown.get("error")).text if shown.get("error") and status != "succeeded" else ""
    if status == "succeeded" and not (isinstance(model, str) and model):
        status, error = "failed", "it has succeeded, and names no model"
    if status == "failed":
        error = error or "the endpoint does not say why"
    begun, ended = shown.get("created_at"), shown.get("finished_at")
    timed = isinstance(begun, (int, float)) and isinstance(ended, (int, float)) and ended >= begun
    tuned = Tuned(
        model if isinstance(model, str) else "",
        None,
        tokens if _counted(tokens, memory.fact("rows")) else None,
        float(ended - begun) if timed else None,  # type: ignore[operator]
        status,
        error,
    )
    if status == "succeeded":
        memory.note("tuned", {"model_id": tuned.model_id, "train_tokens": tuned.train_tokens, "seconds": tuned.seconds})
    return Job(name, status, said, tuned)


def _counted(tokens: Any, rows: Any) -> bool:
    """Whether a number of tokens can be one: each row has one at least (some servers always say 1)."""
    return isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= max(1, rows or 0)
