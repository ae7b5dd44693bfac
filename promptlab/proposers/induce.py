"""An instruction read off worked examples; later also variations of the best so far.

Source: APE (Zhou et al., ICLR 2023): a model is shown inputs with their right answers and told to find the instruction;
the best are then resampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from promptlab.proposers.meta import examples, instruction
from promptlab.proposers.rewrite import MOST, Job, material, parents, pool, rewritten, scores, some, spot, whole
from promptlab.records import Flow, Variant
from promptlab.view import View


@dataclass(frozen=True, slots=True)
class Induce:
    """From ``rows`` of train to an instruction; once scores are known, a share ``resample`` varies one of the best."""

    rows: int = 16
    resample: float = 0.5
    parents: int = 3
    most: int = MOST
    needs_open: ClassVar[bool] = True
    needs_meta: ClassVar[bool] = True
    needs_train: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """ValueError for an option out of its range."""
        whole(self)
        if not 0 <= self.resample <= 1:
            raise ValueError(f"`resample` is {self.resample!r}, not a share from 0 to 1")

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant | None, ...]]:
        """At most ``n`` new instructions."""
        best = parents(view, rng)[: self.parents]
        rows, jobs, told = material(view), [], scores(view)
        for place in range(min(n, self.most) if best and rows else 0):
            at = spot(view, best[place % len(best)], rng)
            shown = examples(some(rows, self.rows, rng))
            scored = any(not math.isnan(each.score) for each in pool(view, at, told))
            again = scored and rng.random() < self.resample
            jobs.append(Job(at, _again(at.text) if again else _first(at.text, shown)))
        return (yield from rewritten("induce", view, jobs, rng))


def _first(text: str, shown: str) -> str:
    marks = f"\n\nIt takes the place of this one, and must keep its marks:\n{instruction(text)}" if "⟦" in text else ""
    return (
        f"Each line holds an input and its right answer:\n{shown}{marks}\n\nSomebody wrote these answers by following "
        "an instruction. Find out what it said: how an input leads to its answer, what tells one answer from another, "
        "and how an answer is written."
    )


def _again(text: str) -> str:
    return (
        f"{instruction(text)}\n\nThis instruction works well. Write a variation of it that asks for the same: another "
        "order, other words, a detail more or less."
    )
