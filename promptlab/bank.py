"""Demo banks: which examples a prompt shows, and in which order. Pure; the same slots and row give the same demos."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, TypeAlias

from promptlab.dataset.leak import normalise, text_of
from promptlab.errors import BadInput, Problem, nearest
from promptlab.records import Example

SELECTIONS = ("random", "balanced", "nearest", "diverse")
ORDERS = ("given", "shuffled", "nearest-last")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

Listed: TypeAlias = "tuple[str | tuple[str, str], ...]"
"""A value of ``bank.demos``: the ids of demos in the order in which they are shown; with a text, it is the answer."""


@dataclass(frozen=True)
class Bank:
    """The examples that may be shown, in file order."""

    demos: tuple[Example, ...]
    _reworded: dict[tuple[str, str], Example] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def hash(self) -> str:
        """sha256 of all that is shown of the demos or decides which are, in order."""
        content = [[d.id, sorted(d.inputs.items()), d.label, [[p.id, p.text] for p in d.passages]] for d in self.demos]
        return hashlib.sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()

    def select(self, slots: Mapping[str, Any], example: Example) -> tuple[Example, ...]:
        """The demos for one row: ``bank.k`` of them, by ``bank.select`` and ``bank.seed``, in ``bank.order``.

        Where ``bank.demos`` lists demos, these, as listed. A row is never its own demo: demos of equal inputs, once
        case, punctuation and spaces are folded, are passed over, and others take their places unless they are listed.
        Only the inputs that the row has count, here and for likeness.
        """
        columns, text = tuple(sorted(example.inputs)), text_of(example)
        if "bank.demos" in slots:
            own = self._texts(columns).equal(text)
            listed = ((self._places(each), each) for each in slots["bank.demos"])
            return tuple(self._shown(d, each) for d, each in listed if d not in own)
        if int(slots.get("bank.k", 0)) <= 0:
            return ()
        texts = self._texts(columns)
        own = texts.equal(text)
        if slots.get("bank.select") == "nearest":
            chosen = list(islice((d for d in texts.nearest(text) if d not in own), int(slots["bank.k"])))
        else:
            chosen = self._chosen(slots, columns, own)
        if slots.get("bank.order") == "nearest-last":
            likeness = texts.likeness(text)
            chosen.sort(key=lambda d: (likeness[d], -d))
        else:
            self._sort(chosen, slots)
        return tuple(self.demos[d] for d in chosen)

    def listed(self, slots: Mapping[str, Any]) -> Listed:
        """What these slots show to a row that is none of the demos; nothing where the row decides (``nearest``)."""
        if "bank.demos" in slots:
            return tuple(slots["bank.demos"])
        if int(slots.get("bank.k", 0)) <= 0 or slots.get("bank.select") == "nearest" or not self.demos:
            return ()
        chosen = self._chosen(slots, tuple(sorted(self.demos[0].inputs)), frozenset())
        self._sort(chosen, slots)
        return tuple(self.demos[d].id for d in chosen)

    def _chosen(self, slots: Mapping[str, Any], columns: tuple[str, ...], own: frozenset[int]) -> list[int]:
        """The ``bank.k`` demos that no likeness to a row picks, without its own."""
        k, seed, how = int(slots["bank.k"]), slots.get("bank.seed", 0), slots.get("bank.select", "random")
        if how == "diverse":
            picked = self._spread(columns, seed, k + len(own))
        else:
            picked = self._dealt(seed) if how == "balanced" else self._shuffled(seed)
        return list(islice((d for d in picked if d not in own), k))

    def _sort(self, chosen: list[int], slots: Mapping[str, Any]) -> None:
        if slots.get("bank.order") == "shuffled":
            chosen.sort(key=lambda d: _draw("order", slots.get("bank.seed", 0), self.demos[d].id))
        else:
            chosen.sort()

    @cached_property
    def _places(self) -> Callable[[str | tuple[str, str]], int]:
        places = {demo.id: d for d, demo in reversed(list(enumerate(self.demos)))}

        def place(each: str | tuple[str, str]) -> int:
            name = each if isinstance(each, str) else each[0]
            if name not in places:
                raise BadInput(Problem(f"`bank.demos`: the bank has no demo {name!r}", remedy=nearest(name, places)))
            return places[name]

        return place

    def _shown(self, d: int, each: str | tuple[str, str]) -> Example:
        """A listed demo; the same object whenever it is listed with the same answer."""
        if isinstance(each, str):
            return self.demos[d]
        key = (each[0], each[1])
        if key not in self._reworded:
            self._reworded[key] = replace(self.demos[d], label=each[1])
        return self._reworded[key]

    @cached_property
    def _spread(self) -> Callable[[tuple[str, ...], Any, int], Sequence[int]]:
        def spread(columns: tuple[str, ...], seed: Any, count: int) -> Sequence[int]:
            return self._texts(columns).spread(self._shuffled(seed)[:1], count)

        return lru_cache(maxsize=256)(spread)

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

    def spread(self, first: Sequence[int], count: int) -> Sequence[int]:
        """``count`` demos from ``first`` on, each the least like those before it (farthest-first, Gonzalez 1985)."""
        chosen: list[int] = []
        closest = [0.0] * len(self._all)
        left = set(range(len(self._all)))
        while left and len(chosen) < count:
            d = first[len(chosen)] if len(chosen) < len(first) else min(left, key=lambda each: (closest[each], each))
            chosen.append(d)
            left.discard(d)
            likeness = self.likeness(self._all[d])
            closest = [max(one, other / (likeness[d] or 1.0)) for one, other in zip(closest, likeness, strict=True)]
        return chosen

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
