"""The lines of a batch's input file, all checked before the first is worked on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from promptlab.embedded.engine import MODELS
from promptlab.embedded.vectors import EMBEDDERS

MOST_LINES = 50_000
_CALLABLE = {"/v1/chat/completions": MODELS, "/v1/embeddings": EMBEDDERS}


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch. Its bytes are read again when its turn comes: parsed, a long file would fill memory."""

    custom_id: str
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """What is asked."""
        found: dict[str, Any] = json.loads(self.raw)["body"]
        return found


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a file cannot be a batch; ``number`` is the line's, from 1 (None: the whole file)."""

    code: str
    message: str
    number: int | None = None
    param: str | None = None

    def shown(self) -> dict[str, Any]:
        """The flaw as OpenAI's JSON."""
        return {"code": self.code, "line": self.number, "message": self.message, "param": self.param}


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _flaw(value: dict[str, Any], endpoint: str) -> tuple[str, str, str] | None:
    """(code, message, field) of the first thing that is wrong with a line."""
    missing = "missing_required_parameter"
    if not isinstance(value.get("custom_id"), str) or not value["custom_id"]:
        return missing, "Missing 'custom_id', a non-empty string.", "custom_id"
    if value.get("method") != "POST":
        return "invalid_method", "'method' must be POST.", "method"
    if value.get("url") != endpoint:
        return "mismatched_endpoint", f"'url' must be the batch's endpoint, {endpoint}.", "url"
    if not isinstance(value.get("body"), dict):
        return missing, "Missing 'body', a JSON object.", "body"
    return None


class Reader:
    """Reads line after line, so that a long file can be read a little at a time.

    ``flaws`` and ``lines`` grow; ``model`` is the first line's, and all others must name it too.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._names: set[str] = set()
        self.lines: list[Line] = []
        self.flaws: list[Flaw] = []
        self.model: str | None = None

    def _at_odds(self, value: dict[str, Any]) -> tuple[str, str, str] | None:
        """What is wrong with a line beside the others."""
        model, known = value["body"].get("model"), _CALLABLE[self._endpoint]
        if value["custom_id"] in self._names:
            return "duplicate_custom_id", "An earlier line has this 'custom_id'.", "custom_id"
        if not isinstance(model, str) or model not in known:
            return "model_not_found", f"'body.model' must be one of: {', '.join(known)}.", "body.model"
        if self.model not in (None, model):
            return "mismatched_model", f"All lines must name one model; the first says {self.model}.", "body.model"
        return None

    def _read(self, raw: bytes, number: int) -> None:
        value = _object(raw)
        if value is None:
            self.flaws.append(Flaw("invalid_json_line", "This line is no JSON object.", number))
            return
        found = _flaw(value, self._endpoint) or self._at_odds(value)
        if found is not None:
            code, message, param = found
            self.flaws.append(Flaw(code, message, number, param))
            return
        self._names.add(value["custom_id"])
        self.model = value["body"]["model"]
        self.lines.append(Line(value["custom_id"], raw))

    def read(self, content: bytes) -> Iterator[None]:
        """Reads ``content``, one line a step. Empty lines are passed over."""
        for number, raw in enumerate(content.split(b"\n"), 1):
            if raw.strip():
                self._read(raw, number)
            yield
        if not self.lines and not self.flaws:
            self.flaws.append(Flaw("empty_file", "The input file has no lines."))
        if len(self.lines) > MOST_LINES:
            self.flaws.append(Flaw("too_many_requests", f"A batch has at most {MOST_LINES} requests."))
