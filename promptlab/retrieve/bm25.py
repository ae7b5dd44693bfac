"""BM25 as Lucene computes it (Kamphuis et al., "Which BM25 do you mean?", ECIR 2020), exact, in arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from promptlab.records import Flow, Passage
from promptlab.retrieve.counts import counts
from promptlab.retrieve.impacts import Impacts
from promptlab.retrieve.pool import Pool
from promptlab.retrieve.terms import weighed


@dataclass(frozen=True, eq=False)
class Bm25:
    """A term counts the more the rarer it is, and the less the more often and the longer the passage.

    A term that the query repeats counts once; the other forms of its words count a little.

    ``k1``: how soon a repeated term stops to count; ``b``: how much a passage's length matters, 0 to 1.
    """

    pool: Pool
    k1: float = 1.2
    b: float = 0.75

    @cached_property
    def impacts(self) -> Impacts:
        """The index with its weights, made when it is first asked."""
        index = counts(self.pool)
        held = np.diff(index.starts)
        size, mean = len(index.lengths), max(float(index.lengths.mean()), 1.0) if len(index.lengths) else 1.0
        rarity = np.log1p((size - held + 0.5) / (held + 0.5)).astype(np.float32)
        worn = (self.k1 * (1 - self.b + self.b * index.lengths / mean)).astype(np.float32)
        often = index.counts.astype(np.float32)
        return Impacts(index, np.repeat(rarity, held) * (often / (often + worn[index.places])))

    def prepare(self) -> Flow[None]:
        """Build or read the index, so that the first query need not."""
        yield from ()  # asks no model
        self.impacts.prepare()

    def scores(self, query: str) -> NDArray[np.float32]:
        """The score of every passage."""
        return self.impacts.scores(weighed(query))

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:
        """The passages that say most of what the query says."""
        yield from ()  # asks no model
        return self.pool.found(*self.impacts.best(weighed(query), k))


def bm25(pool: Pool) -> Bm25:
    """The retriever over a pool."""
    return Bm25(pool)
