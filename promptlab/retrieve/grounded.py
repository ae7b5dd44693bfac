"""Whether an answer stands on the passages it was given, without a judge: its words, its quotes, its citations.

What no rule can see is whether the passages imply the answer: that takes the metric `judge`, which is shown the
passages, and is named as a judge's wherever its number stands. The share of quotes that stand in the sources follows
ragas' quoted spans, citation precision and recall Gao et al. 2023 (Enabling large language models to generate text with
citations), with gold passages in the place of a model's judgement.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Sequence
from functools import lru_cache
from typing import Any

from promptlab.records import Passage
from promptlab.retrieve.measure import matches
from promptlab.retrieve.terms import terms

NAMES = ("grounded", "covered", "quoted", "cite_precision", "cite_recall")

_SPANS = re.compile(
    '(?<![\\w"])"([^"]+)"(?![\\w"])'  # straight, and not the sign for inches
    "|[\u201c\u201e]([^\u201c\u201d\u201e]+)[\u201d\u201c]|[\u00ab\u00bb]([^\u00ab\u00bb]+)[\u00ab\u00bb]"
    "|(?<!\\w)\u2018([^\u2018]+?)\u2019(?!\\w)|\u300c([^\u300c\u300d]+)\u300d"
    "|^[ \t]*>[ \t]?(.+)$",
    re.MULTILINE,
)
_LEFT_OUT = re.compile("\\[?(?:\\.{3,}|\u2026)\\]?")
_CITED = re.compile("\\[\\s*(\\d{1,4}(?:\\s*[,;\u2013-]\\s*\\d{1,4})*)\\s*\\]|\u3010\\s*(\\d{1,4})\\s*\u3011")
_RANGE = re.compile("(\\d{1,4})\\s*[\u2013-]\\s*(\\d{1,4})")
_SILENT = re.compile(
    "\\W*(?:not (?:stated|given|mentioned|specified|found|known|available|answerable)|unknown|unanswerable|n/?a"
    "|(?:i|we) (?:do not|don['\u2019]t) know|(?:no|not enough) information(?: given)?)\\b[^.\\n]{0,40}\\W*",
    re.IGNORECASE,
)
_COMMON_TEXT = """
a an the this that these those it its they them he she we you i and or but nor if so as than then of in on at to from by
for with about into over under is are was were be been being am do does did have has had can could may might must shall
should will would not no yes there here which who whom whose what when where how why
"""
_COMMON = frozenset(_COMMON_TEXT.split()) | frozenset(terms(_COMMON_TEXT))
FEWEST = 3
"""Words of a span that is a quote; a shorter one in quotation marks is a name, or a word spoken of."""


def grounded(
    answer: Any, output: str, passages: Sequence[Passage], gold: Sequence[str] = (), ids: Container[str] | None = None
) -> dict[str, float]:
    """The measures of one row by name, each from 0 to 1; NaN where there is nothing to measure, so without passages.

    ``covered``: the share of the answer's words that the passages (or their titles) have, rarer words counting more;
    none for yes, no and "not stated", which claim no words. ``quoted``: the share of quotes in the output that stand
    word for word in one passage. ``grounded``: the one number of both: ``covered`` times ``quoted`` where it quotes.
    ``cite_precision``: the share of the numbers cited ([1], [2, 3]) that are gold passages; ``cite_recall``: the share
    of the gold passages shown that are cited. ``passages`` are in the order of the prompt, whose numbers are cited;
    ``gold`` and ``ids`` as in ``measure.measures``.
    """
    if not passages:
        return dict.fromkeys(NAMES, math.nan)
    spans = quotes(output)
    quoted = sum(stands(span, passages) for span in spans) / len(spans) if spans else math.nan
    covered = _covered(output if answer is None else _text(answer), passages)
    known = [each for each in (covered, quoted) if not math.isnan(each)]
    brought = [[name for name in gold if matches(each, name, ids)] for each in passages]
    precision, recall = _cited(citations(_without(output, spans)), brought) if gold else (math.nan, math.nan)
    return {
        "grounded": math.prod(known) if known else math.nan,
        "covered": covered,
        "quoted": quoted,
        "cite_precision": precision,
        "cite_recall": recall,
    }


def quotes(text: str) -> list[str]:
    """The spans in quotation marks of three words or more, and quoted lines (``> ...``), in order."""
    found = (next(each for each in match.groups() if each is not None) for match in _SPANS.finditer(text))
    return [each for each in found if len(_plain(each).split()) >= FEWEST]


def stands(span: str, passages: Sequence[Passage]) -> bool:
    """Whether a quote is in one passage word for word.

    Case, white space and marks at its edges do not count; what ``...`` leaves out may be anything.
    """
    parts = [part for each in _LEFT_OUT.split(span) if (part := _plain(each))]
    return bool(parts) and any(_in_order(parts, _read(each.title, each.text)[0]) for each in passages)


def citations(text: str) -> list[int]:
    """The numbers cited in square brackets, each once, in order: [1], [2, 3], [4-6]."""
    found: dict[int, None] = {}
    for match in _CITED.finditer(text):
        group = match[1] or match[2]
        for low, high in _RANGE.findall(group):
            found |= dict.fromkeys(range(int(low), min(int(high), int(low) + 50) + 1))
        found |= dict.fromkeys(map(int, re.findall(r"\d+", group)))
    return list(found)


def _cited(cited: Sequence[int], brought: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Precision and recall of the numbers cited; ``brought``: the gold ones that each passage is. Others are wrong."""
    right = [number for number in cited if 0 < number <= len(brought) and brought[number - 1]]
    shown = {name for each in brought for name in each}
    named = {name for number in right for name in brought[number - 1]}
    return len(right) / len(cited) if cited else math.nan, len(named) / len(shown) if shown else math.nan


