"""Reading the answer out of a completion: completion -> (answer, status). Pure, and never a guess.

Parsers, as an experiment or a template names them:

    text           the trimmed text, whatever it is
    label          the whole answer, or its last line, if that is a label; never one found inside the text
    labels         several labels: a JSON list, or separated by , ; | or lines, in the whole text or in its last line;
                   none is `none` or `[]`, and one part that is no label makes it no answer
    last-line      the last line that holds more than markup
    number         the last number of the last line, else of the whole text
    regex:PATTERN  the first group that took part in the last match, or that whole match
    json           the JSON value that the text is, or that its last fenced block holds
    json:field     one field of it; dots go deeper (``json:result.intent``, ``json:items.0.id``)

What last-line, regex and json:field find comes back as ``labels`` spells it, if it is a label in other dress.

Statuses: ``content_filter`` is refused, ``context_overflow`` is overflow. Where nothing could be read, an output
that was cut off (finish reason ``length``) is truncated and any other is invalid. An answer found in a cut-off
output counts for text, label, regex and json, which say themselves what an answer is. For last-line, labels and
number it does not: they take what comes last, and the end of a cut-off text is not its end. So those are truncated.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from promptlab.errors import BadInput, Problem, nearest
from promptlab.json_answer import read_json
from promptlab.records import Completion, Status

LONGEST = 100_000
"""Characters of a text that patterns look at, counted from its end: a slow pattern must not stop a run."""

PARSERS = ("text", "label", "labels", "last-line", "number", "regex:PATTERN", "json", "json:field")

_DRESS = " \t\r\n*_`\"'“”‘’«»"  # noqa: RUF001 - typographic quotes are what models write
_TAIL = _DRESS + ".,;:!?"
_PREFIX = re.compile(r"[^\W\d_]+(?:[ _-][^\W\d_]+)?[ *_`\"']*:[ \t]*")
_NUMBER = re.compile(
    r"(?<!\w)(?<!\d[.,/:–-])(?<!\w[–-])(?<!\d / )"  # noqa: RUF001 - no part of a date, range, fraction, version or name
    r"([-+−]?)[$€£¥]?([-+−]?)"  # noqa: RUF001 - the real minus sign
    r"(\d{1,3}(?:[,'\u00a0\u2009\u202f]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"((?:[eE][-+]?\d+)?)"
    r"(?!\d|[.,:–-]\d| ?/ ?\d|[^\W\d_]+\d)"  # noqa: RUF001 - see above
)
_SEPARATORS = str.maketrans("", "", ",'\u00a0\u2009\u202f")


@dataclass(frozen=True, slots=True)
class Parse:
    """A compiled parser: ``read(text, labels)`` gives the answer in a non-empty text, or None.

    ``positional``: it takes what comes last, so it finds no answer in a text that was cut off.
    """

    spec: str
    read: Callable[[str, Sequence[Any]], Any]
    positional: bool = False


def parse(completion: Completion, parser: Parse, labels: Sequence[Any] = ()) -> tuple[Any, Status]:
    """The answer (None unless the status is ok) and the status of one completion. Never raises."""
    reason = completion.finish_reason
    if reason in {"content_filter", "refusal"}:
        return None, "refused"
    if reason == "context_overflow":
        return None, "overflow"
    cut = reason == "length"
    text = completion.text.strip()
    answer = None if not text or (cut and parser.positional) else parser.read(text, labels)
    if answer is None:
        return None, "truncated" if cut else "invalid"
    return answer, "ok"


@functools.lru_cache(maxsize=256)
def parser(spec: str) -> Parse:
    """Compile what an experiment or a template names. BadInput: no such parser, or not a pattern."""
    name, colon, argument = spec.partition(":")
    if name == "regex":
        return Parse(spec, _regex(spec, argument))
    if name == "json" and (argument.strip() or not colon):
        path = tuple(argument.strip().split(".")) if colon else ()
        return Parse(spec, functools.partial(_read_field, path))
    plain = {"text": _read_text, "label": read_label, "labels": read_labels, "last-line": _read_last_line}
    plain["number"] = _read_number
    if spec in plain:
        return Parse(spec, plain[spec], positional=spec in {"labels", "last-line", "number"})
    return _unknown(spec)


def read_label(text: str, labels: Sequence[Any]) -> Any:
    """The label that the whole text, or its last line, is; spelled as in ``labels``. None if it is none.

    Case, quotes, markdown emphasis, final punctuation and one leading ``Answer:`` or ``Final answer:`` are
    forgiven; of labels that differ in case alone, only the exact spelling counts.
    Without labels every text is one: it comes back trimmed.
    """
    if not labels:
        return text.strip() or None
    known = _spellings(tuple(labels))
    whole = text.strip()
    found = known.get(whole)
    return _undressed(last_line(whole), known) if found is None else found


def read_labels(text: str, labels: Sequence[Any]) -> list[Any] | None:
    """The labels that the whole text, or its last line, lists: each once, sorted by their text. None if it is no list.

    Each is read as ``read_label`` reads one. A character that a label holds separates none.
    """
    listed = read_json(text)
    if isinstance(listed, list):
        return _all_labels([each if isinstance(each, str) else json.dumps(each) for each in listed], labels)
    for part in dict.fromkeys((text.strip(), last_line(text))):
        found = _all_labels(_listed(part, labels), labels)
        if found is not None:
            return found
    return None


def _listed(text: str, labels: Sequence[Any]) -> list[str]:
    """The parts of a list in words; none for `none` and `[]`, which are lists of nothing."""
    bare = text.strip(_TAIL).casefold()
    bare = bare.rpartition(":")[2].strip(_TAIL) if bare.count(":") == 1 else bare
    if bare in ("none", "[]") and not any(str(label).strip().casefold() == bare for label in labels):
        return []
    marks = [mark for mark in ",;|" if not any(mark in str(label) for label in labels)]
    lines = [re.sub(r"^\s*(?:[-*\u2022]|\d{1,2}[.)])\s+", "", line) for line in text.splitlines()]
    parts = re.split(f"[{re.escape(''.join(marks))}]", "\n".join(lines)) if marks else ["\n".join(lines)]
    return [each.strip() for part in parts for each in part.split("\n") if each.strip()]


def _all_labels(parts: Sequence[str], labels: Sequence[Any]) -> list[Any] | None:
    """The label that each part is, each once and sorted; None if one is none."""
    found = [read_label(each, labels) for each in parts]
    if any(each is None for each in found):
        return None
    return sorted({str(each): each for each in found}.values(), key=str)


def last_line(text: str) -> str:
    """The last line that holds more than markup (a closing fence is none), trimmed; empty if there is none."""
    rest = text.rstrip(_DRESS) if text.endswith("```") else text.rstrip()
    while rest:
        rest, _, line = rest.rpartition("\n")
        if line.strip(_DRESS):
            return line.strip()
    return ""


def read_number(text: str) -> int | float | None:
    """The last number in a text: ``1,234.50``, ``$5``, ``-3``, ``1e3``, ``12kg``, ``50%`` (50: no unit is a factor).

    A fraction (3/4), a range (10-12), a date, a time, a version, a decimal comma (3,5) or a name (GPT-4) is no
    number, and neither is a part of it: better no answer than a wrong one.
    """
    found = _last(_NUMBER, text)
    if found is None:
        return None
    before, after, digits, exponent = found.groups()
    numeral = ("" if before + after in {"", "+"} else "-") + digits.translate(_SEPARATORS) + exponent
    if len(numeral) <= 300 and not exponent and "." not in numeral:
        return int(numeral)
    value = float(numeral)
    return value if math.isfinite(value) else None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match in the last LONGEST characters of a text."""
    found = deque(pattern.finditer(text[-LONGEST:]), maxlen=1)
    return found[0] if found else None


