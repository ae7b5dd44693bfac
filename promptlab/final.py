"""The end: finalists fixed on dev, then they and the baseline on test, once. The only one to score test."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from promptlab.drive import Driver
from promptlab.errors import Interrupted
from promptlab.kept import Predictions, keep
from promptlab.meter import Cost
from promptlab.mine import Predict, completed, too_many_errors
from promptlab.pareto import front
from promptlab.records import Example, Flow, Prediction
from promptlab.stats.sample import Array, codes_of
from promptlab.stats.ties import max_t, tie_set
from promptlab.view import View

BLOCK = 8  # rows by which variants may differ in depth where a budget ended in mid-round
FIXED = ("baseline", "grid", "random")  # origins of variants that no score had a part in
WIDEST = 200  # variants among which the tie set is sought; more would only add hopeless ones


@dataclass(frozen=True, slots=True)
class Choice:
    """What dev decides, before test is opened. Rows of the view throughout.

    ``full`` were scored on every row that the baseline was; ``finalists`` are the best of them; ``tied`` is the set
    that holds the best of them at 95 %; ``pick`` is dev's choice: the best finalist, or the baseline if none is above.
    """

    full: tuple[int, ...]
    finalists: tuple[int, ...]
    tied: frozenset[int]
    pick: int


def choose(view: View, seed: int, costs: Array | None = None, barred: Collection[int] = ()) -> Choice:
    """The finalists, the tie set and the pick, from dev alone. Who is ``barred`` is scored, and can be none of them.

    ``costs`` [variants, costs] are to be kept low beside the score, where the objective names some: seats that the
    pick leaves go to the front of score and costs first.
    """
    deltas = view.deltas()
    ranked = [v for v in view.ranking() if not math.isnan(deltas[v]) and v not in barred]
    full = _full(view, ranked)
    joint = [v for v in full if view.variants[v].members][1:]  # the reserve pays for one ensemble
    others = [v for v in full if v != 0 and v not in joint]
    pick = others[0] if others and deltas[others[0]] > 0 else 0
    if costs is not None and full:
        among = np.array(sorted({0, *full}))  # the baseline may be what keeps others off the front
        score = np.where(among == 0, 0.0, deltas[among])
        on = set(among[front(np.column_stack([score, -costs[among]]))].tolist())
        others.sort(key=lambda v: (v != pick, v not in on))  # stable: by score within each part
    tied = _tied(view, sorted({0, *full[:WIDEST]}), seed)
    return Choice(tuple(full), tuple(others[: view.finalists]), tied, pick)


def _full(view: View, ranked: Sequence[int]) -> list[int]:
    """Those of ``ranked`` that were asked as deep as the deepest; the baseline too if it was.

    A budget that ended in mid-round leaves some deeper by a block; whoever was hardly begun is not among them.
    """
    depths = view.asked.sum(axis=1)
    deepest = int(max((depths[v] for v in ranked if v != 0), default=depths[0]))
    least = max(1, deepest - min(BLOCK, deepest // 2))
    return [v for v in ranked if depths[v] >= least]


def _tied(view: View, among: Sequence[int], seed: int) -> frozenset[int]:
    rows = view.asked[0].nonzero()[0]
    if len(among) < 2 or len(rows) < 2:
        return frozenset()
    weights = view.weights[rows]
    groups = codes_of([each.group for each in view.dev])
    codes = None if groups is None else groups[rows]
    keep = tie_set(view.scores[np.ix_(among, rows)] * (weights / weights.mean()), seed=seed, groups=codes)
    return frozenset(v for v, stays in zip(among, keep, strict=True) if stays)


def won_on_dev(view: View, choice: Choice, seed: int) -> float | None:
    """How likely chance alone makes the pick as good on dev, all that were tried counted; None where none can tell.

    One-sided max-T over every variant (EVIDENCE 2: a claim below .025). It holds only where every variant was fixed
    before any score was seen and all were scored on every row: under no race, and no proposer that adapts. Rows of one
    group count together; of too few groups nothing can be told.
    """
    beside = np.arange(1, len(view.variants))
    if choice.pick == 0 or not view.asked.all() or not all(v.origin in FIXED for v in view.variants):
        return None
    weights = view.weights / view.weights.mean()
    groups = codes_of([each.group for each in view.dev])
    family = max_t((view.scores[beside] - view.scores[0]) * weights, seed=seed, one_sided=True, groups=groups)
    p = float(family[choice.pick - 1])
    return None if math.isnan(p) else p


async def score_test(
    view: View,
    choice: Choice,
    test: Sequence[Example],
    predict: Predict,
    driver: Driver,
    repeats: int,
    max_errors: float,
) -> Predictions:
    """The baseline and the finalists on every test row; what the search kept back pays for it.

    Raises EndpointUnusable when too many calls failed, Interrupted when the endpoint broke the bound that the reserve
    rests on: test is never read by halves.
    """
    driver.meter.reserved = Cost()
    rows = (0, *choice.finalists)
    cells = [
        (view.variants[v], example, r)
        for start in range(0, len(test), 8)
        for v in rows
        for example in test[start : start + 8]
        for r in range(repeats)
    ]

    def ask(place: int) -> Flow[Prediction]:
        return predict(*cells[place])

    first = await driver.run(map(ask, range(len(cells))), keep)
    scored = await completed(driver, ask, first, (len(cells), max_errors))
    found = [row for row in scored if row is not None]
    if len(found) < len(cells):
        raise Interrupted(
            "the budget was spent before test was complete, because the endpoint counted more tokens than a request's "
            "bytes and max_tokens allow. Every answer is kept: with a higher search.budget they cost nothing again."
        )
    too_many_errors(found, max_errors)
    return Predictions(found)
