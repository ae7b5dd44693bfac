"""Reads ``Input: ... / Label: ...`` blocks: demonstrations, and the one input that is still to be answered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_INPUTS_TEXT = """
input text message question sentence query review article news headline document utterance email mail ticket
statement tweet item post comment request title q user customer human complaint content example passage claim
premise
"""
_INPUTS = frozenset(_INPUTS_TEXT.split())
_OUTPUTS_TEXT = """
output label answer intent category class classification sentiment topic type a assistant response result tag
prediction emotion genre department queue team reply theme
"""
_OUTPUTS = frozenset(_OUTPUTS_TEXT.split())
_FIELD = re.compile(
    r"^\s*(?:[-*>]\s+)?(?:#{1,4}\s*|\*\*)?(?P<name>[A-Za-z](?:[A-Za-z'"
    r" _-]{0,28}[A-Za-z])?)(?:\s*#?\d{1,4})?(?:\*\*)?\s*[:\uff1a](?:\*\*)?(?:\s+(?P<value>.*))?$"
)
_ONE_LINE = re.compile(r"\s(?P<name>[A-Z][a-z]{1,14}):(?=\s|$)")
_XML = re.compile(r"<(?P<name>[A-Za-z_]{1,20})>(?P<value>[^<]*)</(?P=name)>")
_ARROW = re.compile("->|=>|\u2192|\u21d2")
_BULLET = re.compile(r"[-*\u2022]\s+(?=\S)")
_EXAMPLE = re.compile(
    r"^\s*(?:#{1,4}\s*|\*\*)?(?:<?/?examples?>?|demonstrations?|shots?)\s*#?\d{0,4}(?:\*\*)?\s*:?(?:\*\*)?\s*$", re.I
)

_LONGEST_CACHED = 8_000  # characters: demonstrations come again and again, and huge texts must not fill the memory


@dataclass(frozen=True, slots=True)
class Demo:
    """A demonstration: an input and the answer that was given to it, as written."""

    text: str
    output: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What was read: the text before the first field, the demonstrations, the open input (None: there is none).

    ``cued``: the text ends with an empty output field (``Label:``), so an answer is expected right there.
    """

    head: str
    demos: tuple[Demo, ...] = ()
    query: str | None = None
    cued: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    kind: str  # "input", "output", "" (goes on), "example" (a heading between demonstrations)
    text: str


def _kind(name: str, open_pair: tuple[str, str] = ("", "")) -> str:
    """What a field's name stands for: a known word, or one of the pair of names that the text ends with."""
    low = name.lower()
    last = re.split(r"[ _-]", low.strip())[-1]
    if low == open_pair[1] or last in _OUTPUTS:
        return "output"
    return "input" if low == open_pair[0] or last in _INPUTS else ""


def _open_pair(lines: list[str]) -> tuple[str, str]:
    """The names of the last two fields, if the last is empty and ends the text: ``Wish: ... Desk:`` asks for a desk."""
    filled = [line for line in lines if line.strip()]
    final = _FIELD.match(filled[-1]) if filled else None
    if final is None or (final["value"] or "").strip():
        return "", ""
    output = final["name"].lower()
    matches = (_FIELD.match(line) for line in reversed(filled[:-1]))
    before = next((match["name"].lower() for match in matches if match), "")
    return (before if before != output else ""), output


def _spread(text: str) -> list[str]:
    """The lines of ``text``, XML pairs written as fields and several fields on one line put on lines of their own."""

    def as_field(match: re.Match[str]) -> str:
        known = _kind(match["name"])
        return f"\n{match['name']}: {match['value'].strip()}\n" if known else match.group()

    lines: list[str] = []
    for line in _XML.sub(as_field, text).splitlines():
        first, spread = _FIELD.match(line), line
        if first and _kind(first["name"]):
            spread = _ONE_LINE.sub(lambda m: f"\n{m['name']}:" if _kind(m["name"]) == "output" else m.group(), line)
        lines += spread.split("\n")
    return lines


def _classified(lines: list[str]) -> list[_Line]:
    pair = _open_pair(lines)
    out = []
    for line in lines:
        match = _FIELD.match(line)
        kind = _kind(match["name"], pair) if match else ""
        if kind and match:
            out.append(_Line(kind, match["value"] or ""))
        else:
            out.append(_Line("example" if _EXAMPLE.match(line) else "", line))
    return out


def _arrows(text: str) -> Fields | None:
    """``text -> label`` lines; an empty right side on the last of them is the open input."""
    lines = text.splitlines()
    pairs = [(i, pair) for i, line in enumerate(lines) if (pair := _pair(line))]
    if len(pairs) < 2:
        return None
    demos = [Demo(*pair) for _, pair in pairs if pair[1]]
    last_place, (asked, answer) = pairs[-1]
    query = None if answer else asked
    if query is None:
        after = "\n".join(lines[last_place + 1 :]).strip()
        query = after or None
    return Fields("\n".join(lines[: pairs[0][0]]), tuple(demos), query, not answer)


def _pair(line: str) -> tuple[str, str] | None:
    """What stands left and right of the first arrow that something stands left of, without bullet and quotes."""
    for arrow in _ARROW.finditer(line):
        left = line[: arrow.start()].strip()
        bullet = _BULLET.match(left)
        left = left[bullet.end() :] if bullet else left
        if not left:
            continue
        if left[0] in "\"'\u201c" and left[1:2].strip():
            left = left[1:]
        if left[-1] in "\"'\u201d" and len(left) > 1:
            left = left[:-1]
        return left.strip(), line[arrow.end() :].strip()
    return None


class _Reader:
    """Folds classified lines into demonstrations and the open input."""

    def __init__(self) -> None:
        self.head: list[str] = []
        self.demos: list[Demo] = []
        self.input: list[str] | None = None
        self.output: list[str] | None = None

    def close(self) -> None:
        """Ends a demonstration if its output is filled."""
        answer = "\n".join(self.output or []).strip()
        if self.input is not None and answer:
            self.demos.append(Demo("\n".join(self.input).strip(), answer))
            self.input = self.output = None

    def feed(self, line: _Line) -> None:
        if line.kind == "input":
            self.close()
            self.input, self.output = [line.text], None
        elif line.kind == "output" and self.input is not None:
            self.output = [line.text]
        elif line.kind == "example":
            self.close()
        elif self.output is not None:
            if not line.text.strip() and any(self.output):
                self.close()
            else:
                self.output.append(line.text)
        elif self.input is not None:
            self.input.append(line.text)
        else:
            self.head.append(line.text)


def _read(text: str) -> Fields:
    reader = _Reader()
    for line in _classified(_spread(text)):
        reader.feed(line)
    cued = reader.output is not None and not any(part.strip() for part in reader.output)
    reader.close()
    query = None if reader.input is None else "\n".join(reader.input).strip()
    if query is None and not reader.demos:
        arrows = _arrows(text)
        if arrows is not None:
            return arrows
    return Fields("\n".join(reader.head).strip(), tuple(reader.demos), query, cued)


_cached = lru_cache(maxsize=2048)(_read)


def read_fields(text: str) -> Fields:
    """The demonstrations and the open input that ``text`` writes as named fields, arrows or XML pairs."""
    return _cached(text) if len(text) <= _LONGEST_CACHED else _read(text)
