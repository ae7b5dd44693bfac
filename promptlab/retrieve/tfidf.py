"""TF-IDF cosine: scikit-learn's numbers (``sublinear_tf=True``, smoothed idf, length 1) without its 200 MB."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from promptlab.records import Flow, Passage
from promptlab.retrieve.counts import Counts, counts
from promptlab.retrieve.impacts import Impacts
from promptlab.retrieve.pool import Pool
from promptlab.retrieve.terms import weighed


@dataclass(frozen=True, eq=False)
class TfIdf:
    """Passage and query as vectors of (1 + log count) x idf; the score is the cosine between them, 0 to 1."""

    pool: Pool

    @cached_property
    def counts(self) -> Counts:
        """The index, made when it is first asked."""
        return counts(self.pool)

    @cached_property
    def rarity(self) -> NDArray[np.float64]:
        """The idf of each term, smoothed as if one more passage held every term."""
        return np.log((1 + len(self.counts.lengths)) / (1 + np.diff(self.counts.starts))) + 1

    @cached_property
    def impacts(self) -> Impacts:
        """The passages' vectors, each of length 1."""
        index = self.counts
        weights = (1 + np.log(index.counts)) * np.repeat(self.rarity, np.diff(index.starts))
        length = np.sqrt(np.bincount(index.places, weights**2, len(index.lengths)))
        return Impacts(index, (weights / length[index.places]).astype(np.float32))

    def prepare(self) -> Flow[None]:
        """Build or read the index, so that the first query need not."""
        yield from ()  # asks no model
        self.impacts.prepare()

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:
        """The passages whose words are most like the query's."""
        yield from ()  # asks no model
        asked = {
            term: factor * self.rarity[self.counts.numbers[term]]
            for term, factor in weighed(query, lambda number: 1 + math.log(number)).items()
            if term in self.counts.numbers
        }
        length = float(np.sqrt(sum(each**2 for each in asked.values()))) or 1.0
        return self.pool.found(*self.impacts.best({term: float(each) / length for term, each in asked.items()}, k))


def tfidf(pool: Pool) -> TfIdf:
    """The retriever over a pool."""
    return TfIdf(pool)
