"""Dense retrieval: the passages whose vectors are nearest the query's, by exact cosine over all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from promptlab.errors import BadInput, CallFailed, EndpointUnusable, Problem
from promptlab.records import Flow, Model, Passage
from promptlab.retrieve.embedding import BESIDE, MOST_TEXTS, REMEDY, Vectors, embedded, miscounted
from promptlab.retrieve.pool import Pool
from promptlab.retrieve.top import top
from promptlab.retrieve.vectors import Kept, kept, matrix

DIGITS = 6
"""Decimals of a score: 32-bit sums differ after them from machine to machine, and ties must not."""
DOING = "embedding passages"
STEP = BESIDE * MOST_TEXTS
"""Texts that are embedded between two visits to the disk: a run that is killed loses no more."""


class Dense:
    """A Retriever over the passages of a pool. ``prepare`` embeds them; a call that comes before does that first."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.model = model_of(pool)
        self._kept = kept(self.model, pool.vectors)
        self._texts = list(pool.texts())
        self._rows: Vectors | None = None
        self._blank: NDArray[np.intp] = np.empty(0, np.intp)  # places without a vector: never found

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:
        """The k nearest passages, best first, ties in the order of the corpus. A blank query finds nothing."""
        if not query.strip() or k <= 0:
            return ()
        if self._rows is None:
            yield from self.prepare()
        asked = yield from embedded(self.model, (query,))
        scores = self._scores(asked[0])
        places = [place for place in top(scores, k).tolist() if scores[place] > -np.inf]
        return self.pool.found(places, [float(scores[place]) for place in places])

    def _scores(self, asked: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = self._rows
        if rows is None or not rows.size or not asked.size:  # the endpoint turned it away
            return np.full(len(self._texts), -np.inf, np.float32)
        if rows.shape[1] != len(asked):
            raise EndpointUnusable(
                f"the embedding model {self.model.id!r} of {self.model.endpoint.host} gives {len(asked)} dimensions "
                f"for a query, and gave {rows.shape[1]} for the corpus. Nothing was scored with it; "
                "--fresh asks for all of them anew."
            )
        scores = np.round(rows @ asked, DIGITS)
        scores[self._blank] = -np.inf
        return scores

    @property
    def missing(self) -> tuple[str, ...]:
        """The texts that are yet to be embedded, each once."""
        return unknown(self._kept, self._texts)

    def prepare(self) -> Flow[None]:
        """Embed what is not kept yet, and hold the vectors ready. The pool's ``progress`` hears how far that is."""
        if self._rows is None:
            yield from filled(self._kept, self._texts, self.pool)
            self._load()

    def _load(self) -> None:
        known = self._kept.known(self._texts)
        try:
            self._rows = matrix([known.get(text) for text in self._texts])
        except ValueError as error:
            remedy = "Delete the file and run again: the corpus is embedded anew."
            raise BadInput(
                Problem(f"the kept vectors cannot be used: {error}", str(self._kept.path), 0, remedy)
            ) from error
        self._blank = np.flatnonzero(~self._rows.any(axis=1))


def dense(pool: Pool) -> Dense:
    """The retriever ``dense``: one for a pool, so that ``hybrid`` and it hold its vectors once.

    Raises BadInput where the pool has no embedding model.
    """
    made = vars(pool).get("_dense")
    if made is None:
        made = vars(pool)["_dense"] = Dense(pool)
    found: Dense = made
    return found


def preparation(pool: Pool) -> Flow[None]:
    """Embeds a pool's passages, so that nothing is left to embed but queries."""
    return dense(pool).prepare()


def unknown(vectors: Kept, texts: Sequence[str]) -> tuple[str, ...]:
    """The texts whose vectors are not kept yet, each once; blank ones have none."""
    wanted = list(dict.fromkeys(text for text in texts if text.strip()))
    known = vectors.known(wanted)
    return tuple(text for text in wanted if text not in known)


def filled(vectors: Kept, texts: Sequence[str], pool: Pool) -> Flow[None]:
    """Embed and keep what is not kept yet. Raises EndpointUnusable where that cannot go on; what was done stays."""
    missing = unknown(vectors, texts)
    new = set(unknown(kept(vectors.model, pool.cache), missing))  # the others are answered from the disk
    done = 0
    for start in range(0, len(missing), STEP):
        part = missing[start : start + STEP]
        if new.intersection(part):
            pool.progress(DOING, done, len(new))
        try:
            rows = yield from embedded(vectors.model, part)
        except CallFailed as failure:
            if miscounted(failure):
                raise EndpointUnusable(f"the corpus could not be embedded: {failure}. {REMEDY}") from failure
            raise EndpointUnusable(
                f"the corpus could not be embedded: {failure}. "
                f"{start} of {len(missing)} texts are, and stay so: run the same command to go on."
            ) from failure
        vectors.keep(part, rows)
        done += len(new.intersection(part))
    if new:
        pool.progress(DOING, done, len(new))


def model_of(pool: Pool) -> Model:
    """The pool's embedding model."""
    if pool.embed is None:
        raise BadInput(Problem("dense retrieval needs an embedding model", remedy="Name it: `retrieval.embedding`."))
    return pool.embed
