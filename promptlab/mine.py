"""The rounds: propose, admit, allocate, predict, close. Decisions are made on closed rounds only, in plan order."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np

from promptlab.admit import admit
from promptlab.allocators import Allocator
from promptlab.drive import Driver, Outcome
from promptlab.errors import EndpointUnusable
from promptlab.meter import Cost
from promptlab.proposers import Proposer
from promptlab.records import Example, Flow, Prediction, Variant
from promptlab.view import Plan, View

Predict = Callable[[Variant, Example, int], Flow[Prediction]]
Cell = tuple[int, int, int]  # variant row, dev column, repeat


@dataclass(frozen=True)
class Rules:
    """What the experiment says about searching."""

    proposers: tuple[Proposer, ...]
    allocator: Allocator
    seed: int = 7
    repeats: int = 1
    max_errors: float = 0.02
    unit: Cost = field(default_factory=lambda: Cost(1))  # what one call may cost, before any was made
    reserve: Callable[[View], Cost] = lambda _: Cost()
    opened: Callable[[View, Plan], None] = lambda *_: None
    closed: Callable[[View, Plan, Sequence[Prediction]], None] = lambda *_: None


@dataclass(frozen=True)
class Search:
    """What mining leaves: the last view, every dev prediction in plan order, and the round in which a variant fell."""

    view: View
    predictions: tuple[Prediction, ...]
    fell: Mapping[int, int]
    refused: Mapping[str, int]


def draw(seed: int, role: str, number: int) -> np.random.Generator:
    """The generator of one role in one round: made anew, never carried."""
    return np.random.default_rng([seed, zlib.crc32(role.encode()), number])


async def mine(view: View, rules: Rules, predict: Predict, driver: Driver) -> Search:
    """Rounds until the allocator wants nothing more, or the budget is spent."""
    rows: list[Prediction] = []
    fell: dict[int, int] = {}
    refused: dict[str, int] = {}
    while True:
        driver.meter.reserved = rules.reserve(view)
        view = replace(view, calls_left=_calls_left(driver, rules.unit))
        plan = rules.allocator(view, draw(rules.seed, "allocate", view.round))
        if not plan.cells and not plan.want:
            break
        live = view.live.copy()
        live[list(plan.dropped)] = False
        fell |= dict.fromkeys(plan.dropped, view.round)
        view = replace(view, live=live)
        rules.opened(view, plan)
        proposed, scored = await _round(view, plan, rules, predict, driver)
        admission = admit(view, proposed)
        for reason, count in admission.refused.items():
            refused[reason] = refused.get(reason, 0) + count
        rows += (row for row in scored if row is not None)
        done = [row for row in scored if row is not None]
        view = _closed(view, plan, rules.repeats, scored, admission.admitted)
        rules.closed(view, plan, done)
        if not done and not admission.admitted:
            break
    return Search(view, tuple(rows), fell, refused)


async def _round(
    view: View, plan: Plan, rules: Rules, predict: Predict, driver: Driver
) -> tuple[list[Variant], list[Prediction | None]]:
    """Proposals and cells side by side: the proposed variants join the next round."""
    shares = [share for share in np.array_split(np.arange(plan.want), len(rules.proposers)) if len(share)]
    asked: list[Flow[Any]] = [
        proposer(len(share), view, draw(rules.seed, f"propose {place}", view.round))
        for place, (share, proposer) in enumerate(zip(shares, rules.proposers, strict=False))
    ]
    cells = [(v, i, r) for v, i in plan.cells for r in range(rules.repeats)]
    outcomes: list[Outcome[Any] | None] = await driver.run(
        chain(asked, (predict(view.variants[v], view.dev[i], r) for v, i, r in cells))
    )
    proposed = [variant for outcome in outcomes[: len(asked)] if outcome for variant in outcome.value]
    rows = [_row(outcome) for outcome in outcomes[len(asked) :]]
    rows += [None] * (len(cells) - len(rows))
    failed = [place for place, row in enumerate(rows) if row is not None and row.status == "error"]
    if failed:
        again = await driver.run(predict(view.variants[v], view.dev[i], r) for v, i, r in (cells[f] for f in failed))
        for place, outcome in zip(failed, again, strict=False):
            rows[place] = _row(outcome) or rows[place]
    too_many_errors([row for row in rows if row is not None], rules.max_errors)
    return proposed, rows


def _row(outcome: Outcome[Prediction] | None) -> Prediction | None:
    return None if outcome is None else replace(outcome.value, calls=outcome.calls)


def too_many_errors(rows: Sequence[Prediction], share: float) -> None:
    """A round with more errors than ``share`` does not close. Raises EndpointUnusable (resumable)."""
    errors = [row for row in rows if row.status == "error"]
    if len(errors) > share * len(rows):
        raise EndpointUnusable(
            f"{len(errors)} of {len(rows)} calls failed, more than endpoint.max_errors ({share:.0%}) allows; "
            f"the first: {errors[0].error}. Every answer is kept: run the same command to ask for the missing ones."
        )


def _closed(
    view: View, plan: Plan, repeats: int, rows: Sequence[Prediction | None], admitted: Sequence[Variant]
) -> View:
    """The view with the round's scores (means over repeats) and the admitted variants as new rows at the end."""
    scores, asked = view.scores.copy(), view.asked.copy()
    for place, (v, i) in enumerate(plan.cells):
        found = [row for row in rows[place * repeats : (place + 1) * repeats] if row is not None]
        if not found:
            continue
        known = [row.score for row in found if not math.isnan(row.score)]
        scores[v, i] = sum(known) / len(known) if known else math.nan
        asked[v, i] = True
    more = len(admitted)
    return replace(
        view,
        variants=(*view.variants, *admitted),
        scores=np.vstack([scores, np.full((more, scores.shape[1]), np.nan)]),
        asked=np.vstack([asked, np.zeros((more, asked.shape[1]), dtype=bool)]),
        live=np.concatenate([view.live, np.ones(more, dtype=bool)]),
        round=view.round + 1,
    )


def _calls_left(driver: Driver, unit: Cost) -> float:
    """How many more calls the tightest cap allows, at the mean cost so far (before any call: at ``unit``)."""
    done, left = driver.meter.done, driver.meter.left
    mean = done * (1 / done.calls) if done.calls else unit
    affordable = [left.calls]
    affordable += [left.tokens / mean.tokens] if mean.tokens else []
    affordable += [left.usd / mean.usd] if mean.usd else []
    return max(0.0, min(affordable))
