"""The best that stored answers make together: a vote of diverse variants, found without a call.

Members are chosen by forward selection with replacement (Caruana et al. 2004), a weight being how often a member was
taken; how many, by what a choice made on one half of the rows is worth on the other. LPAQA (Jiang et al. 2020) found
most of its gain in such ensembles. A row of an ensemble is the row of the member whose answer wins the vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from promptlab.proposers.random import draw
from promptlab.records import Flow, Variant
from promptlab.view import Scores, View
from promptlab.vote import Codes, coded, spoken

NEARLY = 0.9  # of the rows that the deepest was scored on: a few may have failed
POOL = 30  # of the best variants: members come from them


@dataclass(frozen=True)
class Ensemble:
    """Asked once, when the search has nothing left to score: it needs complete rows. Alone, it draws points first.

    Proposes one variant of 2 to ``members`` others, where it beats the best of them on rows that it was not chosen by.
    Looks at variants that were scored on nearly as many rows as any, and wants ``least`` that all of them have.
    ``weighted`` False: each member has one vote.
    """

    members: int = 5
    least: int = 20
    weighted: bool = True
    closing: ClassVar[bool] = True

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
        """At most one ensemble; before anything is scored, points of the space."""
        yield from ()  # asks no model
        if np.isnan(view.scores).all():
            return draw(n, view, rng, "random")
        pool, rows = _pool(view)
        answers = view.answers
        if n < 1 or answers is None or len(answers) < len(view.variants):  # a forecast knows none
            return ()
        if len(pool) < 2 or len(rows) < max(2, self.least):
            return ()
        weights = view.weights[rows] / view.weights[rows].mean()
        scores, codes = view.scores[pool][:, rows] * weights, coded(answers[pool][:, rows])
        shuffled = rng.permutation(len(rows))
        halves = (shuffled[::2], shuffled[1::2])
        sizes = range(2, max(2, self.members) + 1)
        gains = [_held_out(scores, codes, halves, size, weighted=self.weighted) for size in sizes]
        chosen = fitted(scores, codes, sizes[int(np.argmax(gains))], weighted=self.weighted)
        if max(gains) <= 0 or len(chosen) < 2:
            return ()
        variant = together(view, [(view.variants[pool[m]], weight) for m, weight in chosen.items()])
        known = {each.id for each in view.variants}
        return () if variant.id in known or view.space.excluded(variant.slots) else (variant,)


def fitted(scores: Scores, codes: Codes, size: int, *, weighted: bool = True) -> dict[int, int]:
    """At most ``size`` rows of ``scores`` [variants, rows] and their weights, the best one first.

    Step by step the row joins that helps most, again if need be: how often is its weight (once if not ``weighted``).
    """
    taken = [int(np.argmax(scores.mean(axis=1)))]
    best, kept = worth(scores, codes, taken), list(taken)
    for _ in range(2 * size if weighted else size - 1):
        full = len(set(taken)) == size
        tries = [m for m in range(len(scores)) if (weighted if m in taken else not full)]
        if not tries:
            break
        values = {m: worth(scores, codes, [*taken, m]) for m in tries}
        taken.append(max(tries, key=lambda m: (values[m], m not in taken, -m)))
        if values[taken[-1]] > best:
            best, kept = values[taken[-1]], list(taken)
    return dict(Counter(kept))


def worth(scores: Scores, codes: Codes, taken: Sequence[int]) -> float:
    """The mean score of the vote: a row scores what the member scored that speaks for it."""
    weights = Counter(taken)
    rows = list(weights)
    who = spoken(codes[rows], np.array([float(weights[m]) for m in rows]))
    return float(scores[np.array(rows)[who], np.arange(scores.shape[1])].mean())


def together(view: View, members: Sequence[tuple[Variant, int]]) -> Variant:
    """The ensemble as a variant: its first member's slots, and who votes with which weight."""
    first = members[0][0]
    values = {**first.slots, "ensemble": tuple((member.id, weight) for member, weight in members)}
    made = view.space.variant(values, "ensemble", [member.id for member, _ in members])
    return replace(made, members=tuple(member for member, _ in members))


def _pool(view: View) -> tuple[list[int], npt.NDArray[np.intp]]:
    """The best of the variants that were scored on nearly as many rows as any, and the rows that all of these have."""
    known = ~np.isnan(view.scores)
    ranked = [v for v in view.ranking() if not view.variants[v].members]
    deepest = max((int(known[v].sum()) for v in ranked), default=0)
    pool = [v for v in ranked if deepest and known[v].sum() >= NEARLY * deepest][:POOL]
    return pool, np.flatnonzero(known[pool].all(axis=0)) if pool else np.array([], dtype=np.intp)


def _held_out(scores: Scores, codes: Codes, halves: Sequence[Codes], size: int, *, weighted: bool) -> float:
    """What members chosen on one half gain on the other over the single best of the first, both ways."""
    gain = 0.0
    for here, there in (halves, halves[::-1]):
        chosen = fitted(scores[:, here], codes[:, here], size, weighted=weighted)
        alone = [int(np.argmax(scores[:, here].mean(axis=1)))]
        taken = [m for m, weight in chosen.items() for _ in range(weight)]
        gain += worth(scores[:, there], codes[:, there], taken) - worth(scores[:, there], codes[:, there], alone)
    return gain