@functools.lru_cache(maxsize=64)
def _spellings(labels: tuple[Any, ...]) -> dict[str, Any]:
    """Every spelling that means one label: its own, and its case-folded one unless two labels share that."""
    folded: dict[str, Any] = {}
    shared = set()
    for label in labels:
        key = str(label).strip().casefold()
        if key in folded and folded[key] != label:
            shared.add(key)
        folded[key] = label
    own = {str(label).strip(): label for label in labels}
    return {key: label for key, label in folded.items() if key not in shared} | own


def _undressed(line: str, known: dict[str, Any]) -> Any:
    """The label that a line is once its dress and one leading ``Word:`` are taken off; None if it is none."""
    bare = line.lstrip(_DRESS)
    prefix = _PREFIX.match(bare)
    for rest in (line, bare[prefix.end() :]) if prefix else (line,):
        for layer in (rest, rest.strip(_DRESS), rest.lstrip(_DRESS).rstrip(_TAIL)):
            found = known.get(layer)
            if found is None:
                found = known.get(layer.casefold())
            if found is not None:
                return found
    return None


def _as_label(answer: str, labels: Sequence[Any]) -> Any:
    """An answer that is a label in other dress, as the set spells it; any other trimmed, None if empty."""
    answer = answer.strip()
    if not answer or not labels:
        return answer or None
    found = _undressed(answer, _spellings(tuple(labels)))
    return answer if found is None else found


def _read_text(text: str, _labels: Sequence[Any]) -> Any:
    return text.strip() or None


def _read_last_line(text: str, labels: Sequence[Any]) -> Any:
    return _as_label(last_line(text), labels)


def _read_number(text: str, _labels: Sequence[Any]) -> Any:
    found = read_number(last_line(text))
    return read_number(text) if found is None else found


def _read_field(path: tuple[str, ...], text: str, labels: Sequence[Any]) -> Any:
    """The value at the end of a path through objects (by key) and lists (by position)."""
    value = read_json(text)
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return _as_label(value, labels) if isinstance(value, str) else value


def _regex(spec: str, pattern: str) -> Callable[[str, Sequence[Any]], Any]:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        remedy = "Write a Python regular expression; in YAML put it in single quotes so that backslashes stay."
        raise BadInput(Problem(f"answer {spec!r}: the pattern does not compile: {error}", remedy=remedy)) from None
    if not pattern:
        raise BadInput(Problem(f"answer {spec!r}: the pattern is empty", remedy="Write regex:PATTERN."))

    def read(text: str, labels: Sequence[Any]) -> Any:
        found = _last(compiled, text)
        if found is None:
            return None
        group = next((each for each in found.groups() if each is not None), found.group())
        return _as_label(group, labels)

    return read


def _unknown(spec: str) -> NoReturn:
    name, colon, _ = spec.partition(":")
    if name == "json":
        message, remedy = (
            f"answer {spec!r}: no field is named",
            "Write json:field, or json for the whole value.",
        )
    elif colon and name in PARSERS:
        message, remedy = f"answer {spec!r}: {name} takes nothing after a colon", f"Write {name}."
    else:
        message, remedy = f"answer {spec!r}: there is no such parser", nearest(spec, PARSERS)
    raise BadInput(Problem(message, remedy=remedy))
