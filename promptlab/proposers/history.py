"""The next instruction out of those tried so far, with their scores in ascending order and a few rows of train.

Source: OPRO (Yang et al., ICLR 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from promptlab.proposers.meta import examples, instruction
from promptlab.proposers.rewrite import MOST, Job, material, parents, pool, rewritten, scores, some, spot, whole
from promptlab.records import Flow, Variant
from promptlab.view import View


@dataclass(frozen=True, slots=True)
class History:
    """Shows the best ``shown`` instructions and ``rows`` of train (of the bank where there is no train split)."""

    shown: int = 20
    rows: int = 3
    parents: int = 2
    most: int = MOST
    needs_open: ClassVar[bool] = True
    needs_meta: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """ValueError for an option out of its range."""
        whole(self)

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant | None, ...]]:
        """At most ``n`` new instructions."""
        best = parents(view, rng)[: self.parents]
        jobs, told = [], scores(view)
        for place in range(min(n, self.most) if best else 0):
            at = spot(view, best[place % len(best)], rng)
            tried = pool(view, at, told)[: max(1, self.shown)]
            listed = "\n".join(instruction(each.text, each.score) for each in reversed(tried))
            rows = some(material(view), self.rows, rng)
            shown = f"\n\nSome inputs with their right answers:\n{examples(rows)}" if rows else ""
            mates = tuple(each.variant.id for each in tried[:3] if each.row >= 0)
            jobs.append(
                Job(
                    at,
                    f"Instructions that were tried, the best last; a higher score is better:\n{listed}{shown}\n\n"
                    "Write an instruction that differs from all of these and will score higher than any. What do the "
                    "good ones have that the others lack?",
                    mates,
                )
            )
        return (yield from rewritten("history", view, jobs, rng))
