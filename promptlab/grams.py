"""Rows as hashed runs of words: enough to recognise a text that repeats them, and nothing to read.

A run is eight words, or a whole value of four to seven; a shorter value counts together with its answer. What train,
demos, templates and labels say as well is nobody's secret, nor is what many rows say alike.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from promptlab.metrics.accepted import text_of
from promptlab.records import Example

RUN = 8
SHORT = 4
COMMON = 0.02  # of the rows; what more of them (and more than two) say is a manner of speaking

Codes: TypeAlias = npt.NDArray[np.uint64]

# scripts without spaces between words: a character is a word
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Grams:
    """The codes of runs by their length in words, each array sorted."""

    runs: Mapping[int, Codes]


def grams(rows: Sequence[Example], known: Iterable[str] = ()) -> Grams:
    """The runs of some rows, but for those that many rows or one of the ``known`` texts hold."""
    found: dict[int, list[tuple[Codes, int]]] = {}
    for place, row in enumerate(rows):
        for words in _values(row):
            length = min(RUN, len(words))
            found.setdefault(length, []).append((_codes(words, length), place))
    texts = [_words(text) for text in known]
    return Grams({length: _rare(parts, len(rows), texts, length) for length, parts in sorted(found.items())})


def repeated(text: str, secret: Grams) -> str:
    """The first run of words of a text that a row holds; empty if there is none."""
    words = _words(text)
    first: tuple[int, int] | None = None
    for length, codes in secret.runs.items():
        hits = np.flatnonzero(np.isin(_codes(words, length), codes))
        if len(hits) and (first is None or hits[0] < first[0]):
            first = int(hits[0]), length
    return " ".join(words[first[0] : sum(first)]) if first else ""


def _values(row: Example) -> Iterator[list[str]]:
    for value in row.inputs.values():
        words = _words(value if isinstance(value, str) else text_of(value))
        if len(words) >= SHORT:
            yield words
        elif words:
            yield from (words + answer for each in row.answers if (answer := _words(text_of(each))))


def _rare(parts: Sequence[tuple[Codes, int]], rows: int, known: Sequence[list[str]], length: int) -> Codes:
    """The codes that few rows hold, and no known text."""
    pairs = np.unique(
        np.concatenate([np.stack([codes, np.full(len(codes), place, np.uint64)], axis=1) for codes, place in parts]),
        axis=0,
    )
    codes, counts = np.unique(pairs[:, 0], return_counts=True)
    rare: Codes = codes[counts <= max(2, COMMON * rows)]
    for words in known:
        rare = rare[~np.isin(rare, _codes(words, length))]
    return rare


def _codes(words: Sequence[str], length: int) -> Codes:
    """One code per run of so many words."""
    each = np.array([_code(word) for word in words], dtype=np.uint64)
    count = max(0, len(words) - length + 1)
    codes = np.zeros(count, dtype=np.uint64)
    for step in range(length):
        codes = codes * _FACTOR + each[step : step + count]
    return codes


@lru_cache(maxsize=100_000)
def _code(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
