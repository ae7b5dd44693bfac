"""What proposers and allocators may see, and what an allocator answers. Arrays only: no pandas, no test split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from promptlab.bank import Bank
from promptlab.records import Example, Flow, Model, Prediction, Variant
from promptlab.space import Space

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Answers = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Failure:
    """A wrong answer on a dev row: what was said (in full), what was right, what the metrics say of it, its score."""

    example: Example
    output: str
    expected: str
    explanation: str
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """The closed rounds as arrays. Row v is ``variants[v]`` (row 0 the baseline), column i is ``dev[i]``.

    ``dev`` stands in the shared, stratified item order: scoring its first n rows is scoring a fair sample of it.
    ``scores`` [variants, dev] is NaN where nothing was asked or the call failed; ``asked`` tells the two apart.
    ``live`` marks the variants that no allocator dropped; the baseline always is. ``calls_left`` is
    what the budget leaves for the search, the test reserve taken off.

    ``answers`` [variants, dev] are the answers as they were parsed (None = there is none). ``wrong`` maps (variant row,
    dev column) to a failure in a closed round: of each live variant the latest ones, not all. Proposers may ask
    ``meta``, show the demos of ``bank``, and ``predict`` what a variant answers on one of them or on a row of train.
    """

    space: Space
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    variants: tuple[Variant, ...]
    scores: Scores
    asked: Flags
    live: Flags
    round: int = 0
    finalists: int = 5
    calls_left: float = math.inf
    answers: Answers | None = None
    meta: Model | None = None
    bank: Bank | None = None
    predict: Callable[[Variant, Example], Flow[Prediction]] | None = None
    wrong: Mapping[tuple[int, int], Failure] = field(default_factory=dict)

    @property
    def weights(self) -> Scores:
        """The weight of each dev row."""
        return np.array([example.weight for example in self.dev])

    def deltas(self) -> Scores:
        """Mean paired difference to the baseline per variant, over the rows that both have; NaN where none."""
        gaps = self.scores - self.scores[0]
        weights = np.where(np.isnan(gaps), 0.0, self.weights)
        total = weights.sum(axis=1)
        return np.asarray((np.nan_to_num(gaps) * weights).sum(axis=1) / np.where(total > 0, total, np.nan))

    @property
    def explained(self) -> Mapping[tuple[int, int], str]:
        """``wrong`` as texts, "answer | explanation"."""
        return {cell: f"{each.output} | {each.explanation}" for cell, each in self.wrong.items()}

    def failures(self, v: int, count: int) -> list[Failure]:
        """At most ``count`` wrong answers of a variant: the worst first, then in the order of the dev rows."""
        columns = sorted((each.score, i) for (row, i), each in self.wrong.items() if row == v)
        return [self.wrong[v, i] for _, i in columns[:count]]

    def ranking(self) -> list[int]:
        """Live variants, best first: by paired difference, then by order of admission. Unscored ones come last."""
        deltas = self.deltas()
        return sorted(
            (v for v in range(len(self.variants)) if self.live[v]),
            key=lambda v: (-deltas[v] if not math.isnan(deltas[v]) else math.inf, v),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A round: cells (variant row, dev column) to score, variant rows to drop, how many new variants are wanted."""

    cells: tuple[tuple[int, int], ...] = ()
    dropped: tuple[int, ...] = ()
    want: int = 0


def block(rows: Mapping[int, range] | dict[int, range], asked: Flags, size: int = 8) -> tuple[tuple[int, int], ...]:
    """Cells in plan order: blocks of ``size`` examples, variant by variant inside; asked cells are left out.

    Fair to a budget that ends in mid-round, and kind to prefix caches.
    """
    columns = list(range(max((r.stop for r in rows.values()), default=0)))  # each number once, however many cells
    return tuple(
        (v, i)
        for start in range(0, len(columns), size)
        for v, span in rows.items()
        for i in columns[max(start, span.start) : min(start + size, span.stop)]
        if not asked[v, i]
    )
