"""From the bytes of a 200 answer to a Completion, or to the Fault that they are. Nothing is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from sys import intern
from typing import Any

from promptlab.endpoint import reasoning
from promptlab.endpoint.complaint import line, of, read
from promptlab.endpoint.fault import Fault, of_status
from promptlab.endpoint.retry import asked_wait
from promptlab.endpoint.usage import usage
from promptlab.records import Completion

SURROGATE = re.compile("[\ud800-\udfff]")


def completion(data: bytes, body: Mapping[str, Any]) -> Completion | Fault:
    """What the chat completion ``data`` says to the request ``body``."""
    value = opened(data, "choices", body)
    if isinstance(value, Fault):
        return value
    choices = value["choices"]
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Fault("invalid", "HTTP 200 with empty or malformed choices")
    return _choice(choices[0], value, body)


def opened(data: bytes, key: str, body: Mapping[str, Any]) -> dict[str, Any] | Fault:
    """The JSON object of a 200 answer, which holds ``key``; else the fault that it is."""
    value = _parsed(data)
    if isinstance(value, Fault) or value.get(key):
        return value
    if value.get("error"):
        return _error(value["error"], data, body)
    if value.get("object") == "error":
        return _error(value, data, body)
    return value if key in value else Fault("alien", f"HTTP 200 with JSON that has no {key}: {_start(data, 100)}")


def _parsed(data: bytes) -> dict[str, Any] | Fault:
    try:
        text = data.decode()
        value = json.loads(text[1:] if text[:1] == "\ufeff" else text)
    except UnicodeDecodeError:
        return Fault("alien", "HTTP 200 with bytes that are not UTF-8")
    except (ValueError, RecursionError):
        return Fault("alien", f"HTTP 200 with {_kind_of_text(data)}")
    return value if isinstance(value, dict) else Fault("alien", f"HTTP 200 with {_start(data, 60)} and no object")


def sound(text: str) -> str:
    """The text with lone surrogates, which no file can hold, replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return SURROGATE.sub("\ufffd", text)
    return text


def word(value: Any) -> str:
    """A name that comes again in every answer, held once; empty if the value is no text."""
    return intern(sound(value)) if isinstance(value, str) else ""


def _choice(choice: dict[str, Any], value: dict[str, Any], body: Mapping[str, Any]) -> Completion | Fault:
    if choice.get("error"):
        return _error(choice["error"], b"", body)
    message = choice.get("message")
    if not isinstance(message, dict):
        return Fault("invalid", "HTTP 200 with a choice that has no message")
    parts = _content(message.get("content"))
    if parts is None:
        return Fault("invalid", f"HTTP 200 with content of type {type(message['content']).__name__}")
    text, tagged = reasoning.cut(parts[0])
    thinking = reasoning.of_fields(message)
    if tagged or parts[1]:
        thinking = "\n".join(each for each in dict.fromkeys((thinking, parts[1], tagged)) if each)
    finish, refusal = choice.get("finish_reason"), message.get("refusal")
    if refusal and isinstance(refusal, str):
        text, finish = refusal, "content_filter"
    text, thinking = sound(text), sound(thinking)
    return Completion(
        text,
        word(finish),
        usage(value.get("usage"), body, text, thinking),
        word(value.get("model")),
        thinking,
        word(value.get("system_fingerprint")),
    )


def _content(content: Any) -> tuple[str, str] | None:
    """(text, reasoning) of a message's content: a string, null or a list of parts; None if it is none of these."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        return None
    texts: list[str] = []
    thoughts: list[str] = []
    for each in content:
        if isinstance(each, str):
            texts.append(each)
        elif isinstance(each, dict) and isinstance(each.get("text"), str):
            texts.append(each["text"])
        elif isinstance(each, dict):
            thoughts.append(reasoning.part(each))
        else:
            return None
    return "".join(texts), "".join(thoughts)


def _error(error: Any, data: bytes, body: Mapping[str, Any]) -> Fault:
    """An error inside a 200: what its code says counts as if it were the HTTP status."""
    code = error.get("code") if isinstance(error, dict) else None
    digits = str(code) if isinstance(code, int | str) else ""
    status = int(digits) if digits.isdecimal() and 400 <= int(digits[:6]) <= 599 else 0
    return of_status(status, of(error), asked_wait({}, data[:20_000].decode("utf-8", "replace")), body)


def _kind_of_text(data: bytes) -> str:
    start = data[:200].decode("utf-8", "replace").lstrip()
    if not start:
        return "an empty body"
    if start.startswith("<"):
        return f"an HTML page: {line(read(data).text, 80)}"
    if start.startswith(("data:", "event:", ":")):
        return "a stream of events, which was not asked for"
    return f"broken JSON: {_start(data, 60)}"


def _start(data: bytes, longest: int) -> str:
    return line(data[:2_000].decode("utf-8", "replace"), longest)
