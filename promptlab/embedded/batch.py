"""A batch: what was asked for, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from promptlab.embedded.checks import ApiError, text, wrong
from promptlab.embedded.lines import Flaw
from promptlab.embedded.respond import RESPONDERS

WINDOW = 24 * 3600  # seconds that a batch may take
_STAMPS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
ENDED = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class Counts:
    """Lines in all, answered, and refused or left undone."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the answered lines used."""

    prompt: int = 0
    made: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch at one moment. ``stamps``: when it came to each state, in seconds since 1970."""

    id: str
    endpoint: str
    input_file: str
    metadata: Mapping[str, str] | None
    created: int
    status: str = "validating"
    stamps: Mapping[str, int] = field(default_factory=dict)
    counts: Counts = Counts()
    tokens: Tokens = Tokens()
    model: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    flaws: tuple[Flaw, ...] = ()

    def at(self, status: str, now: float) -> Batch:
        """The batch in a new state."""
        return replace(self, status=status, stamps={**self.stamps, status: int(now)})

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ENDED

    def body(self) -> dict[str, Any]:
        """The batch as OpenAI's JSON."""
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "model": self.model,
            "errors": {"object": "list", "data": [flaw.shown() for flaw in self.flaws]} if self.flaws else None,
            "input_file_id": self.input_file,
            "completion_window": "24h",
            "status": self.status,
            "output_file_id": self.output_file,
            "error_file_id": self.error_file,
            "created_at": self.created,
            "expires_at": self.created + WINDOW,
            **{f"{name}_at": self.stamps.get(name) for name in _STAMPS},
            "request_counts": {
                "total": self.counts.total,
                "completed": self.counts.completed,
                "failed": self.counts.failed,
            },
            "usage": {
                "input_tokens": self.tokens.prompt,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": self.tokens.made,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.tokens.prompt + self.tokens.made,
            },
            "metadata": self.metadata,
        }


def _metadata(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise wrong("metadata", "an object of strings", value)
    if len(value) > 16 or any(len(key) > 64 or len(each) > 512 for key, each in value.items()):
        raise ApiError("'metadata' has at most 16 keys of 64 characters and values of 512.", "metadata", "too_long")
    return value


def read_batch(body: Mapping[str, Any], identity: str, created: float) -> Batch:
    """The batch that a decoded body asks for; wrong values raise ApiError. Unknown parameters are ignored."""
    endpoint = text(body, "endpoint", "the path that the lines go to")
    if endpoint not in RESPONDERS:
        raise ApiError(f"Invalid 'endpoint': this server has {' and '.join(RESPONDERS)}.", "endpoint", "invalid_value")
    if body.get("completion_window") != "24h":
        raise wrong("completion_window", "'24h'", body.get("completion_window"))
    file = text(body, "input_file_id", "the id of an uploaded file")
    return Batch(identity, endpoint, file, _metadata(body.get("metadata")), int(created))
