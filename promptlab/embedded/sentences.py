"""Passages as weighted sentences: which one, or which two by a bridge, speak of what a question asks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from promptlab.embedded.words import content_stems

_END = re.compile(
    r"(?<!\bMr)(?<!\bDr)(?<!\bMs)(?<!\bSt)(?<!\bMrs)(?<!\bvs)(?<!\b[A-Z])(?<=[.!?])[\"')\u201d]?\s+(?=[\"'(\u201c]?[A-Z0-9])|\n+"
)
_NAME = re.compile(r"\b[A-Z][\w'&-]*(?:\s+(?:of\s+|the\s+|de\s+)?[A-Z0-9][\w'&-]*)*")
WHOLE = 1.0  # how much a passage's cover counts beside its sentence's
_MOST = 4000  # sentences looked at: passages past this are beyond what the engine can hold


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, its stems, the names in it, and the place of its passage. ``whole``: all stems of that passage."""

    text: str
    stems: frozenset[str]
    names: frozenset[str]
    passage: int
    whole: frozenset[str]


@dataclass(frozen=True, slots=True)
class Hit:
    """The sentence that answers; ``score`` is the weighted share of the question that it (and its bridge) covers."""

    sentence: Sentence
    score: float
    bridge: Sentence | None = None


def names(text: str) -> list[str]:
    """Names in ``text``: runs of capitalised words, in order; a lone first word of a sentence is no sure name."""
    found = [match.group() for match in _NAME.finditer(text)]
    return [
        name for name in found if not (len(name.split()) == 1 and text.startswith(name) and not content_stems(name))
    ]


@lru_cache(maxsize=4096)
def _parts(passage: str) -> tuple[tuple[str, frozenset[str], frozenset[str]], ...]:
    """(text, stems, names) of each sentence of a passage."""
    texts = (text.strip() for text in _END.split(passage) if text.strip())
    return tuple((text, frozenset(content_stems(text)), frozenset(names(text))) for text in islice(texts, _MOST))


def split(passages: Sequence[str]) -> list[Sentence]:
    """The sentences of all passages, in order; at most 4,000 of them."""
    out: list[Sentence] = []
    for place, passage in enumerate(passages[:_MOST]):
        parts = _parts(passage[:50_000])
        whole = frozenset[str]().union(*(stems for _, stems, _ in parts))
        out += [Sentence(text, stems, named, place, whole) for text, stems, named in parts]
        if len(out) >= _MOST:
            break
    return out[:_MOST]


def weights(sentences: Sequence[Sentence], asked: Sequence[str]) -> dict[str, float]:
    """The weight of each stem of the question: the rarer in the passages, the heavier."""
    seen: Counter[str] = Counter()
    for sentence in sentences:
        seen.update(sentence.stems)
    return {stem: math.log(1.0 + (len(sentences) + 1.0) / (1.0 + seen[stem])) for stem in dict.fromkeys(asked)}


def cover(stems: frozenset[str], weight: Mapping[str, float]) -> float:
    """The weighted share of the question's stems that are in ``stems``, from 0 to 1."""
    total = sum(weight.values())
    return sum(w for stem, w in weight.items() if stem in stems) / total if total else 0.0


def rank(sentences: Sequence[Sentence], weight: Mapping[str, float]) -> list[Hit]:
    """Every sentence by its own cover, by its passage's, and a little by standing early; best first."""
    hits = []
    for place, one in enumerate(sentences):
        own = (cover(one.stems, weight) + WHOLE * cover(one.whole, weight)) / (1.0 + WHOLE)
        hits.append(Hit(one, round(own - 0.01 * one.passage - 0.0001 * place, 6)))
    return sorted(hits, key=lambda hit: -hit.score)


def _links(first: Sentence, second: Sentence, question: str) -> bool:
    """Whether a name in ``first`` that the question does not give leads to ``second`` in another passage."""
    if first.passage == second.passage:
        return False
    return any(name not in question and name in second.text for name in first.names)


def two_hops(hits: Sequence[Hit], weight: Mapping[str, float], question: str) -> Hit | None:
    """The best pair of sentences joined by a bridge; the answer is in the one that the other leads to."""
    best: Hit | None = None
    for first in hits[:4]:
        for second in hits[:60]:
            if not _links(first.sentence, second.sentence, question):
                continue
            both = cover(first.sentence.stems | second.sentence.stems, weight)
            if best is None or both > best.score + 1e-9:
                best = Hit(second.sentence, round(both, 6), first.sentence)
    return best
