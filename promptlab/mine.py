"""The rounds: propose, admit, allocate, predict, close. Decisions are made on closed rounds only, in plan order."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

from promptlab.admit import Door, Refused, admit
from promptlab.allocators import Allocator
from promptlab.closing import closed
from promptlab.design import Design
from promptlab.drive import Driver
from promptlab.errors import EndpointUnusable
from promptlab.kept import Kept, Predictions, keep
from promptlab.meter import Cost
from promptlab.planner import Planner
from promptlab.proposers import Proposer
from promptlab.proposing import Proposed, proposing
from promptlab.records import Call, Example, Flow, Prediction, Variant
from promptlab.turns import Turns
from promptlab.view import Plan, View

Predict = Callable[[Variant, Example, int], Flow[Prediction]]


@dataclass(frozen=True)
class Rules:
    """What the experiment says about searching. ``shares`` are the proposers' (empty = equal ones)."""

    proposers: tuple[Proposer, ...]
    allocator: Allocator
    shares: tuple[float, ...] = ()
    design: Design | None = None
    door: Door | None = None
    seed: int = 7
    repeats: int = 1
    calls: int = 1  # that one cell takes: its own and those of its metrics
    max_errors: float = 0.02
    unit: Cost = field(default_factory=lambda: Cost(1))  # what one call may cost, before any was made
    reserve: Callable[[View], Cost] = lambda _: Cost()
    opened: Callable[[View, Plan], None] = lambda *_: None
    closed: Callable[[View, Plan, Sequence[Prediction]], None] = lambda *_: None


@dataclass(frozen=True)
class Search:
    """What mining leaves: the last view, every dev prediction in plan order, and the round in which a variant fell.

    ``refused``: why proposals did not join, how many and an example; among them those whose calls failed.
    """

    view: View
    predictions: Predictions
    fell: dict[int, int]
    refused: Refused


def draw(seed: int, role: str, number: int) -> np.random.Generator:
    """The generator of one role in one round: made anew, never carried."""
    return np.random.default_rng([seed, zlib.crc32(role.encode()), number])


async def mine(view: View, rules: Rules, predict: Predict, driver: Driver) -> Search:
    """Rounds until nothing more is wanted, or two in a row brought nothing: the budget is spent, or nobody has more.

    One such round may be a space of one point.
    """
    found = Search(view, Predictions(), {}, {})
    planner = Planner(rules.allocator, partial(draw, rules.seed, "allocate"), rules.design)
    turns = Turns(rules.proposers, rules.shares)
    idle = 0
    while idle < 2:
        driver.meter.reserved = rules.reserve(view)
        view = replace(view, calls_left=_calls_left(driver, rules.unit) / (rules.repeats * rules.calls))
        plan = planner.plan(view)
        view = _dropped(view, plan)
        found.fell.update(dict.fromkeys(plan.dropped, view.round))
        seats = turns.seats(plan)
        if seats is None:
            break
        rules.opened(view, plan)
        proposed, scored = await _round(view, plan, seats, rules, predict, driver)
        admission = admit(view, (variant for each in proposed for variant in each.variants), rules.door)
        _add(found.refused, [admission.refused, *(each.refused for each in proposed)])
        done = [row for row in scored if row is not None]
        found.predictions.extend(done)
        view = closed(view, plan, rules.repeats, scored, admission.admitted)
        rules.closed(view, plan, Predictions(done))
        idle = 0 if done or admission.admitted else idle + 1
    return replace(found, view=view)


def _dropped(view: View, plan: Plan) -> View:
    live = view.live.copy()
    live[list(plan.dropped)] = False
    return replace(view, live=live)


def _add(refused: Refused, parts: Iterable[Refused]) -> None:
    for reason, said in chain.from_iterable(part.items() for part in parts):
        refused.setdefault(reason, {**said, "count": 0})["count"] += said["count"]


async def _round(
    view: View, plan: Plan, seats: Sequence[int], rules: Rules, predict: Predict, driver: Driver
) -> tuple[list[Proposed], list[Kept | None]]:
    """Proposals and cells side by side: the proposed variants join the next round."""
    asked: list[Flow[Any]] = [
        proposing(proposer, n, view, draw(rules.seed, f"propose {place}", view.round))
        for place, (n, proposer) in enumerate(zip(seats, rules.proposers, strict=True))
        if n
    ]
    count, first = len(plan.cells) * rules.repeats, len(asked)

    def ask(place: int) -> Flow[Prediction]:
        v, i = plan.cells[place // rules.repeats]
        return predict(view.variants[v], view.dev[i], place % rules.repeats)

    def kept(place: int, value: Any, calls: tuple[Call, ...]) -> Any:
        return value if place < first else keep(place - first, value, calls)

    found: list[Any] = await driver.run(chain(asked, map(ask, range(count))), kept)
    proposed = [each for each in found[:first] if each is not None]
    rows = await completed(driver, ask, found[first:], (count, rules.max_errors))
    too_many_errors([row for row in rows if row is not None], rules.max_errors)
    return proposed, rows


async def completed(
    driver: Driver,
    ask: Callable[[int], Flow[Prediction]],
    first: Sequence[Kept | None],
    wanted: tuple[int, float],
) -> list[Kept | None]:
    """The rows of ``wanted`` cells, so many with at most that share of errors, given those of the ``first`` try.

    What failed is asked once more, together with what the budget could not start while that kept its place. None where
    the budget was spent. Raises EndpointUnusable as soon as too many failed twice.
    """
    count, share = wanted
    rows = [*first, *[None] * (count - len(first))]
    tries = Counter(place for place, row in enumerate(rows) if _is_error(row))
    twice: set[int] = set()

    def again(place: int) -> Flow[Prediction]:
        row = yield from ask(place)
        twice.update([place] if _is_error(row) and tries[place] else [])
        if len(twice) > share * count:
            raise _too_many(len(twice), count, share, row.error)
        return row

    while any(_is_error(row) and tries[place] == 1 for place, row in enumerate(rows)):
        missing = [p for p, row in enumerate(rows) if row is None or (_is_error(row) and tries[p] == 1)]
        for place, row in zip(missing, await driver.run(map(again, missing), keep), strict=False):
            rows[place] = row or rows[place]
        tries.update(place for place in missing if _is_error(rows[place]))
    driver.meter.settle()
    return rows


def _is_error(row: Kept | None) -> bool:
    return isinstance(row, Prediction) and row.status == "error"


def too_many_errors(rows: Sequence[Kept], share: float) -> None:
    """A round with more errors than ``share`` does not close. Raises EndpointUnusable (resumable)."""
    errors = [row for row in rows if isinstance(row, Prediction) and row.status == "error"]
    if len(errors) > share * len(rows):
        raise _too_many(len(errors), len(rows), share, errors[0].error)


def _too_many(errors: int, count: int, share: float, error: str) -> EndpointUnusable:
    return EndpointUnusable(
        f"{errors} of {count} calls failed, more than endpoint.max_errors ({share:.0%}) allows; one of them: {error}. "
        "Every answer is kept: run the same command to ask for the missing ones."
    )


def _calls_left(driver: Driver, unit: Cost) -> float:
    """How many more calls the tightest cap allows, at the mean cost so far (before any call: at ``unit``)."""
    done, left = driver.meter.done, driver.meter.left
    mean = done * (1 / done.calls) if done.calls else unit
    affordable = [left.calls]
    affordable += [left.tokens / mean.tokens] if mean.tokens else []
    affordable += [left.usd / mean.usd] if mean.usd else []
    return max(0.0, min(affordable))
