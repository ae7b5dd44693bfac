"""How often which term stands in which passage: all that a lexical retriever needs to know of a corpus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from promptlab.retrieve.index import Arrays, kept
from promptlab.retrieve.pool import Pool, Progress
from promptlab.retrieve.terms import VERSION, words

_BLOCK = 200  # passages at a time: their words stay in the processor's cache

Ints: TypeAlias = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Counts:
    """For each term, the passages that hold it and how often: for term t, from ``starts[t]`` to ``starts[t + 1]``.

    ``places`` ascend within a term. ``lengths`` are the terms of each passage.
    """

    numbers: dict[str, int]
    starts: Ints
    places: Ints
    counts: Ints
    lengths: Ints


def counts(pool: Pool) -> Counts:
    """The counts of a pool's passages, kept on disk."""
    found = kept(pool, "terms", {"terms": VERSION}, lambda: _counted(pool.texts(), len(pool.passages), pool.progress))
    listed = found["terms"].tobytes().decode("utf-8", "surrogatepass").split("\n")
    numbers = {term: number for number, term in enumerate(listed)} if len(found["starts"]) > 1 else {}
    return Counts(numbers, found["starts"], found["places"], found["counts"], found["lengths"])


def _counted(texts: Iterable[str], size: int, progress: Progress) -> Arrays:
    from scipy.sparse import csr_array

    numbers, lengths, seen = _numbered(texts, size, progress)
    ends: Ints = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))
    if len(numbers) < 2**31:
        ends = ends.astype(np.int32)  # as wide as the columns: scipy would widen all
    ones = np.ones(len(numbers), np.int32)
    by_term = csr_array((ones, numbers, ends), shape=(size, max(len(seen), 1))).tocsc()
    by_term.sum_duplicates()
    return {
        "terms": np.frombuffer("\n".join(seen).encode("utf-8", "surrogatepass"), dtype=np.uint8),
        "starts": by_term.indptr[: len(seen) + 1].astype(np.int64),
        "places": by_term.indices.astype(np.int32, copy=False),
        "counts": by_term.data,
        "lengths": np.array(lengths, dtype=np.int32),
    }


def _numbered(texts: Iterable[str], size: int, progress: Progress) -> tuple[NDArray[np.int32], list[int], list[str]]:
    """Every word as a number, text after text; the words of each text; the words by number."""
    seen: defaultdict[str, int] = defaultdict(count().__next__)
    lengths: list[int] = []
    blocks: list[NDArray[np.int32]] = []
    for block in _blocks(texts, _BLOCK):
        progress("indexing passages", len(lengths), size)
        found: list[str] = []
        for text in block:
            before = len(found)
            found += words(text)
            lengths.append(len(found) - before)
        blocks.append(np.fromiter(map(seen.__getitem__, found), np.int32, len(found)))
    progress("indexing passages", size, size)
    return np.concatenate([np.empty(0, np.int32), *blocks]), lengths, list(seen)


def _blocks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """Texts in lists of at most ``size``."""
    left = iter(texts)
    while block := list(islice(left, size)):
        yield block
