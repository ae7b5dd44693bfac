"""Takes the span out of a sentence that has the type a question asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from promptlab.embedded.sentences import names
from promptlab.embedded.wanted import Wanted, wanted
from promptlab.embedded.words import FUNCTION_WORDS, QUESTION_WORDS, content_stems, stem, words

_NEGATION = re.compile(
    r"\b(?:not|no|never|without|cannot|neither|nor|none|unable|except|excluding|lacks?|refuses?|prohibit\w*"
    r"|forbid\w*|void\w*)\b|n['\u2019]t\b",
    re.I,
)
_WHY = re.compile(
    r"\b(?:because(?: of)?|since|due to|so that|in order to|as a result of|thanks to|owing to)\s+([^,.;]+)", re.I
)
_HOW = re.compile(r"\b(?:by|through|using|via)\s+([^,.;]+)", re.I)
_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|\w[\w'\u2019-]*|[^\w\s]")
_QUOTED = re.compile(r"[\"\u201c]([^\"\u201d\n]{2,80})[\"\u201d]")
_PLACE = re.compile(
    r"\b(?:in|at|from|to|near|inside|into|under|behind|on|within)\s+"
    r"((?:the\s+)?[A-Z][\w'-]*(?:\s+(?:of\s+|the\s+)?[A-Z][\w'-]*)*|the\s+[a-z-]+(?:\s+[a-z-]+)?)"
)
_BREAKS_TEXT = """
is are was were be been being has have had and or but that which who whose with from for by at in on of to as
than then when where while because it its they their this these those there a an the can may must will would
should could do does did not also only comes come gives give include includes including called named most more
very
"""
_BREAKS = frozenset(_BREAKS_TEXT.split())
Span = tuple[int, int]


def _near(sentence: str, spans: Sequence[Span], asked: frozenset[str]) -> str:
    """Of some spans the one that stands nearest to the words that the question shares with the sentence."""
    places = [m.start() for m in re.finditer(r"\w+", sentence) if stem(m.group().lower()) in asked]

    def distance(span: Span) -> tuple[int, int]:
        return sum(sorted(abs(place - span[0]) for place in places)[:3]), span[0]

    start, end = min(spans, key=distance)
    return sentence[start:end]


def typed(question: str, sentence: str, want: Wanted) -> list[Span]:
    """The spans that match the most preferred pattern with any match, but for what the question says itself."""
    low = question.lower()
    for pattern in want.patterns + want.loose:
        spans = [m.span() for m in pattern.finditer(sentence) if m.group().lower() not in low]
        if spans:
            return spans
    return []


def _named(question: str, sentence: str, asked: frozenset[str]) -> list[Span]:
    spans = []
    for name in names(sentence):
        stems = content_stems(name)
        if stems and not all(one in asked for one in stems) and name.lower() not in question.lower():
            start = sentence.index(name)
            spans.append((start, start + len(name)))
    return spans


def _phrases(sentence: str, asked: frozenset[str]) -> list[Span]:
    """Runs of words that neither the question gives nor the grammar breaks."""
    spans: list[Span] = []
    run: list[Span] = []
    for token in [*_TOKEN.finditer(sentence), None]:
        word = token.group().lower() if token else "."
        if (
            token is None
            or not word[0].isalnum()
            or word in _BREAKS
            or word in QUESTION_WORDS
            or stem(word) in asked
            or word.endswith("ly")
        ):
            if run:
                spans.append((run[0][0], run[-1][1]))
            run = []
        else:
            run.append(token.span())
    return [(a, b) for a, b in spans if any(w not in FUNCTION_WORDS for w in words(sentence[a:b]))]


def _candidates(question: str, sentence: str, want: Wanted, asked: frozenset[str]) -> list[Span]:
    if want.kind == "person":
        return _named(question, sentence, asked)
    if want.kind == "place":
        places = [m.span(1) for m in _PLACE.finditer(sentence) if m.group(1).lower() not in question.lower()]
        return places or _named(question, sentence, asked)
    if want.kind in ("why", "how"):
        return [m.span(1) for m in (_WHY if want.kind == "why" else _HOW).finditer(sentence)]
    if want.kind == "thing":
        whole = _named(question, sentence, asked) + [m.span(1) for m in _QUOTED.finditer(sentence)]
        return whole + [(a, b) for a, b in _phrases(sentence, asked) if not any(a < d and c < b for c, d in whole)]
    return typed(question, sentence, want)


def fits(question: str, sentence: str) -> bool:
    """Whether ``sentence`` holds a span of just the type that ``question`` asks for."""
    want = wanted(question)
    if want.kind in ("yes/no", "thing") or (want.loose and not want.patterns):
        return True
    sure = replace(want, loose=())
    return bool(_candidates(question, sentence, sure, frozenset(content_stems(question))))


def take(question: str, sentence: str) -> str:
    """The span of ``sentence`` that answers ``question``; the whole sentence where no span of the type is found."""
    want = wanted(question)
    if want.kind == "yes/no":
        return "no" if bool(_NEGATION.search(sentence)) != bool(_NEGATION.search(question)) else "yes"
    asked = frozenset(content_stems(question))
    spans = _candidates(question, sentence, want, asked) or _phrases(sentence, asked)
    found = _near(sentence, spans, asked) if spans else ""
    return re.sub(r"^(?:the|a|an)\s+", "", found.strip(" .,;:")) or sentence.strip(" .")
