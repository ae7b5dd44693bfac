"""A batch as the endpoint describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.endpoint.batch.notes import Chunk
from promptlab.endpoint.client import Answer
from promptlab.endpoint.complaint import Complaint, line, of
from promptlab.endpoint.fault import Fault, of_answer

LABEL = "promptlab"  # the key of the metadata that names a chunk


@dataclass(frozen=True, slots=True)
class Job:
    """A batch as the endpoint describes it. ``name`` is the chunk's.

    ``errors`` are pairs: the line of the input file, or 0, and what is wrong with it.
    """

    id: str
    status: str
    name: str = ""
    input: str = ""
    outputs: tuple[str, ...] = ()
    errors: tuple[tuple[int, Complaint], ...] = ()

    def holds(self, chunk: Chunk) -> bool:
        """Whether it can be the chunk's: an endpoint that was started anew may give an old id to another batch."""
        if self.name:
            return self.name == chunk.name
        return not (self.input and chunk.file) or self.input == chunk.file


def parsed(answer: Answer | Fault) -> dict[str, Any] | Fault:
    """The object in an answer."""
    if isinstance(answer, Fault):
        return answer
    if not 200 <= answer.status < 300:
        return of_answer(answer, ())
    try:
        value = json.loads(answer.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Fault(
            "alien", f"HTTP {answer.status} with what is no JSON: {line(answer.body[:100].decode('utf-8', 'replace'))}"
        )
    if not isinstance(value, dict):
        return Fault("alien", f"HTTP {answer.status} with {line(json.dumps(value))[:60]} instead of an object")
    return value


def named(answer: Answer | Fault) -> dict[str, Any] | Fault:
    """The object in an answer that must have an id."""
    value = parsed(answer)
    if isinstance(value, dict) and not _text(value.get("id")):
        return Fault("alien", f"HTTP 200 with JSON that has no id: {line(json.dumps(value))[:100]}")
    return value


def job_of(value: Mapping[str, Any]) -> Job:
    """A batch as it is described. Nothing of it is believed but what has the right type."""
    metadata, errors = value.get("metadata"), value.get("errors")
    items = errors.get("data") if isinstance(errors, dict) else errors
    said = items if isinstance(items, list) else []
    return Job(
        id=_text(value.get("id")),
        status=_text(value.get("status")),
        name=_text(metadata.get(LABEL)) if isinstance(metadata, dict) else "",
        input=_text(value.get("input_file_id")),
        outputs=tuple(name for name in map(_text, map(value.get, ("output_file_id", "error_file_id"))) if name),
        errors=tuple((_line(each), of(each)) for each in said),
    )


def _line(error: Any) -> int:
    number = error.get("line") if isinstance(error, dict) else None
    return number if isinstance(number, int) else 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
