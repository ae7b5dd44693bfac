"""Pairs of texts that nearly equal each other: word-5-gram Jaccard or TF-IDF cosine, exact, without all pairs.

Only pairs that can reach the threshold are looked at: prefix filtering as in Bayardo, Ma and Srikant, "Scaling up
all pairs similarity search" (WWW 2007). A pair whose rarest shared feature lies behind both prefixes is too unlike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Matrix: TypeAlias = csr_array[np.float64]

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Pairs: TypeAlias = tuple[Ints, Ints, Floats]

JACCARD = 0.8
COSINE = 0.9
FEWEST_WORDS = 4  # shorter texts are near only if they are equal: one word more or less is another meaning
_GRAM = 5
_COMMON = 20  # 5-grams in more than half of the texts, and in more than this many, are boilerplate
_ROUNDING = 1e-9
_CELLS = 4_000_000  # of a product held at once: under 100 MB


def near_pairs(
    texts: Sequence[Sequence[str]], first: int, parts: Callable[[], Ints] | None = None
) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j, similarity) of texts as words, i < j and i < ``first``, that nearly equal each other.

    Near: Jaccard of word-5-grams >= .8 or cosine of TF-IDF >= .9 (words and pairs of words, 1 + log tf, smoothed
    idf over ``texts``). A pair that is near both ways comes twice. Texts of fewer than four words never come.
    ``parts`` is asked again and again which part each text is in by now: pairs within one part need not come.
    """
    kept = np.array([i for i, words in enumerate(texts) if len(words) >= FEWEST_WORDS], dtype=np.int64)
    first = int(np.searchsorted(kept, first))
    if first == 0 or len(kept) < 2:
        return
    words, rows = _numbered([texts[i] for i in kept])

    def wanted(left: Ints, right: Ints) -> NDArray[np.bool_]:
        now: Ints = parts()[kept] if parts else np.arange(len(kept))
        return np.not_equal(now[left], now[right])

    cosine = _alike(_tfidf(words, rows, len(kept)), COSINE, first, wanted)
    indicators, sizes = _gram_sets(words, rows, len(kept))
    jaccard = _as_jaccard(_alike(indicators, JACCARD, first, wanted), sizes)
    for left, right, similarity in chain(cosine, jaccard):
        yield from zip(kept[left].tolist(), kept[right].tolist(), similarity.tolist(), strict=True)


def _numbered(texts: Sequence[Sequence[str]]) -> tuple[NDArray[np.uint64], Ints]:
    """All words as numbers from 1, and the row of each."""
    known: dict[str, int] = {}
    numbers = [known.setdefault(word, len(known) + 1) for words in texts for word in words]
    rows = np.repeat(np.arange(len(texts)), [len(words) for words in texts])
    return np.array(numbers, dtype=np.uint64), rows


def _grams(words: NDArray[np.uint64], rows: Ints, size: int) -> tuple[NDArray[np.uint64], Ints]:
    """A 64-bit code of each run of ``size`` words within a row, and its row."""
    count = max(0, len(words) - size + 1)
    inside = rows[:count] == rows[len(rows) - count :]
    codes = np.zeros(count, dtype=np.uint64)
    for step in range(size):
        codes = codes * np.uint64(0x9E3779B97F4A7C15) + words[step : step + count]
    return codes[inside], rows[:count][inside]


def _counts(codes: NDArray[np.uint64], rows: Ints, height: int) -> Matrix:
    """How often each row holds each code."""
    from scipy.sparse import coo_array

    known, columns = np.unique(codes, return_inverse=True)
    return coo_array((np.ones(len(rows)), (rows, columns)), shape=(height, len(known))).tocsr()


def _tfidf(words: NDArray[np.uint64], rows: Ints, height: int) -> Matrix:
    pairs, pair_rows = _grams(words, rows, 2)
    matrix = _counts(np.concatenate((words, pairs)), np.concatenate((rows, pair_rows)), height)
    having = np.bincount(matrix.indices, minlength=matrix.shape[1])
    idf = np.log((1 + height) / (1 + having)) + 1
    matrix.data = (1 + np.log(matrix.data)) * idf[matrix.indices]
    return _unit(matrix)


