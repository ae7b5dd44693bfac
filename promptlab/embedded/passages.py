"""Takes the passages out of a text: ``<passage id=..>``, ``[1] text``, ``Passage 3: text`` or a ``Passages:`` block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from promptlab.embedded.ends import FIELD, answered, asks, end, is_title
from promptlab.embedded.words import content_stems

_TAG_OPEN = re.compile(r"<(?P<tag>passage|document|doc|source|context|chunk|snippet)\b[^<>\n]{0,300}>", re.I)
_WRAPPER = re.compile(r"^\s*</?(?:passages|documents|docs|sources|chunks|snippets|contexts)>\s*$", re.I)
_KIND = r"(?:passage|document|doc|source|context|chunk|snippet|excerpt)"
_MARK = re.compile(
    rf"^\s*(?:\*\*)?(?:\[(?P<bracket>[A-Za-z_-]{{0,12}}\d{{1,8}})\]"
    rf"|{_KIND}\s*#?\[?(?P<number>\w{{0,6}}\d{{1,8}})\]?)(?:\*\*)?"
    rf"\s*(?P<title>\([^()\n]{{1,120}}\))?\s*[:.)\u2013\u2014-]?\s*(?P<text>.*)$",
    re.I,
)
_HEADING = re.compile(
    rf"^\s*(?:#+\s*|\*\*)?(?:the |retrieved |relevant |search )?{_KIND}s?(?:"
    rf" passages?)?(?:\*\*)?\s*:(?:\*\*)?\s*(?P<text>.*)$",
    re.I,
)
_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\(?\d{1,3}[.)])\s+(?P<text>\S.*)$")


@dataclass(frozen=True, slots=True)
class Found:
    """The passages of a text, in order, and what is left of the text without them."""

    passages: tuple[str, ...]
    rest: str


def _tagged(text: str) -> Found:
    """Passages inside tags; an opening tag that is never closed is plain text."""
    passages: list[str] = []
    rest: list[str] = []
    lower, place, unclosed = text.lower(), 0, set[str]()
    for opening in _TAG_OPEN.finditer(text):
        tag = opening["tag"].lower()
        if opening.start() < place or tag in unclosed:
            continue
        end = lower.find(f"</{tag}>", opening.end())
        if end < 0:
            unclosed.add(tag)
            continue
        inner = text[opening.end() : end]
        nested = _marked(inner, closed=True)
        passages += nested.passages or [inner.strip()]
        rest.append(text[place : opening.start()])
        place = end + len(tag) + 3
    rest.append(text[place:])
    left = "\n".join(line for line in "".join(rest).splitlines() if not _WRAPPER.match(line))
    return Found(tuple(p for p in passages if p), left) if passages else Found((), text)


def _goes_on(one: re.Match[str], following: re.Match[str]) -> bool:
    """Whether the second mark counts on from the first: then what stands between them is the first's passage."""
    before, after = (re.search(r"\d+$", match["bracket"] or match["number"] or "") for match in (one, following))
    return before is not None and after is not None and int(after.group()) == int(before.group()) + 1


def _body(match: re.Match[str]) -> str:
    title = (match["title"] or "").strip("()")
    return f"{title}: {match['text']}" if title else str(match["text"])


def _marked(text: str, closed: bool = False, holds_query: bool = True) -> Found:
    """Passages that begin with a mark on their line, each up to the next; the last up to what ``end`` finds.

    ``closed``: the text is nothing but passages.
    """
    lines = text.splitlines()
    marks = [(i, match) for i, line in enumerate(lines) if (match := _MARK.match(line))]
    if not marks:
        return Found((), text)
    passages: list[str] = []
    rest = lines[: marks[0][0]]
    if rest and _HEADING.match(rest[-1]):
        rest.pop()
    for place, (start, match) in enumerate(marks):
        following = marks[place + 1] if place + 1 < len(marks) else None
        block = [_body(match), *lines[start + 1 : following[0] if following else len(lines)]]
        if closed:
            stop = len(block)
        elif following is None:
            stop = end(block, asks(rest), holds_query)
        elif _goes_on(match, following[1]) and not answered(block):
            stop = len(block)
        else:
            stop = next((i for i in range(1, len(block)) if FIELD.match(block[i])), len(block))
        rest += block[stop:]
        passages.append("\n".join(block[:stop]).strip())
    return Found(tuple(p for p in passages if p), "\n".join(rest))


def _items(block: Sequence[str]) -> list[str]:
    """The items of a list, each with the lines that go on with it; or paragraphs, each with its title."""
    if _BULLET.match(next((line for line in block if line.strip()), "")):
        items: list[str] = []
        for line in block:
            match = _BULLET.match(line)
            if match:
                items.append(match["text"])
            elif items:
                items[-1] += "\n" + line
        return [item.strip() for item in items]
    items, title = [], ""
    for part in (part.strip() for part in re.split(r"\n\s*\n", "\n".join(block)) if part.strip()):
        if title and set(content_stems(title)) <= set(content_stems(part)):
            items[-1] += "\n\n" + part
        else:
            items.append(part)
        title = part if is_title(part) else ""
    return items


def _headed(text: str, holds_query: bool = True) -> Found:
    """Passages under a heading such as ``Passages:``: list items, or paragraphs, up to what ``end`` finds."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _HEADING.match(line)), None)
    if start is None:
        return Found((), text)
    heading = _HEADING.match(lines[start])
    assert heading is not None
    block = [heading["text"], *lines[start + 1 :]]
    stop = end(block, asks(lines[:start]), holds_query, many=True)
    items = _items(block[:stop])
    return Found(tuple(items), "\n".join([*lines[:start], *block[stop:]])) if items else Found((), text)


def take_passages(text: str, holds_query: bool = True) -> Found:
    """The passages in ``text`` by the first of the three ways of writing them that is found.

    ``holds_query``: the text is a message, which also says what to do with the passages; not so in a system prompt.
    """
    found = _tagged(text)
    if not found.passages:
        found = _marked(text, holds_query=holds_query)
    return found if found.passages else _headed(text, holds_query)
