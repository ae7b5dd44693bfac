"""Lists inside a sentence: ``"World", "Sports" or "Business"``; ``A, B and C``; ``(yes/no)``; ``a: what; b: what``."""

from __future__ import annotations

import re

_QUOTED = r"(?:\"[^\"\n]{1,60}\"|\u201c[^\u201d\n]{1,60}\u201d|`[^`\n]{1,60}`|(?<!\w)'[^'\n]{1,60}'(?!\w))"
_BETWEEN = r"\s*(?:,\s*(?:and\b|or\b|&)?|;|/|\||\band\b|\bor\b)\s*"
QUOTED_LIST = re.compile(rf"{_QUOTED}(?:{_BETWEEN}{_QUOTED}){{1,400}}")
_QUOTED_ITEM = re.compile(_QUOTED)

_NAME = r"[A-Z][\w&/-]{0,40}(?: (?:of |and |the |& )?[A-Z][\w&/-]{0,40}){0,3}"
_PLAIN_NAME = r"[A-Z][\w&/-]{0,40}(?: [A-Z][\w&/-]{0,40}){0,3}"
NAME_LIST = re.compile(
    rf"\b{_PLAIN_NAME}(?:,\s*{_NAME}){{0,400}},?\s*(?:and|or|&)\s+{_PLAIN_NAME}|\b{_NAME}(?:,\s*{_NAME}){{2,400}}"
)
ID_LIST = re.compile(rf"\b[a-z0-9]+_\w{{1,60}}(?:{_BETWEEN}[a-z0-9]\w{{0,60}}){{1,400}}")

_SPLIT = re.compile(r"\s*,\s*(?:(?:and|or|&)\s+)?|\s+(?:and|or)\s+|\s*\|\s*")
_SLASHED = re.compile(r"\s*/\s*")
_NOTE = re.compile(r"^(?P<name>[^()]{1,60}?)\s*\((?P<note>[^()]{1,400})\)$")
_STOP_WORDS_TEXT = """
based according depending if in on by that which whose to for from when while where because given using as with
of is are then it you the your
"""
_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
_SENTENCE_END = re.compile(r"[.!?](?=\s|$|\))|\n\s*\n")
_PREFIX = re.compile(r"^(?:either|e\.g\.?|i\.e\.?|such as|for example)(?!\w),?\s*", re.I)
_AND_SO_ON = frozenset(("etc", "etc.", "...", "\u2026", "so on", "nothing else", "nothing more", "no explanation"))
_STRIP = " \t\"'`*\u201c\u201d\u2018\u2019<>[]"


def quoted_items(text: str) -> tuple[str, ...]:
    """The quoted strings in ``text``, without their quotes."""
    return tuple(m.group().strip(_STRIP) for m in _QUOTED_ITEM.finditer(text))


def _outside_brackets(text: str, separators: str) -> list[str]:
    """``text`` cut at ``separators`` where no round bracket is open."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and sign in separators:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _described(text: str) -> list[tuple[str, str]]:
    """Items with notes: ``a (what), b (what)`` or ``a: what; b: what``; empty if the text is no such list."""
    for separators, pattern in (
        (";\n", re.compile(r"^(?P<name>[^:]{1,60}?)\s*[:=]\s+(?P<note>.{1,400})$")),
        (",;", _NOTE),
    ):
        found = []
        for part in _outside_brackets(text, separators):
            bare = re.sub(r"^(?:and|or)\s+", "", part.strip()).rstrip(" .")
            match = pattern.match(bare)
            found.append((match["name"].strip(_STRIP), match["note"].strip()) if match else None)
        kept = [item for item in found if item is not None]
        if len(kept) >= 2 and len(kept) >= len(found) - 1:
            return kept
    return []


def _trim_last(items: list[str]) -> list[str]:
    """The last item loses what the sentence goes on with: ``Tech to categorize the text`` is ``Tech``."""
    *before, last = items
    if before and last.split()[0].lower() in _STOP_WORDS | {"etc", "depending"}:
        return _trim_last(before) if len(before) > 1 else before
    longest = max((len(item.split()) for item in before), default=2)
    kept: list[str] = []
    for word in last.split():
        if kept and (word.lower() in _STOP_WORDS or len(kept) >= longest):
            break
        kept.append(word)
    if before and all(item[:1].isupper() for item in before):
        named = [word for word in kept if word[:1].isupper()]
        kept = kept[: len(named)] or kept
    return [*before, " ".join(kept)]


def _in_brackets(text: str) -> str:
    """``text`` up to a closing bracket that was opened before it."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return text[:place]
    return text


def sentence_items(text: str) -> tuple[tuple[str, str], ...]:
    """The (name, note) items of the list that starts at ``text`` and ends with its sentence; () if there is none."""
    head = _SENTENCE_END.split(_PREFIX.sub("", text.lstrip()), maxsplit=1)[0].strip()
    described = _described(head)
    if described:
        return tuple(described)
    quoted = QUOTED_LIST.match(head)
    if quoted:
        return tuple((name, "") for name in quoted_items(quoted.group()))
    head = _in_brackets(re.split(r"[;:\n]|\s\(", head, maxsplit=1)[0].strip(" ([{"))
    items = [item.strip(_STRIP) for item in _SPLIT.split(head)]
    if len(items) == 1 and " " not in _SLASHED.sub("/", items[0]):
        items = _SLASHED.split(items[0])
    items = [_PREFIX.sub("", item) for item in items if item and item.lower() not in _AND_SO_ON]
    if len(items) < 2:
        return ()
    items[0] = re.sub(r"^the\s+", "", items[0])
    items = _trim_last(items)
    if any(not item or len(item.split()) > 4 or len(item) > 60 for item in items):
        return ()
    return tuple((item, "") for item in items)
