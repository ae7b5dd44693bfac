"""Search in an inverted index: a passage scores the sum of the weights that the query's terms have in it. Exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from promptlab.retrieve.counts import Counts
from promptlab.retrieve.top import top

_FREQUENT = 16  # a term in more than one of so many passages is added as a row of all of them: that is faster
_HELD = 64 * 2**20  # bytes of such rows that are kept

Weights: TypeAlias = NDArray[np.float32]
Places: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Impacts:
    """An index with a weight above 0 for every term in every passage that holds it."""

    counts: Counts
    weights: Weights

    def prepare(self) -> None:
        """Make what the first query would make."""
        _ = self._places

    def scores(self, query: Mapping[str, float]) -> Weights:
        """The score of every passage; the factors of the query are positive."""
        return self._scored(query, 0)[0]

    def best(self, query: Mapping[str, float], k: int) -> tuple[list[int], list[float]]:
        """Places and scores of the k best passages, ties in corpus order.

        Where fewer than k hold a term of the query, others follow with a score of 0.
        """
        k = min(max(k, 0), self._size)
        if k == 0:
            return [], []
        scores, least = self._scored(query, k)
        near = np.flatnonzero(scores >= least if least > 0 else scores)
        if len(near) >= k:
            places = near[top(scores[near], k)]
        else:
            others = np.flatnonzero(scores == 0)[: k - len(near)]
            places = np.concatenate((near[top(scores[near], k)], others))
        return places.tolist(), scores[places].tolist()

    def _scored(self, query: Mapping[str, float], k: int) -> tuple[Weights, float]:
        """All scores, and a score that k passages reach; 0 if none is known."""
        scores, starts = np.zeros(self._size, dtype=np.float32), self.counts.starts
        shortest: Places | None = None
        for term, factor in query.items():
            number = self.counts.numbers.get(term)
            if number is None:
                continue
            held = int(starts[number + 1] - starts[number])
            if held * _FREQUENT > self._size:
                row = self._row(number)
                scores += row if factor == 1 else row * np.float32(factor)
                continue
            places, weights = self._list(number)
            scores[places] += weights if factor == 1 else weights * np.float32(factor)
            if held >= k > 0 and (shortest is None or held < len(shortest)):
                shortest = places
        if shortest is None:
            return scores, 0.0
        # k passages of the rarest term have at least this much: what has less is none of the best k
        return scores, float(np.partition(scores[shortest], len(shortest) - k)[len(shortest) - k])

    @property
    def _size(self) -> int:
        return len(self.counts.lengths)

    @cached_property
    def _places(self) -> Places:
        return self.counts.places.astype(np.intp)  # numpy indexes by these twice as fast

    def _list(self, number: int) -> tuple[Places, Weights]:
        stretch = slice(self.counts.starts[number], self.counts.starts[number + 1])
        return self._places[stretch], self.weights[stretch]

    @cached_property
    def _row(self) -> Callable[[int], Weights]:
        def row(number: int) -> Weights:
            places, weights = self._list(number)
            made = np.zeros(self._size, dtype=np.float32)
            made[places] = weights
            return made

        return lru_cache(maxsize=max(8, _HELD // (4 * max(self._size, 1))))(row)
