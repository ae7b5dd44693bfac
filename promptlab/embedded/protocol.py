"""OpenAI's chat request and response, checked and written as OpenAI writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlab.embedded import VERSION
from promptlab.embedded.engine import MODELS, Answer, Params

_ROLES = ("system", "developer", "user", "assistant")
_LARGEST_SEED = 2**63 - 1


class ApiError(Exception):
    """A request that cannot be answered, as an HTTP status and OpenAI's error body."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    def body(self) -> dict[str, Any]:
        """The error as OpenAI's JSON."""
        error = {"message": self.message, "type": "invalid_request_error", "param": self.param, "code": self.code}
        return {"error": error}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request that the engine can answer."""

    messages: tuple[Mapping[str, Any], ...]
    params: Params


def _wrong(param: str, wanted: str, value: Any) -> ApiError:
    return ApiError(f"Invalid '{param}': expected {wanted}, got {str(value)[:80]!r}.", param, "invalid_type")


def _number(body: Mapping[str, Any], name: str, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(name, f"a number from 0 to {high:g}", value)
    if not 0 <= value <= high:
        raise ApiError(f"Invalid '{name}': {value} is not between 0 and {high:g}.", name, "decimal_out_of_range")
    return float(value)


def _integer(body: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, "an integer", value)
    if not low <= value <= high:
        raise ApiError(f"Invalid '{name}': must be between {low} and {high}.", name, "integer_out_of_range")
    return value


def _limit(body: Mapping[str, Any]) -> int | None:
    old = _integer(body, "max_tokens", 1, 2**31 - 1)
    new = _integer(body, "max_completion_tokens", 1, 2**31 - 1)
    if old is not None and new is not None:
        raise ApiError("Set 'max_tokens' or 'max_completion_tokens', not both.", "max_tokens", "invalid_request")
    return new if old is None else old


def _stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    value = body.get("stop")
    marks = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(marks, list) or not all(isinstance(mark, str) and mark for mark in marks):
        raise _wrong("stop", "a string or a list of non-empty strings", value)
    if len(marks) > 4:
        raise ApiError(f"Invalid 'stop': at most 4 strings, got {len(marks)}.", "stop", "array_above_max_length")
    return tuple(marks)


def _content(value: Any, role: str, where: str) -> str:
    """A message's content as text: a string or a list of text parts; an assistant's may be null."""
    if isinstance(value, str):
        return value
    if value is None and role == "assistant":
        return ""
    if not isinstance(value, list):
        raise _wrong(f"{where}.content", "a string or a list of text parts", value)
    texts = []
    for place, part in enumerate(value):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise _wrong(f"{where}.content[{place}]", "a part of type 'text' with its text", part)
        texts.append(part["text"])
    return "\n".join(texts)


def _messages(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list):
        raise _wrong("messages", "a list of messages", value)
    if not value:
        raise ApiError("Invalid 'messages': at least one message is needed.", "messages", "empty_array")
    checked = []
    for place, message in enumerate(value):
        where = f"messages[{place}]"
        if not isinstance(message, dict):
            raise _wrong(where, "an object with role and content", message)
        role = message.get("role")
        if role not in _ROLES:
            raise ApiError(
                f"Invalid '{where}.role': {str(role)[:80]!r} is none of {', '.join(_ROLES)}.",
                f"{where}.role",
                "invalid_value",
            )
        checked.append({"role": role, "content": _content(message.get("content"), role, where)})
    return tuple(checked)


def _response_format(body: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(keys of the JSON object, allowed values of its answer) from ``response_format``; empty if it asks for text."""
    value = body.get("response_format")
    if value is None:
        return (), ()
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise _wrong("response_format", "an object with type text, json_object or json_schema", value)
    if kind == "text":
        return (), ()
    if kind == "json_object":
        return ("answer",), ()
    outer = value.get("json_schema")
    schema = outer.get("schema") if isinstance(outer, dict) else None
    fields = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(fields, dict) or not fields:
        raise _wrong("response_format.json_schema", "a schema of an object with properties", outer)
    for name, field in fields.items():
        options = field.get("enum") if isinstance(field, dict) else None
        if isinstance(options, list) and options and all(isinstance(x, str) and x for x in options):
            return (name, *(other for other in fields if other != name)), tuple(options)
    return tuple(fields), ()


def check_model(name: str) -> None:
    """Raises the 404 that OpenAI sends for a model that it does not have."""
    if name not in MODELS:
        known = " or ".join(repr(model) for model in MODELS)
        raise ApiError(
            f"The model {name[:80]!r} does not exist; this server has {known}.", "model", "model_not_found", 404
        )


def _unsupported(body: Mapping[str, Any]) -> None:
    count = _integer(body, "n", 1, 128)
    if count is not None and count > 1:
        raise ApiError("Only n = 1 is supported: send the request again for another answer.", "n", "unsupported_value")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise _wrong("stream", "a boolean", stream)
    if stream:
        raise ApiError("Streaming is not supported: leave 'stream' out.", "stream", "unsupported_value")


def read_request(body: Any) -> ChatRequest:
    """Checks a decoded body. Parameters that this server does not know are ignored; wrong values raise ApiError."""
    if not isinstance(body, dict):
        raise ApiError("The body must be a JSON object.", None, "invalid_json")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _wrong("model", "the name of a model", model)
    check_model(model)
    messages = _messages(body.get("messages"))
    _unsupported(body)
    _number(body, "top_p", 1.0)
    temperature = _number(body, "temperature", 2.0)
    keys, choices = _response_format(body)
    params = Params(
        model=model,
        temperature=1.0 if temperature is None else temperature,
        max_tokens=_limit(body),
        stop=_stop(body),
        seed=_integer(body, "seed", -_LARGEST_SEED - 1, _LARGEST_SEED) or 0,
        json_keys=keys,
        choices=choices,
    )
    return ChatRequest(messages, params)


def completion(answer: Answer, model: str, identity: str, created: int) -> dict[str, Any]:
    """A chat completion. ``identity`` is made of the request's bytes; ``created`` is in seconds since 1970."""
    return {
        "id": f"chatcmpl-{identity}",
        "object": "chat.completion",
        "created": created,
        "model": model,
        "system_fingerprint": f"embedded@{VERSION}",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": answer.text, "refusal": None},
                "logprobs": None,
                "finish_reason": answer.finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": answer.tokens_in,
            "completion_tokens": answer.tokens_out,
            "total_tokens": answer.tokens_in + answer.tokens_out,
        },
    }


def model_card(name: str) -> dict[str, Any]:
    """A model as ``/v1/models`` shows it."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "promptlab"}


def model_list(names: Sequence[str]) -> dict[str, Any]:
    """All models as ``/v1/models`` shows them."""
    return {"object": "list", "data": [model_card(name) for name in names]}
