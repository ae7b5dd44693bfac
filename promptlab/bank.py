"""Demo banks: which examples a prompt shows, and in which order. Pure; the same slots and row give the same demos."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any

from promptlab.dataset.leak import normalise, text_of
from promptlab.records import Example

SELECTIONS = ("random", "balanced", "nearest")
ORDERS = ("given", "shuffled", "nearest-last")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Bank:
    """The examples that may be shown, in file order."""

    demos: tuple[Example, ...]

    @cached_property
    def hash(self) -> str:
        """sha256 of all that is shown of the demos or decides which are, in order."""
        content = [[d.id, sorted(d.inputs.items()), d.label, [[p.id, p.text] for p in d.passages]] for d in self.demos]
        return hashlib.sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()

    def select(self, slots: Mapping[str, Any], example: Example) -> tuple[Example, ...]:
        """The demos for one row: ``bank.k`` of them, by ``bank.select`` and ``bank.seed``, in ``bank.order``.

        A row is never its own demo: demos of equal inputs, once case, punctuation and spaces are folded, are passed
        over and others take their places. Only the inputs that the row has count, here and for likeness.
        """
        k = int(slots.get("bank.k", 0))
        if k <= 0:
            return ()
        seed, how = slots.get("bank.seed", 0), slots.get("bank.select", "random")
        texts = self._texts(tuple(sorted(example.inputs)))
        text = text_of(example)
        own = texts.equal(text)
        if how == "nearest":
            picked = texts.nearest(text)
        else:
            picked = self._dealt(seed) if how == "balanced" else self._shuffled(seed)
        chosen = list(islice((d for d in picked if d not in own), k))
        order = slots.get("bank.order", "given")
        if order == "shuffled":
            chosen.sort(key=lambda d: _draw("order", seed, self.demos[d].id))
        elif order == "nearest-last":
            likeness = texts.likeness(text)
            chosen.sort(key=lambda d: (likeness[d], -d))
        else:
            chosen.sort()
        return tuple(self.demos[d] for d in chosen)

    @cached_property
    def _texts(self) -> Callable[[tuple[str, ...]], _Texts]:
        """The demos as texts, by the columns that are looked at: those of the row."""
        return lru_cache(maxsize=8)(lambda columns: _Texts([text_of(demo, columns) for demo in self.demos]))

    @cached_property
    def _shuffled(self) -> Callable[[Any], Sequence[int]]:
        def shuffled(seed: Any) -> Sequence[int]:
            return sorted(range(len(self.demos)), key=lambda d: _draw("demo", seed, self.demos[d].id))

        return lru_cache(maxsize=256)(shuffled)

    @cached_property
    def _dealt(self) -> Callable[[Any], Sequence[int]]:
        def dealt(seed: Any) -> Sequence[int]:
            """One of each label in turn, labels in a drawn order, so that any k is as balanced as it can be."""
            hands: dict[str, list[int]] = defaultdict(list)
            for d in self._shuffled(seed):
                hands[str(self.demos[d].answers[:1])].append(d)
            order = sorted(hands, key=lambda label: _draw("label", seed, label))
            longest = max(map(len, hands.values()), default=0)
            return [hands[label][turn] for turn in range(longest) for label in order if turn < len(hands[label])]

        return lru_cache(maxsize=256)(dealt)


def _draw(*parts: Any) -> bytes:
    """A stable draw: adding a demo moves none of the others."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()


class _Texts:
    """What the demos say: which of them equal a text, and how alike they are to it.

    TF-IDF cosine over words and character 4-grams (Salton and Buckley 1988), as postings made when first needed.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._all = texts
        self._places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for d, text in enumerate(texts):
            self._places[_folded(text)].append(d)
        self.equal = lru_cache(maxsize=4096)(self._equal)
        self.likeness = lru_cache(maxsize=4096)(self._likeness)
        self.nearest = lru_cache(maxsize=4096)(self._nearest)

    def _equal(self, text: str) -> frozenset[int]:
        """The demos that say just this."""
        return frozenset(self._places.get(_folded(text), ()))

    def _nearest(self, text: str) -> Sequence[int]:
        """All demos, the most similar first; ties in file order."""
        likeness = self.likeness(text)
        return sorted(range(len(self._all)), key=lambda d: (-likeness[d], d))

    def _likeness(self, text: str) -> Sequence[float]:
        idf, postings = self._index
        likeness = [0.0] * len(self._all)
        for term, n in _terms(text).items():
            weight = (1 + math.log(n)) * idf.get(term, 0.0)
            for d, other in postings.get(term, ()):
                likeness[d] += weight * other
        return likeness

    @cached_property
    def _index(self) -> tuple[Mapping[str, float], Mapping[str, Sequence[tuple[int, float]]]]:
        """The weight of each term, and the demos that hold it with its normalised weight there."""
        bags = [_terms(text) for text in self._all]
        seen = Counter(term for bag in bags for term in bag)
        idf = {term: math.log((1 + len(bags)) / (1 + n)) + 1 for term, n in seen.items()}
        postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for d, bag in enumerate(bags):
            weights = {term: (1 + math.log(n)) * idf[term] for term, n in bag.items()}
            norm = math.sqrt(sum(w * w for w in weights.values())) or 1.0
            for term, weight in weights.items():
                postings[term].append((d, weight / norm))
        return idf, postings


def _folded(text: str) -> tuple[str, ...]:
    """The text with case, punctuation and spaces folded, and its numbers: other numbers ask something else."""
    return normalise(text), *_NUMBER.findall(unicodedata.normalize("NFKC", text))


def _terms(text: str) -> Counter[str]:
    words = normalise(text).split()
    padded = f" {' '.join(words)} "
    return Counter(words) + Counter(padded[i : i + 4] for i in range(len(padded) - 3))
