"""Nested subsets: each size of a seed holds the smaller ones, and the labels of all rows in their proportion. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from promptlab.metrics.accepted import text_of
from promptlab.tune.rows import TrainingRow


def ordered(rows: Iterable[TrainingRow], seed: int) -> tuple[TrainingRow, ...]:
    """The rows in an order of which every beginning is stratified: within one row of each label's share or so.

    The order depends on the rows' ids and the seed alone. Where most labels are there once, it is plain chance.
    """
    strata: dict[str, list[TrainingRow]] = defaultdict(list)
    for row in rows:
        strata[_label(row)].append(row)
    total = sum(map(len, strata.values()))
    if 2 * len(strata) > total:
        strata = defaultdict(list, {"": [row for part in strata.values() for row in part]})
    placed: list[tuple[float, bytes, TrainingRow]] = []
    for part in strata.values():
        drawn = sorted(part, key=lambda row: _hash(seed, row.example_id))
        placed += (((i + 0.5) / len(part), _hash(seed, row.example_id), row) for i, row in enumerate(drawn))
    return tuple(row for _, _, row in sorted(placed, key=lambda each: each[:2]))


def cut(rows: Sequence[TrainingRow], size: int | None) -> tuple[tuple[TrainingRow, ...], tuple[TrainingRow, ...]]:
    """The first ``size`` of ordered rows, and some of the others to look at while training: a quarter as many."""
    count = len(rows) if size is None else size
    return tuple(rows[:count]), tuple(rows[count : count + min(200, max(1, count // 4))])


def _label(row: TrainingRow) -> str:
    return row.answer if row.example is None else text_of(row.example.answers[0])


def _hash(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{key}".encode(errors="surrogatepass")).digest()
