"""Documents cut into passages: by words, sentences, paragraphs or headings, with overlap, or not at all.

A passage's text is its document's text from ``start`` to ``end``, to the character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from promptlab.errors import BadInput, Problem, nearest
from promptlab.records import Passage
from promptlab.retrieve.document import Document
from promptlab.retrieve.terms import UNSPACED

Unit = Literal["words", "sentences", "paragraphs", "headings", "whole"]
Span: TypeAlias = tuple[int, int]

FRONT = re.compile(r"---[^\S\n]*\n(?:.*\n)*?---[^\S\n]*(?:\n|\Z)")
"""The YAML that may stand in front of a Markdown text."""
_HEADING = re.compile(r"(?:\A|[\r\n])[^\S\r\n]*(?:#|(?:=+|-+)[^\S\r\n]*(?:[\r\n]|\Z))")  # what may be one
_DEEPEST = 6
_WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")  # of scripts without spaces, a letter counts as a word
_BLANK = re.compile(r"(?>\r\n|\r|\n)[^\S\r\n]*+(?:(?>\r\n|\r|\n)[^\S\r\n]*+)++")  # \r\n is one line end
_STOP = re.compile(r"(?<![.!?…])[.!?…]++[\"'”\u2019»)\]]*(?=\s)|[。\uff01\uff1f]+[」』”\u2019)]*")
_SHORT = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|sr|jr|st|vs|etc|no|nos|fig|vol|inc|ltd|co|corp|dept|approx|cf|al|e\.g|i\.e)"
    r"|\b[^\W\d_])\.$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Chunking:
    """Passages of ``size`` units, each sharing ``overlap`` units with the one before.

    By headings, ``size`` is the deepest level that opens a passage; whole documents have no size. Raises BadInput.
    """

    unit: Unit = "whole"
    size: int = 1
    overlap: int = 0

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise BadInput(problems)


def chunks(document: Document, chunking: Chunking) -> Iterator[Passage]:
    """The passages of a document, in order; none if it is blank. One that is alone has the document's id."""
    units = _UNITS[chunking.unit](document.text, chunking.size)
    if chunking.unit in ("headings", "whole"):
        spans = units
    else:
        step = chunking.size - chunking.overlap
        # the last window is the first that reaches the end: another would hold nothing new
        firsts = range(0, max(len(units) - chunking.overlap, 1), step) if units else ()
        spans = [(units[first][0], units[min(first + chunking.size, len(units)) - 1][1]) for first in firsts]
    for start, end in spans:
        own = document.id if len(spans) == 1 else f"{document.id}#{start}-{end}"
        text = document.text[start:end]
        yield Passage(own, text, title=document.title, source=document.id, start=start, end=end)


def _problems(way: Chunking) -> Iterator[Problem]:
    if way.unit not in get_args(Unit):
        yield Problem(f"unknown chunking {way.unit!r}", remedy=nearest(str(way.unit), get_args(Unit)))
    elif isinstance(way.size, bool) or not isinstance(way.size, int) or way.size < 1:
        yield Problem(f"chunks of {way.size!r} {way.unit}", remedy="Write a whole number from 1.")
    elif way.unit == "headings" and way.size > _DEEPEST:
        yield Problem(f"headings of level {way.size}", remedy="Levels go from 1 to 6.")
    elif isinstance(way.overlap, bool) or not isinstance(way.overlap, int) or way.overlap < 0:
        yield Problem(f"an overlap of {way.overlap!r} {way.unit}", remedy="Write a whole number from 0.")
    elif way.unit in ("headings", "whole") and way.overlap:
        yield Problem(f"an overlap of {way.overlap} with {way.unit}", remedy="Only counted units can overlap.")
    elif way.unit not in ("headings", "whole") and way.overlap >= way.size:
        remedy = f"Write an overlap below {way.size}: else passages would not move on."
        yield Problem(f"an overlap of {way.overlap} with chunks of {way.size} {way.unit}", remedy=remedy)


def _words(text: str, _: int) -> list[Span]:
    return [found.span() for found in _WORD.finditer(text)]


def _sentences(text: str, _: int) -> list[Span]:
    """Up to a full stop, question or exclamation mark that an abbreviation or a small letter does not undo."""
    cuts = []
    for stop in _STOP.finditer(text):
        after = text[stop.end() : stop.end() + 40].lstrip()
        if stop[0] == "." and _SHORT.search(text, max(stop.start() - 12, 0), stop.end()):
            continue
        if not after[:1].islower():
            cuts.append(stop.end())
    return _between(text, sorted({*cuts, *(found.start() for found in _BLANK.finditer(text))}))


def _paragraphs(text: str, _: int) -> list[Span]:
    return _between(text, [found.start() for found in _BLANK.finditer(text)])


def _headings(text: str, level: int) -> list[Span]:
    """Sections under Markdown's headings (those of HTML have become such), up to a level; what precedes is one too."""
    if not _HEADING.search(text):
        return _between(text, [])
    from markdown_it import MarkdownIt

    lines = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", text))]
    reader = MarkdownIt("commonmark", {"maxNesting": 100}).disable("inline")
    opened = (each for each in reader.parse(text) if each.type == "heading_open" and each.level == 0)
    cuts = [lines[each.map[0]] for each in opened if each.map and int(each.tag[1:]) <= level]
    front = FRONT.match(text)  # its last line would make a heading of the one before
    return _between(text, [cut for cut in cuts if not front or cut >= front.end()])


def _whole(text: str, _: int) -> list[Span]:
    return _between(text, [])


def _between(text: str, cuts: Sequence[int]) -> list[Span]:
    """The stretches between the cuts, without the white space at their edges; none that is blank."""
    spans = []
    for start, end in zip((0, *cuts), (*cuts, len(text)), strict=True):
        piece = text[start:end]
        if stripped := piece.strip():
            first = start + len(piece) - len(piece.lstrip())
            spans.append((first, first + len(stripped)))
    return spans


_UNITS: Mapping[str, Callable[[str, int], list[Span]]] = {
    "words": _words,
    "sentences": _sentences,
    "paragraphs": _paragraphs,
    "headings": _headings,
    "whole": _whole,
}
