"""OpenAI's chat request, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.embedded.checks import ApiError, flag, integer, mapping, no_model, number, text, wrong
from promptlab.embedded.engine import MODELS, Params
from promptlab.embedded.vectors import EMBEDDERS

_ROLES = ("system", "developer", "user", "assistant")
_LARGEST_SEED = 2**63 - 1
_MOST_CHOICES = 128
_MOST_ALTERNATIVES = 20


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request that the engine can answer. ``logprobs``: how many alternatives per token, None = no logprobs.

    ``stream_usage``: the usage is wanted in a chunk of its own at the stream's end.
    """

    messages: tuple[Mapping[str, Any], ...]
    params: Params
    n: int = 1
    logprobs: int | None = None
    stream: bool = False
    stream_usage: bool = False


def _limit(body: Mapping[str, Any]) -> int | None:
    old = integer(body, "max_tokens", 1, 2**31 - 1)
    new = integer(body, "max_completion_tokens", 1, 2**31 - 1)
    if old is not None and new is not None:
        raise ApiError("Set 'max_tokens' or 'max_completion_tokens', not both.", "max_tokens", "invalid_request")
    return new if old is None else old


def _stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    value = body.get("stop")
    marks = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(marks, list) or not all(isinstance(mark, str) and mark for mark in marks):
        raise wrong("stop", "a string or a list of non-empty strings", value)
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
        raise wrong(f"{where}.content", "a string or a list of text parts", value)
    texts = []
    for place, part in enumerate(value):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise wrong(f"{where}.content[{place}]", "a part of type 'text' with its text", part)
        texts.append(part["text"])
    return "\n".join(texts)


def _messages(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list):
        raise wrong("messages", "a list of messages", value)
    if not value:
        raise ApiError("Invalid 'messages': at least one message is needed.", "messages", "empty_array")
    checked = []
    for place, message in enumerate(value):
        where = f"messages[{place}]"
        if not isinstance(message, dict):
            raise wrong(where, "an object with role and content", message)
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
        raise wrong("response_format", "an object with type text, json_object or json_schema", value)
    if kind == "text":
        return (), ()
    if kind == "json_object":
        return ("answer",), ()
    outer = value.get("json_schema")
    schema = outer.get("schema") if isinstance(outer, dict) else None
    fields = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(fields, dict) or not fields:
        raise wrong("response_format.json_schema", "a schema of an object with properties", outer)
    for name, field in fields.items():
        options = field.get("enum") if isinstance(field, dict) else None
        if isinstance(options, list) and options and all(isinstance(x, str) and x for x in options):
            return (name, *(other for other in fields if other != name)), tuple(options)
    return tuple(fields), ()


def _logprobs(body: Mapping[str, Any]) -> int | None:
    wanted = flag(body, "logprobs")
    top = integer(body, "top_logprobs", 0, _MOST_ALTERNATIVES)
    if top is not None and not wanted:
        raise ApiError("'top_logprobs' needs 'logprobs' to be true.", "top_logprobs", "invalid_request")
    return (top or 0) if wanted else None


def _stream(body: Mapping[str, Any]) -> tuple[bool, bool]:
    """(streamed, with usage)."""
    stream, options = flag(body, "stream"), body.get("stream_options")
    if options is None:
        return stream, False
    if not stream:
        raise ApiError("'stream_options' is allowed only when 'stream' is true.", "stream_options", "invalid_request")
    if not isinstance(options, dict):
        raise wrong("stream_options", "an object", options)
    return True, flag(options, "include_usage")


def read_request(body: Any) -> ChatRequest:
    """Checks a decoded body. Parameters that this server does not know are ignored; wrong values raise ApiError."""
    body = mapping(body)
    model = text(body, "model", "the name of a model")
    if model not in MODELS:
        raise no_model(model, MODELS, EMBEDDERS)
    messages = _messages(body.get("messages"))
    number(body, "top_p", 1.0)
    temperature = number(body, "temperature", 2.0)
    keys, choices = _response_format(body)
    params = Params(
        model=model,
        temperature=1.0 if temperature is None else temperature,
        max_tokens=_limit(body),
        stop=_stop(body),
        seed=integer(body, "seed", -_LARGEST_SEED - 1, _LARGEST_SEED) or 0,
        json_keys=keys,
        choices=choices,
    )
    stream, usage = _stream(body)
    count = integer(body, "n", 1, _MOST_CHOICES) or 1
    return ChatRequest(messages, params, count, _logprobs(body), stream, usage)
