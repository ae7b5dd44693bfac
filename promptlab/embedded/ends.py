"""Where passages end and the question, the orders or the demonstrations after them begin."""

from __future__ import annotations

import re
from collections.abc import Sequence

FIELD = re.compile(
    r"^\s*(?:#+\s*|\*\*)?(?:[a-z' ]{0,20})?(?:question|query|answer|q|a|message|input|output|label|intent|task"
    r"|instructions?)\s{0,3}\d{0,6}(?:\*\*)?\s{0,3}:",
    re.I,
)
_ASKED = re.compile(
    r"^\s*(?:#+\s*|\*\*)?(?P<name>(?:[a-z']{1,10} ){0,3}(?:question|query|q))\s{0,3}\d{0,6}(?:\*\*)?"
    r"\s{0,3}:(?:\*\*)?(?P<value>.*)$",
    re.I,
)
_ANSWERED = re.compile(
    r"^\s*(?:#+\s*|\*\*)?(?:[a-z']{1,10} ){0,3}(?:answer|a)\s{0,3}\d{0,6}(?:\*\*)?\s{0,3}:(?:\*\*)?\s*\S", re.I
)
_ORDER = re.compile(
    r"^\s*(?:#+\s*|\*\*)?(?:(?:now|then|please|finally),? )*(?:answer|reply|respond|classify|categori[sz]e|label|labels"
    r"|categories|intents|allowed|the possible|possible|one of|instructions?|task|your task|you are|you will|you have"
    r"|explain|be (?:brief|short|concise))\b",
    re.I,
)
_ABOUT = re.compile(
    r"\b(?:the|these|this|those|each|every|no|given|numbered) (?:\w+ )?"
    r"(?:passages?|context|documents|sources|excerpts?|question)\b"
    r"|\banswer(?:s|ed)?\b|\breply\b|\brespond\b|\bjson\b|\b(?:don't|do not) know\b|\bsay so\b",
    re.I,
)  # words in which an order speaks of the prompt itself
_TOLD = re.compile(r"^\s*(?:#+\s*|\*\*)?(?:instructions?|task)(?:\*\*)?\s{0,3}:", re.I)
_BLANK_ANSWER = re.compile(
    r"^\s*(?:#+\s*|\*\*)?(?:[a-z' ]{0,20})?(?:answer|a|output|label|intent)"
    r"\s{0,3}\d{0,6}(?:\*\*)?\s{0,3}:(?:\*\*)?\s*$",
    re.I,
)
_LIST = re.compile(r"^\s*(?:[-*\u2022]|\(?\d{1,3}[.)])\s")
_TITLE_LENGTH = 80


def asks(lines: Sequence[str]) -> str:
    """The question that ``lines`` put in a named field and leave without an answer; "" if there is none."""
    open_one = ""
    for line in lines:
        if match := _ASKED.match(line):
            open_one = match["value"].strip()
        elif _ANSWERED.match(line):
            open_one = ""
    return open_one


def answered(lines: Sequence[str]) -> bool:
    """Whether a field of ``lines`` answers a question asked in a field above it: a demonstration."""
    asked = False
    for line in lines:
        if asked and _ANSWERED.match(line):
            return True
        asked = asked or _ASKED.match(line) is not None
    return False


def is_title(text: str) -> bool:
    """Whether a paragraph is a heading: one short line that is no sentence."""
    text = text.strip()
    return bool(text) and "\n" not in text and len(text) <= _TITLE_LENGTH and text[-1] not in ".!?:;\u2026\"'"


def _question(lines: Sequence[str], asked_above: str) -> int | None:
    """The line of the question's field: the last of them, or the first of the demonstrations that lead up to it.

    A passage may hold a line ``Question:`` of its own: it has no answer, or another name than the last.
    A question that was asked above stays the question, whatever a passage asks.
    """
    fields = [(i, match) for i, line in enumerate(lines) if (match := _ASKED.match(line))]
    if asked_above:
        fields = [(i, match) for i, match in fields if match["value"].strip() == asked_above]
    if not fields:
        return None
    place, last = fields[-1]
    for i, match in reversed(fields[:-1]):
        if match["name"].lower() != last["name"].lower() or not answered(lines[i:place]):
            break
        place = i
    return place


def _paragraphs(lines: Sequence[str]) -> list[tuple[int, int]]:
    """(first line, line past the last) of each run of lines that are not blank."""
    found: list[tuple[int, int]] = []
    start: int | None = None
    for i, line in enumerate([*lines, ""]):
        if line.strip() and start is None:
            start = i
        elif not line.strip() and start is not None:
            found.append((start, i))
            start = None
    return found


def _before_orders(lines: Sequence[str], parts: Sequence[tuple[int, int]], count: int) -> int:
    """How many of the first ``count`` paragraphs are left without the orders (and their lists) at the end."""
    while count > 1:
        first, last = parts[count - 1]
        listed = all(_LIST.match(line) for line in lines[first:last])
        above = lines[parts[count - 2][1] - 1]
        text = "\n".join(lines[first:last])
        if not (_ORDER.match(text) or _ABOUT.search(text) or (listed and above.rstrip().endswith(":"))):
            return count
        count -= 1
    return count


def _unnamed(lines: Sequence[str], parts: Sequence[tuple[int, int]], count: int, many: bool) -> int:
    """How many of ``count`` paragraphs are passage if what is asked stands after it without a name."""
    if count < 2:
        return count
    if lines[parts[count - 1][1] - 1].rstrip().endswith("?"):
        return _before_orders(lines, parts, count - 1)
    if many:
        return count
    least = 2 if is_title("\n".join(lines[slice(*parts[0])])) else 1
    return min(least, count - 1)  # nothing tells a message of several paragraphs from the passage


def _limit(lines: Sequence[str], asked_above: str, question: int | None) -> int:
    """The line at which the passages end at the latest: a field, or the end of the text."""
    if question is not None:
        return question
    if not asked_above:
        return next((i for i in range(1, len(lines)) if FIELD.match(lines[i])), len(lines))
    last = next((i for i in range(len(lines) - 1, 0, -1) if lines[i].strip()), 0)
    return last if last and _BLANK_ANSWER.match(lines[last]) else len(lines)


def end(lines: Sequence[str], asked_above: str = "", holds_query: bool = True, many: bool = False) -> int:
    """How many of ``lines``, which begin with a passage, are passages. The first paragraph always is one.

    ``holds_query``: what is to be answered stands in this text, so if it is not above, it is after the passages.
    ``many``: each paragraph may be a passage.
    """
    question = _question(lines, asked_above)
    limit = _limit(lines, asked_above, question)
    parts = _paragraphs(lines[:limit])
    if not parts:
        return limit
    first, last = parts[-1]
    told = next((i for i in range(max(first, 1), last) if _TOLD.match(lines[i])), None)
    if told is not None:
        limit = told
        parts = _paragraphs(lines[:limit])
    count = _before_orders(lines, parts, len(parts))
    named = question is not None or bool(asked_above)
    named = named or (limit < len(lines) and not _BLANK_ANSWER.match(lines[limit]) and not _TOLD.match(lines[limit]))
    if holds_query and not named:
        count = _unnamed(lines, parts, count, many)
    return parts[count - 1][1]
