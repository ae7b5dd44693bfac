"""Several retrievers as one, by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from promptlab.records import Flow, Passage
from promptlab.retrieve import Retriever
from promptlab.retrieve.bm25 import bm25
from promptlab.retrieve.dense import dense
from promptlab.retrieve.pool import Pool

_DEPTH = 100  # of each member's ranking at least so much is read: what is further down adds next to nothing


@dataclass(frozen=True, eq=False)
class Hybrid:
    """A passage scores the sum of 1 / (constant + rank) over the members that found it.

    A score of exactly 0 means that a member found nothing in a passage: it then has no rank there.
    """

    pool: Pool
    members: Sequence[Retriever]
    constant: int = 60

    @cached_property
    def _places(self) -> dict[str, int]:
        return {each.id: place for place, each in enumerate(self.pool.passages)}

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:
        """The passages that stand high with many members."""
        k = min(max(k, 0), len(self.pool.passages))
        if k == 0:
            return ()
        scores: defaultdict[int, float] = defaultdict(float)
        for member in self.members:
            found = yield from member(query, max(k, _DEPTH))
            for rank, passage in enumerate((each for each in found if each.score != 0), start=1):
                scores[self._places[passage.id]] += 1 / (self.constant + rank)
        best = sorted(scores, key=lambda place: (-scores[place], place))[:k]
        rest = (place for place in range(len(self.pool.passages)) if place not in scores)
        best += [place for place, _ in zip(rest, range(k - len(best)), strict=False)]
        return self.pool.found(best, [scores.get(place, 0.0) for place in best])


def hybrid(pool: Pool) -> Hybrid:
    """Words and meaning: bm25 and dense."""
    return Hybrid(pool, (bm25(pool), dense(pool)))
