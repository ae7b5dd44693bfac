"""Demo banks: which examples a prompt shows, and in which order. Pure; the same slots and row give the same demos."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from promptlab.dataset.leak import normalise, text_of
from promptlab.records import Example

SELECTIONS = ("random", "balanced", "nearest")
ORDERS = ("given", "shuffled", "nearest-last")


@dataclass(frozen=True)
class Bank:
    """The examples that may be shown, in file order. ``columns`` are the inputs that similarity looks at."""

    demos: tuple[Example, ...]

    @cached_property
    def hash(self) -> str:
        """sha256 of inputs and labels, in order."""
        text = "\n".join(repr((demo.id, sorted(demo.inputs.items()), demo.label)) for demo in self.demos)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def select(self, slots: Mapping[str, Any], example: Example) -> tuple[Example, ...]:
        """The demos for one row: ``bank.k`` of them, by ``bank.select`` and ``bank.seed``, in ``bank.order``.

        A row is never its own demo: the same id, and equal inputs once case, punctuation and spaces are folded, are
        passed over.
        """
        k = int(slots.get("bank.k", 0))
        if k <= 0:
            return ()
        seed = slots.get("bank.seed", 0)
        picked = self._picked(slots.get("bank.select", "random"), example, seed)
        text = normalise(text_of(example))
        chosen = [d for d in picked[: k + 8] if self.demos[d].id != example.id and self._folded[d] != text][:k]
        return tuple(self.demos[d] for d in self._ordered(chosen, slots.get("bank.order", "given"), example, seed))

    def _ordered(self, chosen: Sequence[int], order: str, example: Example, seed: Any) -> Sequence[int]:
        if order == "shuffled":
            return sorted(chosen, key=lambda d: _draw("order", seed, self.demos[d].id))
        if order == "nearest-last":
            place = {d: rank for rank, d in enumerate(self._nearest(text_of(example)))}
            return sorted(chosen, key=lambda d: -place[d])
        return sorted(chosen)

    @cached_property
    def _folded(self) -> tuple[str, ...]:
        return tuple(normalise(text_of(demo)) for demo in self.demos)

    def _picked(self, how: str, example: Example, seed: Any) -> Sequence[int]:
        if how == "nearest":
            return self._nearest(text_of(example))
        return self._dealt(seed) if how == "balanced" else self._shuffled(seed)

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

    @cached_property
    def _nearest(self) -> Callable[[str], Sequence[int]]:
        index = _Index([text_of(demo) for demo in self.demos])
        return lru_cache(maxsize=4096)(index.nearest)


def _draw(*parts: Any) -> bytes:
    """A stable draw: adding a demo moves none of the others."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()


class _Index:
    """TF-IDF cosine over words and character 4-grams (Salton and Buckley 1988), as postings."""

    def __init__(self, texts: Sequence[str]) -> None:
        bags = [_terms(text) for text in texts]
        seen = Counter(term for bag in bags for term in bag)
        self.idf = {term: math.log((1 + len(texts)) / (1 + n)) + 1 for term, n in seen.items()}
        self.postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for d, bag in enumerate(bags):
            weights = {term: (1 + math.log(n)) * self.idf[term] for term, n in bag.items()}
            norm = math.sqrt(sum(w * w for w in weights.values())) or 1.0
            for term, weight in weights.items():
                self.postings[term].append((d, weight / norm))
        self.size = len(texts)

    def nearest(self, text: str) -> Sequence[int]:
        """All demos, the most similar first; ties in file order."""
        likeness = [0.0] * self.size
        for term, n in _terms(text).items():
            weight = (1 + math.log(n)) * self.idf.get(term, 0.0)
            for d, other in self.postings.get(term, ()):
                likeness[d] += weight * other
        return sorted(range(self.size), key=lambda d: (-likeness[d], d))


def _terms(text: str) -> Counter[str]:
    words = normalise(text).split()
    padded = f" {' '.join(words)} "
    return Counter(words) + Counter(padded[i : i + 4] for i in range(len(padded) - 3))
