"""Marks in Jinja's output stream: roles are objects between the texts, so no text can ever become one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from jinja2 import Undefined

from promptlab.records import Message, Role


class Data(str):
    """Text that came from an expression: never stripped, never a tag. Plain ``str`` is the template's own text."""

    __slots__ = ()


class Joined(str):
    """The text of a macro or block that remembers which parts are data."""

    __slots__ = ("parts",)
    parts: tuple[Any, ...]


class Mark:
    """The start (``role``) or end (``role`` None) of a message."""

    __slots__ = ("role",)

    def __init__(self, role: Role | None) -> None:
        self.role = role

    def __str__(self) -> str:
        raise StreamError("a role tag cannot go through a filter or an expression")


class Turns:
    """A column of earlier turns, as messages."""

    __slots__ = ("messages",)

    def __init__(self, messages: tuple[Message, ...]) -> None:
        self.messages = messages

    __str__ = Mark.__str__


class Marked:
    """The output of a macro or block that holds role tags."""

    __slots__ = ("parts",)

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts

    __str__ = Mark.__str__


class StreamError(Exception):
    """Role tags used in a way that makes no messages."""


def finalize(value: Any) -> Any:
    """What an expression leaves in the stream: text as it is, other values as JSON writes them, nothing for null."""
    kind = type(value)
    if kind is str:
        return Data(value)
    if kind in (Data, Joined, Mark, Turns, Marked):
        return value
    if value is None:
        return Data("")
    if isinstance(value, (str, Undefined)):
        return Data(str(value))  # StrictUndefined raises here
    if isinstance(value, (bool, int, float, list, dict, tuple)):
        return Data(json.dumps(value, ensure_ascii=False, default=str))
    return Data(str(value))


def concat(chunks: Iterable[Any]) -> Any:
    """Jinja's way to join a macro's or block's output: text that remembers its data parts, or marks untouched."""
    parts = tuple(_flat(chunks))
    if all(isinstance(part, str) for part in parts):
        joined = Joined("".join(parts))
        joined.parts = parts
        return joined
    return Marked(parts)


def turns(history: Any) -> Turns:
    """The messages of ``{% turns column %}``: {role, content} pairs, or JSON text of them; user and assistant only."""
    if isinstance(history, str):
        try:
            history = json.loads(history) if history.strip() else []
        except ValueError as error:
            raise StreamError(
                f"`turns` needs a list of {{role, content}}, and this text is not JSON: {error}"
            ) from None
    if not isinstance(history, (list, tuple)):
        raise StreamError(f"`turns` needs a list of {{role, content}}, not {type(history).__name__}")
    return Turns(tuple(_turn(place, turn) for place, turn in enumerate(history, 1)))


def _turn(place: int, turn: Any) -> Message:
    role = turn.get("role") if isinstance(turn, dict) else None
    content = turn.get("content") if isinstance(turn, dict) else None
    if role not in ("user", "assistant") or not isinstance(content, str):
        raise StreamError(f"turn {place} must be {{role: user or assistant, content: text}}, not {turn!r:.80}")
    return Message(role, content)


def messages(chunks: Iterable[Any]) -> tuple[Message, ...]:
    """The stream as messages. Without role tags it is one user message; beside them, other text is an error."""
    role: Role | None = None
    inside: list[str] = []
    outside: list[str] = []
    found: list[Message] = []
    tagged = False
    for chunk in _flat(chunks):
        if isinstance(chunk, str):
            (outside if role is None else inside).append(chunk)
        elif isinstance(chunk, Turns):
            tagged = True
            if role is not None:
                raise StreamError(f"`turns` inside `{role}`: turns are messages of their own")
            found.extend(chunk.messages)
        elif chunk.role is None:
            if role is not None:
                found.append(Message(role, _stripped(inside)))
            role, inside = None, []
        else:
            tagged = True
            if role is not None:
                raise StreamError(f"`{chunk.role}` inside `{role}`: messages do not nest")
            role = chunk.role
    if not tagged:
        return (Message("user", _stripped(outside)),)
    for text in outside:
        if isinstance(text, Data) or text.strip():
            raise StreamError(f"text outside the role tags: {text.strip()[:60]!r}; put it into a message")
    return tuple(each for each in found if each.content or each.role not in ("system", "developer"))


def _flat(chunks: Iterable[Any]) -> Iterator[Any]:
    for chunk in chunks:
        if isinstance(chunk, (Joined, Marked)):
            yield from chunk.parts
        else:
            yield chunk


def _stripped(parts: list[str]) -> str:
    """The text without the template's newlines at its edges; a data part ends the stripping."""
    first, last = 0, len(parts)
    parts = list(parts)
    while first < last and type(parts[first]) is str:
        parts[first] = parts[first].lstrip("\n")
        if parts[first]:
            break
        first += 1
    while last > first and type(parts[last - 1]) is str:
        parts[last - 1] = parts[last - 1].rstrip("\n")
        if parts[last - 1]:
            break
        last -= 1
    return "".join(parts[first:last])
