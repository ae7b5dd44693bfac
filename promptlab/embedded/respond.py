"""A route's body to its answer: the same for a request of its own and for a line of a batch."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from promptlab.embedded.checks import ApiError
from promptlab.embedded.completion import choices, completion
from promptlab.embedded.embeddings import embeddings, read_embedding
from promptlab.embedded.protocol import read_request


def identity(raw: bytes) -> str:
    """What names an answer: made of the request's bytes, so that equal requests have equal names."""
    return hashlib.sha256(raw).hexdigest()[:24]


def _chat(body: Any, raw: bytes) -> dict[str, Any]:
    asked = read_request(body)
    if asked.stream:
        raise ApiError("A batch cannot stream: leave 'stream' out.", "stream", "unsupported_value")
    return completion(asked, choices(asked), identity(raw), int(time.time()))


def _embeddings(body: Any, _: bytes) -> dict[str, Any]:
    return embeddings(read_embedding(body))


RESPONDERS: Mapping[str, Callable[[Any, bytes], dict[str, Any]]] = {
    "/v1/chat/completions": _chat,
    "/v1/embeddings": _embeddings,
}
"""By route: (decoded body, the request's bytes) -> the answer's JSON, or ApiError."""
