"""What is kept back for the test: the calls of the baseline and the finalists, at their worst case."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from promptlab.errors import BadInput
from promptlab.meter import Cost, cap_of, worst_case
from promptlab.predict import Task
from promptlab.prepare import Prepared
from promptlab.records import Example, Variant
from promptlab.view import View


def reserve(task: Task, test: Sequence[Example], repeats: int, cap: Cost) -> Callable[[View], Cost]:
    """How much the test calls of the baseline and of any finalists can cost at most, for the variants still alive."""
    counted = math.isinf(cap.tokens) and math.isinf(cap.usd)
    known: dict[str, Cost] = {}

    def bound(variant: Variant) -> Cost:
        if variant.members:
            return sum(map(bound, variant.members), Cost())
        if variant.id not in known:
            costs = [worst_case(each) for example in test for each in task.requests(variant, example)]
            known[variant.id] = sum(costs, Cost()) * repeats
        return known[variant.id]

    def held(view: View) -> Cost:
        seats = view.finalists
        wide = max(len(variant.members) for variant in view.variants)  # at most one ensemble is a finalist
        many = seats + 1 + max(0, wide - 1)
        finding = task.shelf.most(many) * len(test) if task.shelf else 0  # a repeat finds what the first one found
        calls = many * len(test) * repeats * task.calls + finding
        if counted or not test:
            return Cost(calls)
        costs = [bound(view.variants[v]) for v in range(1, len(view.variants)) if view.live[v]] or [
            bound(view.variants[0])
        ]
        tokens = sum(sorted((c.tokens for c in costs), reverse=True)[:seats])
        usd = sum(sorted((c.usd for c in costs), reverse=True)[:seats])
        base = bound(view.variants[0])
        return Cost(calls, tokens + base.tokens, usd + base.usd)

    return held


def check_reserve(prepared: Prepared, held: Cost) -> None:
    """Raise BadInput where the budget cannot pay for the test, and for corpus, design or a first call beside it."""
    experiment, task = prepared.experiment, prepared.task
    cap = cap_of(experiment.search.budget)
    design = prepared.design
    block = design.calls * experiment.search.repeats if design else 0
    setup = sum(map(worst_case, task.shelf.setup(prepared.rows.dev) if task.shelf else ()), Cost())
    if design and held.calls + setup.calls + block > cap.calls:
        what = (
            f"the budget cannot pay for the design: {len(design.ids)} variants on {len(design.examples)} rows take "
            f"{block:,} calls, and {held.calls:,.0f} of {cap.calls:,.0f} are set aside for the test"
        )
        remedy = "Raise search.budget.calls, or lower search.design."
        raise BadInput(experiment.problem(("search", "design"), what, remedy))
    if setup.calls and held.within(cap) and not (held + setup + Cost(1)).within(cap):
        what = (
            f"the budget cannot pay for the corpus: embedding it may take {_told(setup, cap)}, "
            f"and {_told(held, cap)} are set aside for the test"
        )
        remedy = "Raise search.budget, or leave the retrievers out that embed."
        raise BadInput(experiment.problem(("search", "budget"), what, remedy))
    if (held + setup + Cost(1)).within(cap):
        return
    what = (
        f"the budget cannot pay for the test: {prepared.seats} finalists and the baseline on "
        f"{len(prepared.rows.test)} test rows may take {_told(held, cap)}"
    )
    remedy = "Raise search.budget, lower search.finalists, or use --no-test."
    raise BadInput(experiment.problem(("search", "budget"), what, remedy))


def _told(cost: Cost, cap: Cost) -> str:
    """A cost in what is capped."""
    parts = [f"{cost.calls:,.0f} calls"]
    parts += [f"{cost.tokens:,.0f} tokens"] if cap.tokens < math.inf else []
    parts += [f"${cost.usd:,.4f}"] if cap.usd < math.inf else []
    return ", ".join(parts)
