"""What a choice would do, in sentences, before anything is spent: training, arms, shares of the budget, rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from promptlab.choice.planned import Planned
from promptlab.choice.probe import FEWEST
from promptlab.choice.training import cost, of


def outline(plan: Planned) -> list[str]:
    """The lines."""
    return [*_training(plan), *_arms(plan), *_shares(plan), *_told(plan)]


def about(plan: Planned) -> dict[str, str]:
    """How much each job to train is, by the name of its model."""
    return {job.name: f"{len(job.rows)} rows" for job in plan.training.jobs}


def _training(plan: Planned) -> Iterator[str]:
    training = plan.training
    if training.jobs and training.settings.trainer == "given":
        yield f"to look up first: {training.settings.given}, which was tuned elsewhere"
        return
    for arm in training.arms:
        jobs = training.of(arm)
        found = cost(jobs)
        seeds = ", ".join(str(seed) for seed in sorted({job.seed for job in jobs}))
        sizes = ", ".join(str(size) for size in sorted({len(job.rows) for job in jobs}))
        many = f"{len(jobs)} job{'s' * (len(jobs) > 1)} ({training.settings.trainer}"
        what = f"{many} on {training.settings.base}; seed{'s' * (',' in seeds)} {seeds}; {sizes} rows)"
        about = "" if found.exact else "about "
        usd = "no price given (`tune.price.train`)" if found.usd is None else f"${found.usd:.4g}"
        yield f"to train first, for {arm}: {what}, {about}{found.train_tokens:,} tokens, {usd}"


def _arms(plan: Planned) -> Iterator[str]:
    for name, needed in plan.shares.needs.items():
        if name in plan.arms:
            size = plan.arms[name].space.size
            what = f"{size:,} variant{'s' * (size != 1)}"
        elif name in plan.training.arms:
            sizes = len({len(job.rows) for job in of(plan.tuned.jobs, name) if job.rows})
            what = f"{sizes} size{'s' * (sizes != 1)} of training" if sizes else "its model"
        else:
            continue
        calls = plan.shares.given[name]
        yield f"arm {name}: {what}" + (
            "" if calls is None else f", at most {int(calls):,} calls; it can use {needed:,}"
        )
    for each in plan.left_out:
        share = plan.shares.given.get(each.arm)
        kept = "" if share is None else f" (its {int(share):,} calls are kept for it)"
        yield f"arm {each.arm} is left out: {each.left_out}{kept}"


def _shares(plan: Planned) -> Iterator[str]:
    shares, cap = plan.shares, plan.prepared.experiment.search.budget.calls
    aside = ", ".join(f"{calls:,} for {what}" for what, calls in shares.aside.items())
    if plan.usd:
        yield f"all calls together cost at most about ${plan.usd:,.2f} at list price"
    whole = plan.prepared.experiment.search.budget
    parts = [f"${whole.usd:,.2f}" if whole.usd else "", f"{whole.tokens:,} tokens" if whole.tokens else ""]
    if any(parts):
        yield f"budget: {' and '.join(filter(None, parts))}, an equal part for each of {plan.taking.runs} runs"
    if cap is None:
        return
    kept = f"; {aside} are set aside first" if aside else ""
    yield f"budget: {cap:,} calls, shared alike; what one arm does not need goes to the others{kept}"
    if shares.short:
        less = " and ".join(shares.short)
        yield f"note: {less} could use more than that; `search.budget.calls: {shares.enough}` would be enough for all"


def _told(plan: Planned) -> Iterator[str]:
    rows = plan.prepared.rows
    if rows.test:
        yield f"{len(rows.test)} test rows tell the arms apart"
    if plan.wish.margin == 0:
        yield "note: with a margin of 0 no arm can be shown as good as the best on dev, only better: to name a cheaper"
        yield "one, give `choose.margin` the loss that you would accept for it"
    if plan.taking.probe:
        few = f"; it takes {FEWEST} or more to show a loss below two points" if plan.taking.probe < FEWEST else ""
        yield f"probe: {plan.taking.probe} rows of another task, asked before and after tuning{few}"
