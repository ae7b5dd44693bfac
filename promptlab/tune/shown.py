"""A tuning job as an endpoint describes it. Nothing of it is believed but what has the right type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptlab.endpoint.complaint import line, of
from promptlab.endpoint.hidden import Hidden
from promptlab.endpoint.redact import HIDDEN
from promptlab.tune.course import known
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


MOST = 10**15  # tokens of a training
LONGEST = 500  # characters of a model's id


def job_of(shown: Mapping[str, Any], said: tuple[str, ...], memory: Memory, base: str, hide: Hidden) -> Job:
    """The job that a ``base`` model is tuned by; what came of it is noted once it has succeeded."""
    name, word = str(shown.get("id") or ""), str(shown.get("status") or "").lower()
    status = STATES.get(word, "running")
    if status not in ENDED:
        return Job(name, status, said)
    model, tokens = shown.get("fine_tuned_model"), shown.get("trained_tokens")
    error = hide.told(of(shown.get("error")).text) if shown.get("error") and status != "succeeded" else ""
    if status == "succeeded" and (flaw := _flaw(model, base)):
        status, model, error = "failed", "", f"it has succeeded, and names {flaw}"
    if status == "failed":
        error = error or "the endpoint does not say why"
    begun, ended = shown.get("created_at"), shown.get("finished_at")
    seconds = float(ended) - float(begun) if known(begun) and known(ended) and ended >= begun else None
    tuned = Tuned(
        model if isinstance(model, str) else "",
        None,
        tokens if counted(tokens, memory.fact("rows")) else None,
        seconds if known(seconds) else None,
        status,
        error,
    )
    if status == "succeeded":
        memory.note("tuned", {"model_id": tuned.model_id, "train_tokens": tuned.train_tokens, "seconds": tuned.seconds})
    return Job(name, status, said, tuned)


def counted(tokens: Any, rows: Any = 1) -> bool:
    """Whether a number of tokens can be one: each row has one at least (some servers always say 1)."""
    return isinstance(tokens, int) and not isinstance(tokens, bool) and max(1, rows or 0) <= tokens <= MOST


def _flaw(model: Any, base: str) -> str:
    """What is wrong with the name of a tuned model; empty if nothing is."""
    if not isinstance(model, str) or not model:
        return "no model"
    if not model.isprintable() or len(model) > LONGEST or HIDDEN in model:
        return f"a model that cannot be asked for: {line(model, 80)!r}"
    return f"the base model itself ({base})" if model == base else ""