def _gram_sets(words: NDArray[np.uint64], rows: Ints, height: int) -> tuple[Matrix, Ints]:
    """The indicators of each row's word-5-grams as unit vectors, and how many there are. Boilerplate is left out."""
    codes, rows = _grams(words, rows, _GRAM)
    matrix = _counts(codes, rows, height)
    matrix.data[:] = 1
    having = np.bincount(matrix.indices, minlength=matrix.shape[1])
    matrix.data[(having > max(_COMMON, height / 2))[matrix.indices]] = 0
    matrix.eliminate_zeros()
    return _unit(matrix), np.diff(matrix.indptr).astype(np.int64)


def _as_jaccard(pairs: Iterable[Pairs], sizes: Ints) -> Iterator[Pairs]:
    """Pairs by the cosine of their indicators as pairs by Jaccard, which is never above that cosine."""
    for left, right, cosine in pairs:
        shared = cosine * np.sqrt(sizes[left] * sizes[right])
        jaccard = shared / (sizes[left] + sizes[right] - shared)
        keep = jaccard >= JACCARD - _ROUNDING
        yield left[keep], right[keep], jaccard[keep]


def _unit(matrix: Matrix) -> Matrix:
    """The same rows with length 1; empty rows stay empty."""
    counts = np.diff(matrix.indptr)
    lengths = np.sqrt(np.bincount(_rows(matrix), matrix.data**2, minlength=len(counts)))
    matrix.data = matrix.data / np.repeat(lengths, counts)
    return matrix


def _rows(matrix: Matrix) -> Ints:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _prefixes(unit: Matrix, length: float) -> tuple[Matrix, Floats]:
    """The rarest features of each row, so many that the rest is shorter than ``length``; and the rest's length."""
    from scipy.sparse import csr_array

    counts, rows = np.diff(unit.indptr), _rows(unit)
    having = np.bincount(unit.indices, minlength=unit.shape[1])
    order = np.lexsort((unit.indices, having[unit.indices], rows))
    total = np.concatenate(([0.0], np.cumsum(unit.data[order] ** 2)))
    before = total[:-1] - np.repeat(total[unit.indptr[:-1]], counts)
    keep = 1 - before >= length**2 - _ROUNDING
    kept = order[keep]
    prefix = csr_array((unit.data[kept], (rows[keep], unit.indices[kept])), shape=unit.shape)
    covered = np.bincount(rows[keep], unit.data[kept] ** 2, minlength=unit.shape[0])
    return prefix, np.sqrt(np.maximum(0, 1 - covered))


def _alike(
    unit: Matrix, threshold: float, first: int, wanted: Callable[[Ints, Ints], NDArray[np.bool_]]
) -> Iterator[Pairs]:
    """Rows i < j, i < ``first``, that are wanted and have a cosine of at least ``threshold``, block by block."""
    height = unit.shape[0]
    prefix, rest = _prefixes(unit, threshold / 2)  # longer than needed: a little more to multiply, far less to check
    columns = unit.T.tocsr()
    step = max(1, _CELLS // height)
    at_once = max(1, _CELLS * height // max(1, unit.nnz))
    for start in range(0, first, step):
        stop = min(start + step, first)
        found: Matrix = prefix[start:stop] @ columns
        needed = np.repeat(threshold - _ROUNDING - rest[start:stop], np.diff(found.indptr))
        can = np.flatnonzero(found.data >= needed)
        left = start - 1 + np.searchsorted(found.indptr, can, side="right")
        right = found.indices[can].astype(np.int64)
        left, right = left[right > left], right[right > left]
        for place in range(0, len(left), at_once):
            some, others = left[place : place + at_once], right[place : place + at_once]
            open_to = wanted(some, others)
            some, others = some[open_to], others[open_to]
            cosine: Floats = np.asarray(unit[some].multiply(unit[others]).sum(axis=1)).ravel()
            keep = cosine >= threshold - _ROUNDING
            yield some[keep], others[keep], np.minimum(cosine[keep], 1.0)
