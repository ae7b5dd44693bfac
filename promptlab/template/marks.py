"""Marks in Jinja's output stream: roles are objects between the texts, so no text can ever become one."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from typing import Any

from jinja2 import Undefined

from promptlab.records import Message, Role
from promptlab.template.rewriting import Edge, Words, put


class Data(str):
    """Text that came from an expression: never stripped, never a tag. Plain ``str`` is the template's own text."""

    __slots__ = ()


class Joined(str):
    """The text of a macro or block that remembers which parts are data."""

    __slots__ = ("parts",)
    parts: tuple[Any, ...]


class Row(dict[str, Any]):
    """A demo or a passage as templates see it: its columns; printed, it is its text, or JSON if it has none."""

    __slots__ = ()

    def __str__(self) -> str:
        text = self.get("text")
        return text if isinstance(text, str) else as_json(dict(self))


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
    if kind in (Data, Joined, Mark, Turns, Marked, Words, Edge):
        return value
    return Data(_shown(value))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (bool, int, float, list, dict, tuple)) and type(value) is not Row:
        return as_json(value)
    if isinstance(value, (Iterator, ItemsView, KeysView, ValuesView)):
        return as_json(list(value))
    if not isinstance(value, (str, Undefined)) and (callable(value) or type(value).__module__.startswith("jinja2")):
        raise StreamError(f"this is no text but a {type(value).__name__}: call it, or name a column")
    return str(value)  # StrictUndefined raises here


def as_json(value: Any, indent: int | None = None) -> str:
    """The value as JSON writes it, characters as they are (Jinja's tojson would escape ``<`` and ``'``)."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=str)


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
    try:
        content.encode()
    except UnicodeEncodeError as error:
        code = ord(content[error.start])
        raise StreamError(f"turn {place} holds the lone surrogate \\u{code:04x}, which UTF-8 cannot carry") from None
    return Message(role, content)


def messages(chunks: Iterable[Any], *, roles: bool = False) -> tuple[Message, ...]:
    """The stream as messages. Without role tags it is one user message; beside them, other text is an error.

    ``roles``: it is known that there are role tags, so that such text is an error where it stands, not at the end.
    """
    role: Role | None = None
    inside: list[str] = []
    outside: list[str] = []
    found: list[Message] = []
    tagged = roles
    for chunk in _flat(chunks):
        kind = type(chunk)
        if kind is Data or kind is str:
            if role is not None:
                inside.append(chunk)
            elif tagged:
                _refuse(chunk)
            else:
                outside.append(chunk)
        elif role is not None and (kind is Turns or chunk.role is not None):
            what = "`turns`" if kind is Turns else f"`{chunk.role}`"
            raise StreamError(f"{what} inside `{role}`: messages do not nest")
        elif kind is Turns:
            found.extend(chunk.messages)
            tagged = True
        elif role is not None:
            found.append(Message(role, _stripped(inside)))
            role, inside = None, []
        else:
            role = chunk.role
            tagged = True
    if not tagged:
        return (Message("user", _stripped(outside)),)
    for text in outside:
        _refuse(text)
    return tuple(each for each in found if each.content or each.role not in ("system", "developer"))


def _refuse(text: str) -> None:
    """Raise StreamError for what is printed beside the role tags, but for the template's white space."""
    if type(text) is Data:
        raise StreamError("a value is printed outside the role tags: put it into a message")
    if text and not text.isspace():
        raise StreamError(f"text outside the role tags: {text.strip()[:60]!r}; put it into a message")


def _flat(chunks: Iterable[Any]) -> Iterator[Any]:
    """The stream without nesting, rewritten options put in place."""
    stream = iter(chunks)
    for chunk in stream:
        kind = type(chunk)
        if kind is Joined or kind is Marked:
            yield from chunk.parts
        elif kind is Words:
            yield from put(chunk, stream)
        else:
            yield chunk


def _stripped(parts: list[str]) -> str:
    """The text without the template's newlines at its edges; a data part ends the stripping."""
    if len(parts) == 1 and type(parts[0]) is Data:
        return str(parts[0])
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
