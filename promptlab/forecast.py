"""What a run would take, and what its rows can tell, computed before anything is spent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from promptlab.admit import admit
from promptlab.closing import joined
from promptlab.meter import Cost, cap_of, worst_case
from promptlab.mine import draw
from promptlab.planner import Planner
from promptlab.predict import Prompt
from promptlab.prefix import shares
from promptlab.prepare import Prepared
from promptlab.proposing import Proposed, proposing
from promptlab.records import Example, Flow, Message, Passage, Request, Variant
from promptlab.reserve import check_reserve, reserve
from promptlab.shelf import Shelf
from promptlab.space import Space
from promptlab.stats.power import rows_needed, smallest_difference
from promptlab.tokens import count_messages
from promptlab.turns import Turns
from promptlab.view import Plan, View

COUNTED = 20_000  # points up to which holes are counted
SAMPLE = 120  # cells rendered to estimate tokens
TOLD = (0.02, 0.05)  # differences for which the rows are said that would show them
FORESEEN = 1000  # most variants that stand in for those a model would write
DISAGREEMENT = (0.1, 0.2, 0.3)  # shares of rows on which two prompts differ, before any is measured


@dataclass(frozen=True, slots=True)
class Forecast:
    """What to expect.

    ``points`` counts the ``holes`` in (0 in spaces too large to look through); ``variants`` has the baseline in it.
    ``search_calls`` assumes that no variant falls early by more than the allocator plans. ``meta_calls`` (in them) are
    those by which a model writes variants, at least: one for each; ``finding_calls`` those that embed the corpus, and
    that embed, write or rerank for queries, each counted once however many variants share it. ``carries`` is how many
    variants the allocator can use at this budget, had the space or the proposers so many; ``complete`` how many the
    budget could score on every row (both beside the baseline; None = no cap on calls). Tokens are per call, on average;
    of those sent, ``tokens_shared`` start the next prompt of the same variant as well, and ``tokens_behind`` are fixed
    text behind the row's own, which no prompt cache holds. ``usd`` is at list price with full answers; None = no price.
    ``resolves`` maps a share of rows on which two variants disagree to the smallest difference that test (without one,
    dev) can show with 80 % power; None = none. ``needed`` maps a difference, and such a share, to the rows that would
    show it.
    """

    points: int
    holes: int
    variants: int
    rounds: int
    search_calls: int
    test_calls: int
    tokens_in: float
    tokens_out: float
    tokens_shared: float
    tokens_behind: float
    usd: float | None
    dev_rows: int
    test_rows: int
    resolves: Mapping[float, float | None]
    needed: Mapping[float, Mapping[float, int]]
    meta_calls: int = 0
    finding_calls: int = 0
    carries: int | None = None
    complete: int | None = None


def forecast(prepared: Prepared) -> Forecast:
    """Walk the rounds with every score equal; render a sample of what they would ask."""
    experiment, rows = prepared.experiment, prepared.rows
    repeats, cap = experiment.search.repeats, experiment.search.budget.calls
    shelf = prepared.task.shelf
    held = reserve(prepared.task, rows.test, repeats, cap_of(experiment.search.budget))(prepared.start())
    repeats *= prepared.task.calls  # what one cell takes
    check_reserve(prepared, held)
    setup = len(shelf.setup(rows.dev)) if shelf else 0
    left = math.inf if cap is None else max(0, cap - held.calls)
    walk = _walk(prepared, max(0, left - setup))
    view, cells = walk.view, walk.cells
    finding = _finding(shelf, view, cells) if shelf else 0
    search_calls = int(min(setup + finding + len(cells) * repeats + walk.meta, left))
    seats = min(view.finalists, len(view.variants) - 1)
    test_calls = (1 + seats) * len(rows.test) * repeats + (shelf.most(1 + seats) * len(rows.test) if shelf else 0)
    tokens_in, cost, (shared, behind) = _sampled(prepared, view, cells)
    priced = all(model.price is not None for model in experiment.models)
    n = len(rows.test) or len(rows.dev)
    return Forecast(
        points=prepared.space.size,
        holes=_holes(prepared.space),
        variants=len(view.variants),
        rounds=view.round,
        search_calls=search_calls,
        test_calls=test_calls,
        tokens_in=tokens_in,
        tokens_out=cost.tokens,
        tokens_shared=shared,
        tokens_behind=behind,
        usd=(search_calls + test_calls) * cost.usd if priced else None,
        dev_rows=len(rows.dev),
        test_rows=len(rows.test),
        resolves={share: smallest_difference(n, share) for share in DISAGREEMENT},
        needed={gap: {share: rows_needed(gap, share) for share in DISAGREEMENT} for gap in TOLD},
        meta_calls=walk.meta,
        finding_calls=setup + finding,
        carries=None if cap is None else walk.wanted,
        complete=None if cap is None else max(0, int(left // (repeats * len(rows.dev))) - 1),
    )


def _finding(shelf: Shelf, view: View, cells: Sequence[tuple[int, int]]) -> int:
    """How many calls it takes to find the passages of these cells."""
    steps = [tuple(step for each in (v.members or (v,)) for step in shelf.steps(each.slots)) for v in view.variants]
    return len({(i, step) for v, i in cells for step in steps[v]})


def _holes(space: Space) -> int:
    """How many points the holes take out; 0 where there are none, or too many points to look at."""
    if not space.exclude or space.size > COUNTED:
        return 0
    return sum(space.excluded(space.point(number)) for number in range(space.size))


@dataclass(frozen=True, slots=True)
class _Walk:
    """Rounds without answers: the last view, every planned cell, variants asked for, and calls that write some."""

    view: View
    cells: list[tuple[int, int]]
    wanted: int
    meta: int


def _walk(prepared: Prepared, left: float) -> _Walk:
    """The plans of the allocator when no score tells variants apart; for each that a model would write one stands in.

    A stand-in is the baseline under a name of its own: it is asked what a new variant would be.
    """
    experiment, proposers = prepared.experiment, prepared.proposers
    seed, repeats = experiment.seed, experiment.search.repeats
    view = replace(prepared.start(), calls_left=left / (repeats * prepared.task.calls))
    planner = Planner(prepared.allocator, partial(draw, seed, "allocate"), prepared.design)
    turns = Turns(proposers, experiment.search.shares)
    cells: list[tuple[int, int]] = []
    wanted = meta = idle = 0
    while idle < 2:  # as mine does: one round that brings nothing may be a space of one point
        plan = planner.plan(view)
        fresh = [(v, i) for v, i in plan.cells if not view.asked[v, i]]
        if not (plan.cells or plan.want):  # whoever is asked when all is scored needs answers
            break
        proposed, written = _round(prepared, view, turns.seats(plan) or ())
        written = int(min(written, FORESEEN - meta, max(0.0, view.calls_left - len(fresh))))
        new = (*admit(view, proposed, prepared.door).admitted, *_stand_ins(view.variants[0], meta, written))
        idle = 0 if fresh or new else idle + 1
        cells += fresh
        wanted += plan.want
        meta += written
        view = _after(view, plan, fresh, new)
        view = replace(view, calls_left=max(0.0, view.calls_left - written))
    return _Walk(view, cells, wanted, meta)


def _round(prepared: Prepared, view: View, seats: Sequence[int]) -> tuple[list[Variant | None], int]:
    """What those proposers give that ask no model, and how many variants the others are asked for."""
    proposed: list[Variant | None] = []
    written = 0
    for place, (count, proposer) in enumerate(zip(seats, prepared.proposers, strict=False)):
        if count:
            rng = draw(prepared.experiment.seed, f"propose {place}", view.round)
            found = _proposed(proposing(proposer, count, view, rng))
            written += count if found is None else 0
            proposed += found or ()
    return proposed, written


def _stand_ins(baseline: Variant, first: int, count: int) -> list[Variant]:
    return [replace(baseline, id=f"written {first + k + 1}", origin="written") for k in range(count)]


def _proposed(flow: Flow[Proposed]) -> tuple[Variant | None, ...] | None:
    """What a proposer gives that asks no model; None if it asks one."""
    try:
        next(flow)
    except StopIteration as stop:
        given: Proposed = stop.value
        return given.variants
    flow.close()
    return None


def _after(view: View, plan: Plan, fresh: Sequence[tuple[int, int]], new: Sequence[Variant]) -> View:
    """The view when a round is closed in which every answer scored 0."""
    live, asked, scores = view.live.copy(), view.asked.copy(), view.scores.copy()
    live[list(plan.dropped)] = False
    if fresh:
        rows, columns = zip(*fresh, strict=True)
        asked[rows, columns], scores[rows, columns] = True, 0.0
    left = max(0.0, view.calls_left - len(fresh))
    return joined(replace(view, live=live, asked=asked, scores=scores, round=view.round + 1, calls_left=left), new)


def _sampled(prepared: Prepared, view: View, cells: list[tuple[int, int]]) -> tuple[float, Cost, tuple[float, float]]:
    """Mean prompt tokens, the mean cost of a call with as long an answer as may be, and tokens shared and behind."""
    cells = cells or [(0, 0)]
    step = max(1, len(cells) // SAMPLE)
    tokens, costs, shared = [], [], []
    for v, i in cells[::step]:
        prompt = prepared.task.prompt(view.variants[v])
        messages = prompt.messages(view.dev[i])
        count, _ = count_messages(messages, prompt.model.id)
        tokens.append(count)
        asked = prepared.task.requests(view.variants[v], view.dev[i])
        parts = [_cost(each, count if place == 0 else len(each.content) // 4) for place, each in enumerate(asked)]
        costs.append(sum(parts, Cost()) * (1 / len(parts)))
        if len(view.dev) > 1:
            shared.append(count * np.array(shares(messages, _neighbour(prompt, view.dev[i], view.dev[i - 1]))))
    n = len(costs)
    first, last = np.mean(shared, axis=0) if shared else (0.0, 0.0)
    return sum(tokens) / n, sum(costs, Cost()) * (1 / n), (float(first), float(last))


def _neighbour(prompt: Prompt, row: Example, other: Example) -> tuple[Message, ...]:
    """The prompt of another row; where passages only stand in, with some that are not those of ``row`` either."""
    seen, found = prompt.foreseen(row), prompt.foreseen(other)
    if seen.exact and found.exact:
        return prompt.messages(other, found.passages)
    return prompt.messages(other, tuple(map(_unlike, found.passages)))


def _unlike(passage: Passage) -> Passage:
    """A passage as long that begins and ends otherwise: what is the same of stand-ins is no prompt's prefix."""
    turned = _turned(passage.id), _turned(passage.title), _turned(passage.text)
    return replace(passage, id=turned[0], title=turned[1], text=turned[2])


def _turned(text: str) -> str:
    edges = {text[:1], text[-1:]}
    mark = next(each for each in "~|^" if each not in edges)
    return f"{mark}{text[1:-1]}{mark}" if text else text


def _cost(request: Request, tokens_in: int) -> Cost:
    """Tokens out and dollars of a full answer; tokens in as counted rather than bounded."""
    out = worst_case(request).tokens - len(request.content)
    out = 0.0 if math.isinf(out) else out
    price = request.model.price
    return Cost(1, out, (tokens_in * price.input + out * price.output) / 1e6 if price else 0.0)