def _covered(answer: str, passages: Sequence[Passage]) -> float:
    if _SILENT.fullmatch(answer.strip()):
        return math.nan
    wanted = {term for term in terms(answer) if term not in _COMMON}
    if not wanted:
        return math.nan
    held = [_read(passage.title, passage.text)[1] for passage in passages]
    seen = {term: sum(term in each for each in held) for term in wanted}
    weights = {term: math.log(1 + (len(passages) + 1) / (seen[term] + 0.5)) for term in sorted(wanted)}
    total = math.fsum(weights.values())
    return math.fsum(weight for term, weight in weights.items() if seen[term]) / total


def _without(text: str, spans: Sequence[str]) -> str:
    """The text without its quotes: a number inside one is the passage's own."""
    for span in spans:
        text = text.replace(span, " ")
    return text


def _in_order(parts: Sequence[str], text: str) -> bool:
    """Whether the parts stand in the text one after the other, as whole words."""
    place = 0
    for part in parts:
        place = text.find(part, place)
        while place >= 0 and not _whole(text, place, place + len(part)):
            place = text.find(part, place + 1)
        if place < 0:
            return False
        place += len(part)
    return True


def _whole(text: str, start: int, end: int) -> bool:
    """Whether no word goes on across either end."""
    return not any(0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum() for at in (start, end))


@lru_cache(maxsize=8192)
def _read(title: str, text: str) -> tuple[str, frozenset[str]]:
    """A passage as quotes and words are looked for in it; the same ones come in row after row."""
    whole = f"{title}\n{text}"
    return _plain(whole), frozenset(terms(whole))


def _plain(text: str) -> str:
    """Text as it is compared: case, white space and kinds of quotation marks folded, marks at the edges dropped."""
    folded = " ".join(text.casefold().split())
    straight = folded.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x201E: '"', 0xAB: '"', 0xBB: '"'})
    return straight.strip(" .,;:!?\"'")


def _text(answer: Any) -> str:
    """An answer as text: of lists and objects all values."""
    if isinstance(answer, dict):
        return " ".join(map(_text, answer.values()))
    if isinstance(answer, list | tuple | set | frozenset):
        return " ".join(map(_text, answer))
    return str(answer)
