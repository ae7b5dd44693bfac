"""Retrievers that find nothing, or what the row's answer tells: how good or bad retrieval can make an answer."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np

from promptlab.records import Example, Flow, Passage
from promptlab.retrieve.bm25 import Bm25
from promptlab.retrieve.gold import Answers, folded
from promptlab.retrieve.pool import Pool


@dataclass(frozen=True, eq=False)
class Nothing:
    """No passages: the closed book."""

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:  # noqa: ARG002 - a retriever's shape
        """No passage, whatever is asked."""
        yield from ()  # asks no model
        return ()


@dataclass(frozen=True, eq=False)
class Known:
    """A retriever for each row, by what the row knows. Called without a row, it finds nothing."""

    pool: Pool
    right: bool
    seed: int = 0

    @cached_property
    def likeness(self) -> Bm25:
        """What is most like a query."""
        return Bm25(self.pool)

    @cached_property
    def places(self) -> dict[str, list[int]]:
        """The places of passages by their ids and by their documents' ids."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for place, each in enumerate(self.pool.passages):
            for name in {each.id, each.source} - {""}:
                found[name].append(place)
        return dict(found)

    def prepare(self) -> Flow[None]:
        """Build or read the index."""
        yield from self.likeness.prepare()

    def for_example(self, example: Example) -> ForExample:
        """The retriever for a row."""
        return ForExample(self, example)

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:  # noqa: ARG002 - a retriever's shape
        """Without a row nothing is known."""
        yield from ()  # asks no model
        return ()


@dataclass(frozen=True, eq=False)
class ForExample:
    """Gold passages, or such as are like them and hold no answer."""

    known: Known
    example: Example

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:
        """At most k passages, best first; fewer where there are no more of the kind."""
        yield from ()  # asks no model
        if k <= 0:
            return ()
        return tuple(self._gold(query, k) if self.known.right else self._misleading(query, k))

    def _gold(self, query: str, k: int) -> tuple[Passage, ...]:
        """Passages that the row names, those first that say its answer, then by likeness to the query.

        Where the row names none: passages that say the answer.
        """
        pool, answers = self.known.pool, Answers(self.example)
        places = self._named()
        if not self.example.gold:
            places = {at for at, each in enumerate(pool.passages) if answers.stand_in(each)}
        saying = {at for at in places if answers.stand_in(pool.passages[at])}
        scores = self.known.likeness.scores(query)
        best = sorted(places, key=lambda at: (at not in saying, -scores[at], at))[:k]
        # the score is the order: 1, 1/2, 1/3 and so on
        return pool.found(best, [1 / rank for rank in range(1, len(best) + 1)])

    def _misleading(self, query: str, k: int) -> Iterator[Passage]:
        """Passages that are no gold and hold no answer: the most like the query, then others by lot."""
        passages, answers, named = self.known.pool.passages, Answers(self.example), self._named()
        innocent = (
            replace(passages[at], score=score)
            for at, score in self._by_likeness(query)
            if at not in named and not answers.stand_in(passages[at])
        )
        return islice(innocent, k)

    def _named(self) -> set[int]:
        """The places of the row's gold passages. What is no id of this corpus is a text that stands in them."""
        known, passages = self.known.places, self.known.pool.passages
        found = {place for gold in self.example.gold for place in known.get(gold, ())}
        texts = [folded(gold) for gold in self.example.gold if gold not in known and gold.strip()]
        if texts:
            found |= {at for at, each in enumerate(passages) if any(text in folded(each.text) for text in texts)}
        return found

    def _by_likeness(self, query: str) -> Iterator[tuple[int, float]]:
        """(Place, score) of all passages, by falling likeness; those that share no word with the query by lot.

        The latter score -1, -2 and so on: a lot has an order of its own.
        """
        scores = self.known.likeness.scores(query)
        alike = np.flatnonzero(scores > 0)
        for at in alike[np.argsort(-scores[alike], kind="stable")].tolist():
            yield at, float(scores[at])
        others = np.flatnonzero(scores <= 0).tolist()
        random.Random(f"{self.known.seed} {self.example.id}").shuffle(others)
        yield from ((at, -float(lot)) for lot, at in enumerate(others, start=1))


def none(pool: Pool) -> Nothing:  # noqa: ARG001 - a factory's shape
    """The retriever that finds nothing."""
    return Nothing()


def oracle(pool: Pool) -> Known:
    """Gold passages alone: what answers would be with perfect retrieval."""
    return Known(pool, right=True)


def wrong(pool: Pool) -> Known:
    """Passages like the right ones that hold no answer: what answers are worth when retrieval misleads."""
    return Known(pool, right=False)
