"""Texts as dense unit vectors of 256 numbers, equal on every machine: what the server's embedding model gives.

The features of ``features.vector`` (words, pairs of words, character n-grams) are projected by random signs, which
keeps angles on average (Achlioptas 2003, Database-friendly random projections). So a text is near another by its
words and spelling; the model knows no synonyms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from promptlab.embedded.features import DIMENSIONS, Vector, vector

EMBEDDERS: Mapping[str, int] = {"embed-small": 256}
"""The embedding models of the server, and the dimensions that they give at most."""


@lru_cache(maxsize=1)
def _signs(width: int) -> NDArray[np.int8]:
    """A sign for each feature and dimension."""
    bits = np.frombuffer(hashlib.shake_256(b"promptlab embedded vectors").digest(DIMENSIONS * width // 8), np.uint8)
    return (2 * np.unpackbits(bits).reshape(DIMENSIONS, width).astype(np.int8) - 1).astype(np.int8)


def _features(text: str) -> Vector:
    """The text's features; a text without words has its signs (or its white space) as features."""
    found = vector(text, True)
    if len(found.index):
        return found
    marks = list("".join(text.split())[:10_000]) or [text]
    index = sorted({crc32(mark.encode("utf-8", "surrogatepass")) % DIMENSIONS for mark in marks})
    return Vector(np.array(index, dtype=np.int32), np.full(len(index), 1.0, dtype=np.float32))


def _unit(full: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.sqrt((full * full).sum()))
    if length == 0.0:  # signs that cancel out: any fixed direction is as good
        full, length = np.eye(1, len(full))[0], 1.0
    return full / length


def embed(text: str, model: str, dimensions: int | None = None) -> NDArray[np.float32]:
    """The unit vector of ``text``; with fewer ``dimensions``, the first of them, brought to length 1 again."""
    seen = _features(text)
    full = seen.value.astype(np.float64) @ _signs(EMBEDDERS[model])[seen.index].astype(np.float64)
    return (np.round(_unit(full[:dimensions]), 6) + 0.0).astype(np.float32)  # + 0.0: no number reads -0.0
