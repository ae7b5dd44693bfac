"""Takes the passages out of a text: ``<passage id=..>``, ``[1] text``, ``Passage 3: text`` or a ``Passages:`` block."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
_FIELD = re.compile(
    r"^\s*(?:#+\s*|\*\*)?(?:[a-z' ]{0,20})?(?:question|query|answer|q|a|message|input|output|label|intent|task"
    r"|instructions?)\s*\d*(?:\*\*)?\s*:",
    re.I,
)


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
        nested = _marked(inner)
        passages += nested.passages or [inner.strip()]
        rest.append(text[place : opening.start()])
        place = end + len(tag) + 3
    rest.append(text[place:])
    left = "\n".join(line for line in "".join(rest).splitlines() if not _WRAPPER.match(line))
    return Found(tuple(p for p in passages if p), left) if passages else Found((), text)


def _marked(text: str) -> Found:
    """Passages that begin with a mark on their line. The last ends at a blank line or a field (``Question:``)."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if _MARK.match(line)]
    if not starts:
        return Found((), text)
    passages: list[str] = []
    rest = lines[: starts[0]]
    if rest and _HEADING.match(rest[-1]):
        rest.pop()
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        match = _MARK.match(lines[start])
        assert match is not None
        title = (match["title"] or "").strip("()")
        body = [f"{title}: {match['text']}" if title else match["text"]]
        stop = start + 1
        last, filled = end == len(lines), bool(body[0])
        while stop < end and not _FIELD.match(lines[stop]) and not (last and filled and not lines[stop].strip()):
            body.append(lines[stop])
            filled = filled or bool(lines[stop].strip())
            stop += 1
        rest += lines[stop:end]
        passages.append("\n".join(body).strip())
    return Found(tuple(p for p in passages if p), "\n".join(rest))


def _headed(text: str) -> Found:
    """Passages under a heading such as ``Passages:``: list items, or paragraphs, up to a field (``Question:``)."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if _HEADING.match(line)), None)
    if start is None:
        return Found((), text)
    end = next((i for i in range(start + 1, len(lines)) if _FIELD.match(lines[i])), len(lines))
    heading = _HEADING.match(lines[start])
    assert heading is not None
    block = [heading["text"], *lines[start + 1 : end]]
    items = [match["text"] for line in block if (match := _BULLET.match(line))]
    left: list[str] = []
    if not items:
        items = [part.strip() for part in re.split(r"\n\s*\n", "\n".join(block)) if part.strip()]
        if end == len(lines) and len(items) > 1 and items[-1].endswith("?"):
            left = [items.pop()]  # the question follows the passages without a name of its own
    return Found(tuple(items), "\n".join([*lines[:start], *left, *lines[end:]])) if items else Found((), text)


def take_passages(text: str) -> Found:
    """The passages in ``text`` by the first of the three ways of writing them that is found."""
    for way in (_tagged, _marked, _headed):
        found = way(text)
        if found.passages:
            return found
    return Found((), text)
