"""From the bytes of a 200 answer to a Completion, or to the Fault that they are. Nothing is believed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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
    value = _parsed(data)
    if isinstance(value, Fault):
        return value
    choices = value.get("choices")
    if not choices and value.get("error"):
        return _error(value["error"], data, body)
    if "choices" not in value:
        return Fault("alien", f"HTTP 200 with JSON that has no choices: {line(json.dumps(value))[:100]}")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Fault("invalid", "HTTP 200 with empty or malformed choices")
    return _choice(choices[0], value, body)


def _parsed(data: bytes) -> dict[str, Any] | Fault:
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Fault("alien", "HTTP 200 with bytes that are not UTF-8")
    except (ValueError, RecursionError):
        return Fault("alien", f"HTTP 200 with {_kind_of_text(data)}")
    if not isinstance(value, dict):
        return Fault("alien", f"HTTP 200 with {line(json.dumps(value))[:60]} instead of a completion")
    return value


def sound(text: str) -> str:
    """The text with lone surrogates, which no file can hold, replaced by U+FFFD."""
    return SURROGATE.sub("\ufffd", text)


def _choice(choice: dict[str, Any], value: dict[str, Any], body: Mapping[str, Any]) -> Completion | Fault:
    if choice.get("error"):
        return _error(choice["error"], b"", body)
    message = choice.get("message")
    if not isinstance(message, dict):
        return Fault("invalid", "HTTP 200 with a choice that has no message")
    parts = _content(message.get("content"))
    if parts is None:
        return Fault("invalid", f"HTTP 200 with content of type {type(message['content']).__name__}")
    text, thought = reasoning.cut(parts[0])
    thoughts = dict.fromkeys((reasoning.of_fields(message), parts[1], thought))
    refusal = message.get("refusal")
    finish = choice.get("finish_reason")
    if isinstance(refusal, str) and refusal:
        text, finish = refusal, "content_filter"
    thinking = "\n".join(each for each in thoughts if each)
    return Completion(
        text=sound(text),
        finish_reason=sound(finish) if isinstance(finish, str) else "",
        usage=usage(value.get("usage"), body, sound(text + thinking)),
        model=sound(_text(value.get("model"))),
        reasoning=sound(thinking),
        fingerprint=sound(_text(value.get("system_fingerprint"))),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


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
    digits = str(code)
    status = int(digits) if digits.isdecimal() and 400 <= int(digits[:6]) <= 599 else 0
    return of_status(status, of(error), asked_wait({}, data[:20_000].decode("utf-8", "replace")), body)


def _kind_of_text(data: bytes) -> str:
    start = data[:200].decode("utf-8", "replace").lstrip()
    if not start:
        return "an empty body"
    if start.startswith("<"):
        return f"an HTML page: {read(data).text[:80]}"
    if start.startswith(("data:", "event:", ":")):
        return "a stream of events, which was not asked for"
    return f"broken JSON: {line(start)[:60]}"
