"""Dense retrieval past memory: vectors on a Qdrant server (extra ``qdrant``).

The environment variable PROMPTLAB_QDRANT_URL names the server, PROMPTLAB_QDRANT_API_KEY its key. Without it Qdrant's
client stands in for a server, in memory: enough to try things out.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy as np

from promptlab.errors import BadInput, Problem
from promptlab.records import Flow, Passage
from promptlab.retrieve.dense import filled, model_of, unknown
from promptlab.retrieve.embedding import embedded
from promptlab.retrieve.pool import Pool
from promptlab.retrieve.stored import INDEXED, SPARE, engine, name_of, ranked, rows_of
from promptlab.retrieve.vectors import kept

URL, KEY = "PROMPTLAB_QDRANT_URL", "PROMPTLAB_QDRANT_API_KEY"
WRITTEN = 1000
"""Vectors of one request."""


class Qdrant:
    """A Retriever whose vectors are in a collection: it finds what ``dense`` finds, exactly up to INDEXED passages."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.model = model_of(pool)
        self._engine = engine("qdrant_client", "qdrant")
        self._kept = kept(self.model, pool.vectors)
        self._name = f"{name_of(self.model)}_{pool.key}"
        self._client: Any = None
        self._count = 0
        self._serves = bool(os.environ.get(URL, "").strip())

    @property
    def missing(self) -> tuple[str, ...]:
        """The texts that are yet to be embedded, each once."""
        return unknown(self._kept, list(self.pool.texts()))

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:
        """The k nearest passages, best first, ties in the order of the corpus. A blank query finds nothing."""
        k = min(k, len(self.pool.passages))
        if not query.strip() or k <= 0:
            return ()
        if self._client is None:
            yield from self.prepare()
        asked = yield from embedded(self.model, (query,))
        if not self._count or not asked.size:  # nothing to find, or the endpoint turned the query away
            return ()
        exact = self._engine.models.SearchParams(exact=True)
        how = {"search_params": exact} if self._serves and self._count < INDEXED else {}
        found = self._client.query_points(
            self._name, query=asked[0].tolist(), limit=k + SPARE, with_vectors=True, **how
        ).points
        places = np.array([each.id for each in found], dtype=np.int64)
        rows = np.array([each.vector for each in found], dtype=np.float32)
        return ranked(self.pool, places, rows, asked[0], k)

    def prepare(self) -> Flow[None]:
        """Embed what is not kept yet, and put all into the collection, if that is not done."""
        texts = list(self.pool.texts())
        yield from filled(self._kept, texts, self.pool)
        client = self._client = self._client or self._opened()
        try:
            self._count = sum(1 for text in texts if text.strip())
            there = client.collection_exists(self._name)
            if self._count and not (there and client.count(self._name).count == self._count):
                self._write(client, texts)
        except Exception as error:
            raise _unusable(error) from error

    def _write(self, client: Any, texts: list[str]) -> None:
        models, made = self._engine.models, False
        client.delete_collection(self._name)
        for places, rows in rows_of(self._kept, texts, WRITTEN):
            if not made:
                size = models.VectorParams(size=rows.shape[1], distance=models.Distance.DOT)
                client.create_collection(self._name, vectors_config=size)
                made = True
            points = models.Batch(ids=places.tolist(), vectors=rows.tolist())
            client.upsert(self._name, points=points, wait=True)
            self.pool.progress("writing vectors", int(places[-1]) + 1, len(texts))

    def _opened(self) -> Any:
        make = self._engine.QdrantClient
        try:
            if not self._serves:
                client = make(":memory:")
            else:
                client = make(url=os.environ[URL].strip(), api_key=os.environ.get(KEY) or None, timeout=60)
        except Exception as error:
            raise _unusable(error) from error
        weakref.finalize(self, client.close)
        return client


def qdrant(pool: Pool) -> Qdrant:
    """The retriever ``qdrant``. Raises BadInput where the extra is not installed, or no embedding model is named."""
    return Qdrant(pool)


def _unusable(error: Exception) -> BadInput:
    remedy = f"Start the server that {URL} names, or unset it: vectors are then held in memory."
    return BadInput(Problem(f"the retriever 'qdrant': {type(error).__name__}: {error}", remedy=remedy))
