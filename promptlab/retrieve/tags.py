"""HTML as tags and text, read as browsers read it: every character once, so that no page takes long.

The standard library's parser looks for the end of what is not closed again and again, stops at some declarations, and
gives another text from one Python to the next; passages must not.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

Piece: TypeAlias = tuple[Literal["text", "open", "close", "empty"], str]

_RAW = frozenset({"script", "style", "iframe", "noembed", "noframes", "xmp"})  # what they hold is no markup
_TEXTUAL = frozenset({"title", "textarea"})  # nor is this, but for character references
_NAME = re.compile(r"</?([a-zA-Z][^\s/>]*+)")
_ATTRIBUTES = re.compile(
    r"""(?:[\s/]*+[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|(?!["'])[^\s>]*+))?+)*+[\s/]*+>"""
)
_COMMENT = re.compile(r"--!?>")
_NUMBER = re.compile(r"&#(?:x([0-9a-f]{9,}+)|([0-9]{9,}+));?", re.IGNORECASE)


def pieces(source: str) -> Iterator[Piece]:
    """Text and names of tags, in order. What is never closed ends with the page, as in browsers."""
    at, sought = 0, 0
    while (start := source.find("<", sought)) >= 0:
        name = _NAME.match(source, start)
        if name is None and source[start + 1 : start + 2] not in ("!", "?", "/"):
            sought = start + 1  # a < that begins nothing is text
            continue
        if start > at:
            yield "text", _characters(source[at:start])
        if name is None:
            at = sought = _beyond(source, start)
            continue
        rest = _ATTRIBUTES.match(source, name.end())
        if rest is None:
            return
        at, tag = rest.end(), name[1].lower()
        if source[start + 1] == "/":
            yield "close", tag
        elif source[at - 2] == "/":
            yield "empty", tag
        elif tag in _RAW or tag in _TEXTUAL:
            end = _closing(source, tag, at)
            yield "open", tag
            if end > at:
                yield "text", source[at:end] if tag in _RAW else _characters(source[at:end])
            at = end
        else:
            yield "open", tag
        sought = at
    if at < len(source):
        yield "text", _characters(source[at:])


def _beyond(source: str, start: int) -> int:
    """The end of a comment, or of a declaration or the like, which browsers take for one."""
    if source.startswith("<!--", start):
        found = _COMMENT.search(source, start + 4)
        if source.startswith((">", "->"), start + 4):  # closed at once
            return source.index(">", start) + 1
        return found.end() if found else len(source)
    end = source.find(">", start)
    return end + 1 if end >= 0 else len(source)


def _closing(source: str, tag: str, start: int) -> int:
    """Where the tag is that closes a raw element; where there is none, the page's end."""
    found = re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE).search(source, start)
    return found.start() if found else len(source)


def _characters(text: str) -> str:
    """Text with its character references resolved; a number past all characters is the sign for that."""
    return html.unescape(_NUMBER.sub(_far, text)) if "&" in text else text


def _far(found: re.Match[str]) -> str:
    digits = (found[1] or found[2]).lstrip("0")
    if len(digits) > 8:
        return "\ufffd"
    return f"&#{'x' if found[1] else ''}{digits or 0};"
