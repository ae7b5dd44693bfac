"""Retrieval: passages of a corpus for a query, as one more choice of a prompt.

A retriever is made by a factory from a :class:`~promptlab.retrieve.pool.Pool` and called with a query and a k. In an
experiment it is named: one of ``RETRIEVERS``, or one's own as ``package.module:name``, with the same shape.
"""

from __future__ import annotations

from typing import Protocol

from promptlab.records import Flow, Passage

RETRIEVERS: dict[str, str] = {
    "none": "promptlab.retrieve.known:none",
    "tfidf": "promptlab.retrieve.tfidf:tfidf",
    "bm25": "promptlab.retrieve.bm25:bm25",
    "dense": "promptlab.retrieve.dense:dense",
    "hybrid": "promptlab.retrieve.hybrid:hybrid",
    "oracle": "promptlab.retrieve.known:oracle",
    "wrong": "promptlab.retrieve.known:wrong",
    "lancedb": "promptlab.retrieve.lancedb:lancedb",
    "qdrant": "promptlab.retrieve.qdrant:qdrant",
}


class Retriever(Protocol):
    """Finds passages. Pure between the yields: the same query and k give the same passages."""

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:
        """At most k passages, no one twice, best first: a higher score is better, ties stand in corpus order.

        Each has its ``score``. A k past the corpus gives all of it.
        """
        ...
