"""What a run would take, and what its rows can tell, computed before anything is spent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from promptlab.allocators import ALLOCATORS
from promptlab.importing import implementation
from promptlab.meter import Cost, worst_case
from promptlab.mine import draw
from promptlab.power import smallest_difference
from promptlab.prepare import Prepared
from promptlab.proposers import PROPOSERS
from promptlab.records import Request, Variant
from promptlab.tokens import count_messages
from promptlab.view import View

SAMPLE = 120  # cells rendered to estimate tokens
DISAGREEMENT = (0.1, 0.2, 0.3)  # shares of rows on which two prompts differ, before any is measured


@dataclass(frozen=True, slots=True)
class Forecast:
    """What to expect.

    ``search_calls`` assumes that no variant falls early by more than the allocator plans; tokens are per call, on
    average; ``usd`` at list price with full answers; None = no price. ``resolves`` maps a share of rows on which two
    variants disagree to the smallest difference that test (without one, dev) can show with 80 % power; None = none.
    """

    points: int
    variants: int
    rounds: int
    search_calls: int
    test_calls: int
    tokens_in: float
    tokens_out: float
    usd: float | None
    dev_rows: int
    test_rows: int
    resolves: Mapping[float, float | None]


def forecast(prepared: Prepared) -> Forecast:
    """Walk the rounds with every score equal; render a sample of what they would ask."""
    experiment, rows = prepared.experiment, prepared.rows
    repeats = experiment.search.repeats
    test_calls = (1 + min(experiment.search.finalists, prepared.space.size)) * len(rows.test) * repeats
    cap = experiment.search.budget.calls
    left = math.inf if cap is None else max(0, cap - test_calls)
    view, cells, rounds = _walk(prepared, left)
    search_calls = int(min(len(cells) * repeats, left))
    tokens_in, cost = _sampled(prepared, view, cells)
    priced = all(model.price is not None for model in experiment.models)
    n = len(rows.test) or len(rows.dev)
    return Forecast(
        points=prepared.space.size,
        variants=len(view.variants),
        rounds=rounds,
        search_calls=search_calls,
        test_calls=test_calls,
        tokens_in=tokens_in,
        tokens_out=cost.tokens,
        usd=(search_calls + test_calls) * cost.usd if priced else None,
        dev_rows=len(rows.dev),
        test_rows=len(rows.test),
        resolves={share: smallest_difference(n, share) for share in DISAGREEMENT},
    )


def _walk(prepared: Prepared, left: float) -> tuple[View, list[tuple[int, int]], int]:
    """The plans of the allocator when no score tells variants apart; proposals that need a model are left out."""
    experiment = prepared.experiment
    spec, folder, seed = experiment.search, experiment.folder, experiment.seed
    allocate = implementation("allocator", spec.allocate[0], ALLOCATORS, folder, spec.allocate[1])
    proposers = [implementation("proposer", name, PROPOSERS, folder, options) for name, options in spec.propose]
    view = replace(prepared.view(), calls_left=left / spec.repeats)
    cells: list[tuple[int, int]] = []
    while True:
        plan = allocate(view, draw(seed, "allocate", view.round))
        if not plan.cells and not plan.want:
            return view, cells, view.round
        live, asked, scores = view.live.copy(), view.asked.copy(), view.scores.copy()
        live[list(plan.dropped)] = False
        for v, i in plan.cells:
            asked[v, i], scores[v, i] = True, 0.0
        cells += plan.cells
        new: list[Variant] = []
        for place, proposer in enumerate(proposers if plan.want else ()):
            try:
                flow = proposer(plan.want // len(proposers) or 1, view, draw(seed, f"propose {place}", view.round))
                next(flow)
                flow.close()
            except StopIteration as stop:
                new += stop.value
        known = {variant.id for variant in view.variants}
        new = [v for v in {v.id: v for v in new}.values() if v.id not in known and not view.space.excluded(v.slots)]
        if not new and not plan.cells:
            return view, cells, view.round
        view = replace(
            view,
            variants=(*view.variants, *new),
            scores=np.vstack([scores, np.full((len(new), scores.shape[1]), np.nan)]),
            asked=np.vstack([asked, np.zeros((len(new), asked.shape[1]), dtype=bool)]),
            live=np.concatenate([live, np.ones(len(new), dtype=bool)]),
            round=view.round + 1,
            calls_left=view.calls_left - len(plan.cells),
        )


def _sampled(prepared: Prepared, view: View, cells: list[tuple[int, int]]) -> tuple[float, Cost]:
    """Mean prompt tokens, and the mean cost of a call whose answer is as long as it may be."""
    step = max(1, len(cells) // SAMPLE)
    tokens, costs = [], []
    for v, i in cells[::step]:
        prompt = prepared.task.prompt(view.variants[v])
        messages = prompt.messages(view.dev[i])
        count, _ = count_messages(messages, prompt.model.id)
        tokens.append(count)
        costs.append(_cost(prompt.request(messages), count))
    n = max(1, len(costs))
    return sum(tokens) / n, sum(costs, Cost()) * (1 / n)


def _cost(request: Request, tokens_in: int) -> Cost:
    """Tokens out and dollars of a full answer; tokens in as counted rather than bounded."""
    out = worst_case(request).tokens - len(request.content)
    out = 0.0 if math.isinf(out) else out
    price = request.model.price
    return Cost(1, out, (tokens_in * price.input + out * price.output) / 1e6 if price else 0.0)
