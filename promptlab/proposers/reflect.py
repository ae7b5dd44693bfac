"""From mistakes to a better instruction: what went wrong, then the edit, in one answer.

Sources: ProTeGi (Pryzant et al., EMNLP 2023) has a model criticise a prompt by its errors and edit it accordingly;
GEPA (Agrawal et al., 2025) picks parents among the winners of single examples and shows the metric's explanations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from promptlab.proposers.meta import instruction, mistakes
from promptlab.proposers.mistakes import LOOKED, minibatch, mistakes_of
from promptlab.proposers.rewrite import MOST, Job, parents, rewritten, spot, whole
from promptlab.records import Flow, Variant
from promptlab.view import Failure, View


@dataclass(frozen=True, slots=True)
class Reflect:
    """Shows ``mistakes`` of a parent: a winner of single rows (``pareto``) or one of the ``best`` variants.

    Each parent is asked ``looked`` rows of train in a round; at 0, or without train, its mistakes on dev are shown.
    """

    by: Literal["pareto", "best"] = "pareto"
    mistakes: int = 4
    looked: int = LOOKED
    most: int = MOST
    needs_open: ClassVar[bool] = True
    needs_meta: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """ValueError for an option out of its range."""
        whole(self)
        if self.by not in ("pareto", "best"):
            raise ValueError(f"`by` is {self.by!r}, not pareto or best")

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant | None, ...]]:
        """At most ``n`` edits."""
        able = parents(view, rng)
        wins = winners(view, [v for v in able if isinstance(v, int)]) if self.by == "pareto" else {}
        odds = np.array([*wins.values()], dtype=float)
        spots = []
        for place in range(min(n, self.most) if able else 0):
            parent = (
                [*wins][int(rng.choice(len(wins), p=odds / odds.sum()))] if wins else able[place % min(4, len(able))]
            )
            spots.append(spot(view, parent, rng))
        rows = minibatch(view, self.looked, rng)
        known: dict[str, list[Failure]] = {}
        for at in spots:
            if at.variant.id not in known:
                known[at.variant.id] = yield from mistakes_of(view, at.variant, at.row, rows)
        jobs = [Job(at, f"{instruction(at.text)}\n\n{self._wish(known[at.variant.id], rng)}") for at in spots]
        return (yield from rewritten("reflect", view, jobs, rng))

    def _wish(self, known: Sequence[Failure], rng: np.random.Generator) -> str:
        drawn = sorted(rng.permutation(len(known))[: self.mistakes].tolist())
        shown = mistakes(known[place] for place in drawn)
        if not shown:
            return "What may go wrong when somebody follows this instruction? Say it in one sentence, then mend it."
        return (
            f"Somebody followed this instruction and made these mistakes:\n{shown}\n\nFirst say in a few sentences why:"
            " what is missing, unclear or misleading in the instruction. Then mend it, so that this kind of mistake is "
            "not made again. Give rules that hold for other inputs as well, and do not quote these."
        )


def winners(view: View, rows: list[int]) -> dict[int, int]:
    """Of these variants, those that are best on some dev row and that no other beats: on how many rows each is best.

    A variant is left out if another one of them is best wherever it is, and on more rows.
    """
    told = view.scores[rows]
    columns = ~np.isnan(told).all(axis=0)
    if not rows or not columns.any():
        return {}
    told = np.where(np.isnan(told), -np.inf, told)[:, columns]
    best = told == told.max(axis=0)
    shared = best.astype(float) @ best.T  # [one, other]: rows on which both are best
    count = best.sum(axis=1)
    beaten = ((shared == count[:, None]) & (count > count[:, None])).any(axis=1)
    return {row: int(count[place]) for place, row in enumerate(rows) if count[place] and not beaten[place]}
