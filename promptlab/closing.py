"""Closing a round: its answers become arrays, its new variants rows of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from promptlab.kept import Kept, looked_at
from promptlab.metrics.accepted import text_of
from promptlab.records import Example, Prediction, Variant
from promptlab.view import Failure, Plan, Scores, View

FAILURES = 50  # of each variant, that proposers may look at
OUTPUT = 4000  # characters of an output that are kept for them


def closed(view: View, plan: Plan, repeats: int, rows: Sequence[Kept | None], admitted: Sequence[Variant]) -> View:
    """The view with the round's scores (means over repeats) and the admitted variants as new rows at the end."""
    scores, asked = view.scores.copy(), view.asked.copy()
    answers = None if view.answers is None else view.answers.copy()
    for place, (v, i) in enumerate(plan.cells):
        found = [looked_at(row) for row in rows[place * repeats : (place + 1) * repeats] if row is not None]
        if not found:
            continue
        known = [row.score for row in found if not math.isnan(row.score)]
        scores[v, i] = sum(known) / len(known) if known else math.nan
        asked[v, i] = True
        if answers is not None:
            answers[v, i] = next((row.answer for row in found if row.answer is not None), None)
    wrong = _wrong(view, plan, repeats, rows, scores)
    after = replace(view, scores=scores, asked=asked, answers=answers, wrong=wrong, round=view.round + 1)
    return joined(after, admitted)


def joined(view: View, variants: Sequence[Variant]) -> View:
    """The view with these variants as new rows at the end, nothing of them asked."""
    shape = (len(variants), len(view.dev))
    return replace(
        view,
        variants=(*view.variants, *variants),
        scores=np.vstack([view.scores, np.full(shape, np.nan)]),
        asked=np.vstack([view.asked, np.zeros(shape, dtype=bool)]),
        live=np.concatenate([view.live, np.ones(len(variants), dtype=bool)]),
        answers=None if view.answers is None else np.vstack([view.answers, np.full(shape, None, object)]),
    )


def _wrong(
    view: View, plan: Plan, repeats: int, rows: Sequence[Kept | None], scores: Scores
) -> dict[tuple[int, int], Failure]:
    """Of each live variant so many failures: this round's before earlier ones, the worst first.

    A score below 1 is a failure; where some answer got more than 1, a score below the best is.
    """
    top = 1.0 if np.isnan(scores).all() else max(1.0, float(np.nanmax(scores)))
    places = {cell: place for place, cell in enumerate(plan.cells) if scores[cell] < top - 1e-9}
    kept: dict[tuple[int, int], Failure] = {}
    room = dict.fromkeys(np.flatnonzero(view.live).tolist(), FAILURES)
    for cell in (*sorted(places, key=lambda each: (scores[each], each)), *view.wrong):
        v, i = cell
        if room.get(v, 0) > 0:
            room[v] -= 1
            start = places.get(cell, 0) * repeats
            kept[cell] = _failure(view.dev[i], rows[start : start + repeats]) if cell in places else view.wrong[cell]
    return kept


def _failure(example: Example, rows: Sequence[Kept | None]) -> Failure:
    """The worst of the repeats, as proposers see it."""
    found: list[Prediction] = [looked_at(row) for row in rows if row is not None]
    row = min(found, key=lambda each: math.inf if math.isnan(each.score) else each.score)
    output = row.output if len(row.output) <= OUTPUT else row.output[:OUTPUT] + " …"
    return Failure(example, output, " | ".join(map(text_of, example.answers)), row.explanation, row.score)
