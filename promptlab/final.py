"""The end: finalists fixed on dev, then they and the baseline on test, once. The only one to score test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptlab.drive import Driver
from promptlab.errors import Interrupted
from promptlab.kept import Predictions, keep
from promptlab.meter import Cost
from promptlab.mine import Predict, completed, too_many_errors
from promptlab.records import Example, Flow, Prediction
from promptlab.ties import tie_set
from promptlab.view import View

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


def choose(view: View, seed: int) -> Choice:
    """The finalists, the tie set and the pick, from dev alone."""
    deltas = view.deltas()
    depth = max(1, int(view.asked[view.live].sum(axis=1).min()))  # a budget that ended in mid-round leaves some deeper
    ranked = [v for v in view.ranking() if not math.isnan(deltas[v])]
    full = [v for v in ranked if view.asked[v].sum() >= depth]
    finalists = [v for v in full if v != 0][: view.finalists]
    pick = finalists[0] if finalists and deltas[finalists[0]] > 0 else 0
    among = sorted({0, *full[:WIDEST]})
    tied: set[int] = set()
    if len(among) > 1 and depth > 1:
        rows = view.asked[0].nonzero()[0]
        weights = view.weights[rows]
        keep = tie_set(view.scores[np.ix_(among, rows)] * (weights / weights.mean()), seed=seed)
        tied = {v for v, stays in zip(among, keep, strict=True) if stays}
    return Choice(tuple(full), tuple(finalists), frozenset(tied), pick)


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
