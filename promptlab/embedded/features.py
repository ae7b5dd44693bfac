"""Texts as sparse unit vectors: hashed words, word pairs and character n-grams (8,192 dimensions).

The hash is CRC-32, so vectors are equal on every machine and in every process. Character n-grams are hashed all at
once: the CRC of every 4-gram continues the CRC of the 3-gram at the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from promptlab.embedded.words import FUNCTION_WORDS, QUESTION_WORDS, stem, words

Floats = NDArray[np.float64]

DIMENSIONS = 8192
_LONGEST_CACHED = 8_000  # characters: a few huge texts must not fill the cache's memory
_MOST_WORDS = 20_000  # a vector of word shares does not change past this


@dataclass(frozen=True, slots=True)
class Vector:
    """A sparse unit vector: ``value[i]`` at dimension ``index[i]``; empty for a text without words."""

    index: NDArray[np.int32]
    value: NDArray[np.float32]


def _table() -> NDArray[np.uint32]:
    """CRC-32's table of 256 entries (polynomial 0xEDB88320)."""
    entry = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        entry = np.where(entry & 1, np.uint32(0xEDB88320) ^ (entry >> 1), entry >> 1).astype(np.uint32)
    return entry


_TABLE = _table()


def _char_grams(data: bytes, longest: int) -> Iterator[NDArray[np.uint32]]:
    """CRC-32 of all byte n-grams of ``data``, for n from 3 to ``longest``."""
    codes = np.frombuffer(data, dtype=np.uint8)
    state = np.full(len(codes), 0xFFFFFFFF, dtype=np.uint32)
    for size in range(1, longest + 1):
        places = len(codes) - size + 1
        if places <= 0:
            return
        mixed = (state[:places] ^ codes[size - 1 :]) & np.uint32(0xFF)
        state = _TABLE[mixed] ^ (state[:places] >> np.uint32(8))
        if size >= 3:
            yield ~state


def _hashes(grams: Iterable[str]) -> NDArray[np.uint32]:
    return np.array([crc32(gram.encode("utf-8", "surrogatepass")) for gram in grams], dtype=np.uint32)


def _build(text: str, wide: bool) -> Vector:
    terms = words(text)[:_MOST_WORDS]
    stems = [stem(term) for term in terms]
    light = [s for s, t in zip(stems, terms, strict=True) if t in FUNCTION_WORDS]
    heavy = [s for s, t in zip(stems, terms, strict=True) if t not in FUNCTION_WORDS]
    data = f" {' '.join(terms)} ".encode("utf-8", "surrogatepass")
    groups = [(0.3, _hashes(light)), (1.0, _hashes(heavy))]
    if wide:
        pairs = [f"{a} {b}" for a, b in pairwise(stems)]
        asked = [f"^ {' '.join(stems[:2])}"] if terms and terms[0] in QUESTION_WORDS else []
        groups.append((0.4, _hashes(pairs + asked)))
    groups += [(0.3, grams) for grams in _char_grams(data, 5 if wide else 4)]
    total = np.zeros(DIMENSIONS)
    for weight, hashed in groups:
        if len(hashed):
            counts = np.bincount((hashed % DIMENSIONS).astype(np.int64), minlength=DIMENSIONS)
            total += weight * np.log1p(counts)
    index = np.flatnonzero(total)
    value = total[index]
    return Vector(index.astype(np.int32), (value / max(float(np.sqrt(value @ value)), 1e-12)).astype(np.float32))


_cached = lru_cache(maxsize=8192)(_build)


def vector(text: str, wide: bool) -> Vector:
    """The features of ``text``: stems and character 3-4-grams; ``wide`` adds pairs of words and 5-grams."""
    return _cached(text, wide) if len(text) <= _LONGEST_CACHED else _build(text, wide)


def dense(of: Vector) -> Floats:
    """``of`` as a full array of DIMENSIONS floats."""
    full = np.zeros(DIMENSIONS)
    full[of.index] = of.value
    return full


def dots(full: Floats, many: Sequence[Vector]) -> Floats:
    """The dot product of ``full`` with each of ``many``."""
    return np.array([full[one.index] @ one.value for one in many])


def mean(many: Sequence[Vector]) -> Floats:
    """The mean of ``many`` (at least one) as a full array."""
    index = np.concatenate([one.index for one in many])
    value = np.concatenate([one.value for one in many])
    return np.bincount(index, weights=value, minlength=DIMENSIONS) / len(many)


def centred(query: Vector, many: Sequence[Vector]) -> Floats:
    """Cosine of ``query`` with each of ``many`` after their mean is taken from both: what all share counts nothing.

    With a single text there is nothing to compare it with: the plain cosine.
    """
    full = dense(query)
    plain = dots(full, many)
    if len(many) < 2:
        return plain
    middle = mean(many)
    square = middle @ middle
    to_middle = dots(middle, many)
    from_query = full @ middle
    lengths = np.sqrt(np.maximum(1.0 - 2.0 * to_middle + square, 1e-12))
    length = np.sqrt(max(float(1.0 - 2.0 * from_query + square), 1e-12))
    out: Floats = (plain - to_middle - from_query + square) / (lengths * length)
    return out
