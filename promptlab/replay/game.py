"""One replay: who takes part, what is known before, and what an allocator makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from promptlab.allocators import Allocator
from promptlab.records import Slot, Variant
from promptlab.replay.matrix import Matrix
from promptlab.space import Space
from promptlab.view import Flags, Scores, View

PARENT_ROWS = 50  # examples that a parent's mean is known on
ROUNDS = 100_000  # past which an allocator is taken to go on for ever


@dataclass(frozen=True)
class Draw:
    """One repetition: the view that an allocator starts from, what it would be told, and the truth of each row.

    ``pool`` are the rows among which one is chosen; others are there to be known: finalists, parents.
    """

    view: View
    told: Scores
    pool: tuple[int, ...]
    truth: Scores


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: calls made, best minus chosen, that as a share of best minus median, whether a claim is made."""

    calls: int
    regret: float
    share: float
    claimed: bool


def drawn(matrix: Matrix, variants: int, history: int, parents: bool, rng: np.random.Generator) -> Draw:
    """A repetition: the order of the examples, up to ``variants`` of the rows, and what is known of others.

    ``history`` complete rows are known: the best of the first third born, or, where births are not told, some of the
    better half; the pool are those born later, or all others. ``parents``: their means on 50 examples are known.
    """
    columns = rng.permutation(matrix.scores.shape[1])
    known, rest = _known(matrix, history, rng)
    pool = rng.permutation(rest)[:variants].tolist()
    above = sorted({matrix.parents[row] for row in pool} - {-1} - set(known)) if parents and matrix.parents else []
    rows = [*known, *above, *pool]
    told = matrix.scores[np.ix_(rows, columns)]
    asked = np.zeros(told.shape, bool)
    asked[: len(known)] = True
    for at in range(len(known), len(known) + len(above)):
        asked[at, rng.permutation(len(columns))[:PARENT_ROWS]] = True
    live = np.zeros(len(rows), bool)
    first = len(known) + len(above)
    live[first:] = True
    if known:
        live[0] = True  # the baseline, of which all is known
    else:  # the baseline is one of the pool
        order = [first, *range(first), *range(first + 1, len(rows))]
        rows, told, asked, live = [rows[at] for at in order], told[order], asked[order], live[order]
    ids = {row: f"known{row}" for row in (*known, *above)}
    chosen = {at for at, row in enumerate(rows) if row in set(pool) and (live[at] or at == 0) and not asked[at].any()}
    made = tuple(
        Variant(f"row{row}" if at in chosen else ids[row], {"row": at}, "replay", _parent(matrix, row, ids, parents))
        for at, row in enumerate(rows)
    )
    view = View(
        space=Space((Slot("row", "choice", tuple(range(len(rows)))),)),
        train=(),
        dev=matrix.examples,
        variants=made,
        scores=np.where(asked, told, np.nan),
        asked=asked,
        live=live,
        round=1,
        finalists=0,
    )
    return Draw(view, told, tuple(sorted(chosen)), matrix.means[rows])


def _known(matrix: Matrix, history: int, rng: np.random.Generator) -> tuple[list[int], list[int]]:
    """The rows that are known, best first, and the rest that takes part."""
    count = len(matrix.scores)
    if not history:
        return [], list(range(count))
    if matrix.births:
        order = np.argsort(matrix.births, kind="stable")
        early, late = order[: max(history, count // 3)], order[max(history, count // 3) :]
        known = early[np.argsort(-matrix.means[early], kind="stable")][:history]
        return known.tolist(), late.tolist()
    better = np.argsort(-matrix.means, kind="stable")[: max(history, count // 2)]
    known = np.sort(rng.permutation(better)[:history])
    known = known[np.argsort(-matrix.means[known], kind="stable")]
    return known.tolist(), [row for row in range(count) if row not in set(known.tolist())]


def _parent(matrix: Matrix, row: int, ids: dict[int, str], parents: bool) -> tuple[str, ...]:
    above = matrix.parents[row] if parents and matrix.parents else -1
    return (ids[above],) if above in ids else ()


def play(case: Draw, allocator: Allocator, calls: float, claims: Callable[[View], bool] | None, seed: int) -> Outcome:
    """Let the allocator spend the calls; look up what it asks; see whom the search would choose."""
    view = replace(
        case.view, scores=case.view.scores.copy(), asked=case.view.asked.copy(), live=case.view.live.copy(),
        calls_left=calls,
    )  # fmt: skip
    spent = 0
    for _ in range(ROUNDS):
        plan = allocator(view, np.random.default_rng([seed, view.round]))
        view.live[[v for v in plan.dropped if v]] = False
        cells = [each for each in dict.fromkeys(plan.cells) if not view.asked[each]]
        cells = cells[: int(min(len(cells), view.calls_left))]
        if not cells:
            break
        at, columns = zip(*cells, strict=True)
        view.asked[at, columns] = True
        view.scores[at, columns] = case.told[at, columns]
        spent += len(cells)
        view = replace(view, round=view.round + 1, calls_left=view.calls_left - len(cells))
    chosen = pick(view, case.pool)
    truth = case.truth[list(case.pool)]
    best = float(truth.max())
    regret = best - float(case.truth[chosen])
    spread = best - float(np.median(truth))
    claimed = claims is not None and claims(view)
    return Outcome(spent, regret, regret / spread if spread > 0 else math.nan, claimed)


def pick(view: View, pool: Sequence[int]) -> int:
    """Whom a search would choose: the best, by paired difference to the baseline, of those scored as deep as all left.

    The baseline itself where nobody is above it; any of the pool where nothing was scored.
    """
    live: Flags = view.live
    left = [v for v in pool if live[v]] or list(pool)
    depth = max(1, int(view.asked[left].sum(axis=1).min()))
    ranked = [v for v in view.ranking() if v in set(left) and view.asked[v].sum() >= depth]
    return ranked[0] if ranked else left[0]
