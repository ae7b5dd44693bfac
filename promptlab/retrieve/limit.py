"""At most so many tokens of passages: the least important ones fall, and a single one that is too long is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptlab.records import Passage
from promptlab.retrieve.embedding import cut
from promptlab.tokens import estimate


@dataclass(frozen=True, slots=True)
class Cut(Passage):
    """A passage that lost its end: what its id promises need not stand in it any more."""


def limited(passages: Sequence[Passage], most: int | None) -> tuple[Passage, ...]:
    """The first passages that have at most ``most`` tokens together; the best first, so that the last ones fall.

    A first passage that is too long alone is cut at a word, and is a ``Cut``: its ``end`` says so, its text is what the
    document has from ``start`` to ``end``, and its id stays that of the whole. Tokens are ``tokens.estimate``'s, which
    needs no vocabulary, so that every machine keeps the same passages.
    """
    if most is None:
        return tuple(passages)
    kept: list[Passage] = []
    left = most
    for passage in passages:
        left -= estimate(passage.text)
        if left < 0:
            break
        kept.append(passage)
    if not kept and passages:
        return _cut(passages[0], most)
    return tuple(kept)


def _cut(passage: Passage, most: int) -> tuple[Passage, ...]:
    """The longest beginning, in whole words, that fits; nothing where not even a character does."""
    low, high = 0, len(passage.text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if estimate(cut(passage.text, middle)) <= most else (low, middle - 1)
    text = cut(passage.text, low)
    while text and estimate(text) > most:  # the estimate is not quite monotonous
        text = cut(text, len(text) - 1)
    end = passage.start + len(text)
    whole = (passage.title, passage.source, passage.start)
    return (Cut(passage.id, text, passage.score, *whole, end),) if text else ()
