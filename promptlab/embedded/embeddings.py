"""OpenAI's embeddings request, checked and answered."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from promptlab.embedded.checks import ApiError, integer, mapping, no_model, text, wrong
from promptlab.embedded.engine import MODELS
from promptlab.embedded.pieces import count
from promptlab.embedded.vectors import EMBEDDERS, embed

_MOST_INPUTS = 2048


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """An embeddings request that the server can answer."""

    model: str
    texts: tuple[str, ...]
    base64: bool
    dimensions: int | None


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, int | list) for each in value)


def _texts(value: Any) -> tuple[str, ...]:
    if _is_tokens(value):
        raise ApiError("Token arrays are not supported: send 'input' as text.", "input", "unsupported_value")
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise wrong("input", "a string or a list of strings", value)
    if not texts or not all(texts):
        raise ApiError("Invalid 'input': it must not be empty, nor hold an empty string.", "input", "empty_input")
    if len(texts) > _MOST_INPUTS:
        message = f"Invalid 'input': at most {_MOST_INPUTS} texts, got {len(texts)}."
        raise ApiError(message, "input", "array_above_max_length")
    return tuple(texts)


def read_embedding(body: Any) -> EmbeddingRequest:
    """Checks a decoded body. Parameters that this server does not know are ignored; wrong values raise ApiError."""
    body = mapping(body)
    model = text(body, "model", "the name of a model")
    if model not in EMBEDDERS:
        raise no_model(model, EMBEDDERS, MODELS)
    encoding = body.get("encoding_format")
    if encoding not in (None, "float", "base64"):
        raise wrong("encoding_format", "'float' or 'base64'", encoding)
    dimensions = integer(body, "dimensions", 1, EMBEDDERS[model])
    return EmbeddingRequest(model, _texts(body.get("input")), encoding == "base64", dimensions)


def _vector(asked: EmbeddingRequest, one: str) -> str | list[float]:
    found = embed(one, asked.model, asked.dimensions)
    if asked.base64:
        return base64.b64encode(found.astype("<f4").tobytes()).decode()
    return [round(float(value), 6) for value in found]


def embeddings(asked: EmbeddingRequest) -> dict[str, Any]:
    """The vectors in the order of the inputs, with their usage. base64 holds float32, little-endian."""
    data = [
        {"object": "embedding", "index": place, "embedding": _vector(asked, one)}
        for place, one in enumerate(asked.texts)
    ]
    tokens = sum(count(one) for one in asked.texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": asked.model, "usage": usage}
