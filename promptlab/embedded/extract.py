"""Answers a question from passages: the sentence that covers the question best, then a span of the asked type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from promptlab.embedded.classify import Sight
from promptlab.embedded.luck import Luck
from promptlab.embedded.sentences import Hit, Sentence, cover, rank, split, two_hops, weights
from promptlab.embedded.span import fits, take
from promptlab.embedded.words import content_stems

_NESTED = re.compile(
    r"\w+ .*\b(?:that|which|who|whose|where|whom)\b|'s \w+ (?:\w+ )?(?:of|in|that|for)\b|\bof the \w+(?: \w+)?"
    r" (?:of|in|that|which|who|where|made|used|called)\b"
    r"|'s .+'s |\bsame\b|\bboth\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer from the passages: the span, the sentence that holds it, and why. ``span`` "" = not in the passages."""

    span: str
    sentence: str
    reason: str


def _best(hits: list[Hit], question: str, weight: dict[str, float], far: bool) -> Hit:
    """The best sentence, or the end of a bridge if the question is nested or (``far``) much of it stays open."""
    top = hits[0]
    own = cover(top.sentence.stems, weight)
    nested = _NESTED.search(question) is not None
    pair = two_hops(hits, weight, question)
    if pair is None or not (nested or far):
        return top
    more = NESTED if nested else OPEN
    if fits(question, pair.sentence.text) and not fits(question, top.sentence.text):
        more /= 2
    if pair.score < own + more:
        return top
    return pair


MISSING = 0.25  # the least cover at which a prompt that allows to give up gets an answer
_LONGEST = 1000  # characters of a question that are read
_LOOKED_AT = 24  # sentences that are looked at closely
NESTED = 0.12  # how much more a bridge must cover than one sentence, if the question is nested
OPEN = 0.3  # and if it is not
TYPED = 0.2  # what it counts that a sentence holds a span of the type asked for


def _ranked(question: str, sentences: Sequence[Sentence], weight: dict[str, float]) -> list[Hit]:
    """The sentences by the words they share; the best of them also by holding a span of the right type."""
    hits = rank(sentences, weight)
    top = hits[:_LOOKED_AT]
    better = [replace(hit, score=round(hit.score + TYPED * fits(question, hit.sentence.text), 6)) for hit in top]
    return sorted(better, key=lambda hit: -hit.score) + hits[_LOOKED_AT:]


def find(question: str, passages: Sequence[str], told_missing: bool, sight: Sight, luck: tuple[Luck, float]) -> Finding:
    """The answer to ``question``. Told what to say when it is missing, the engine gives up sooner."""
    fate, temperature = luck
    question = question[:_LONGEST]
    sentences = split(passages)
    weight = weights(sentences, content_stems(question))
    hits = _ranked(question, sentences, weight)
    fit = np.array([hit.score for hit in hits[:20]])
    shaken = [hits[place] for place in fate.order(fit, 0.5 * sight.noise + 0.03 * temperature)]
    hit = _best(shaken + hits[20:], question, weight, sight.second_look) if hits else None
    known = (
        cover(hit.sentence.stems | hit.sentence.whole | (hit.bridge.stems if hit.bridge else frozenset()), weight)
        if hit
        else 0.0
    )
    if hit is None or known < (MISSING if told_missing else 0.15):
        return Finding("", "", "No sentence of the passages covers the question.")
    shared = [stem for stem in weight if stem in hit.sentence.stems][:3]
    reason = (
        f"A sentence speaks of {', '.join(repr(stem) for stem in shared)}." if shared else "This passage comes nearest."
    )
    if hit.bridge is not None:
        reason = f'"{hit.bridge.text}" leads to the passage that holds the answer.'
    return Finding(take(question, hit.sentence.text), hit.sentence.text, reason)
