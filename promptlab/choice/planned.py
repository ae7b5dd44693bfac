"""The arms of an experiment, planned: who can be had, within which share of the budget, what is trained first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from promptlab.choice import budget
from promptlab.choice.arms import Plan, is_tuned, plans
from promptlab.choice.needs import Taking
from promptlab.choice.overridden import overridden
from promptlab.choice.probing import check as check_probe
from promptlab.choice.probing import rows as probe_rows
from promptlab.choice.scale import check_scale
from promptlab.choice.training import Training, check_price, lacking, of
from promptlab.choice.tuned import TunedModels, tuned_models
from promptlab.errors import BadInput
from promptlab.experiment.choose import Choose
from promptlab.meter import cap_of
from promptlab.prepare import Prepared
from promptlab.records import Budget
from promptlab.reserve import check_reserve, reserve
from promptlab.tune.settings import TuneSettings

NOBODY: Mapping[str, str] = {}


@dataclass(frozen=True)
class Planned:
    """The arms, ready to be mined within their shares; those that wait for ``training``; those that are left out.

    ``shares`` has the arms that wait, too: nobody's share depends on whether a training comes off. ``usd``: what all
    calls may cost at list price; None where a price lacks.
    """

    prepared: Prepared
    wish: Choose
    arms: Mapping[str, Prepared]
    left_out: tuple[Plan, ...]
    tuned: TunedModels
    training: Training
    shares: budget.Shares
    taking: Taking
    usd: float | None = None

    @property
    def answering(self) -> list[str]:
        """The models of tuned arms by name, those to come among them."""
        here = [model.name for model in self.prepared.experiment.models if is_tuned(model.name)]
        return list(dict.fromkeys([*here, *self.tuned.names, *(job.name for job in self.tuned.jobs)]))

    @property
    def probing(self) -> Budget:
        """What the off-task probe of one arm may take."""
        whole, parts = self.prepared.experiment.search.budget, self.taking.runs
        tokens = None if whole.tokens is None else max(1, whole.tokens // parts)
        return Budget(2 * self.taking.probe, tokens, None if whole.usd is None else whole.usd / parts)


def planned(prepared: Prepared, wish: Choose, untrained: Mapping[str, str] = NOBODY) -> Planned:
    """The arms of a prepared experiment; those of ``untrained`` are left out, for the reason that it gives.

    Raises BadInput where there are fewer than two, no test rows, a margin of another scale, or a probe without rows.
    """
    experiment = prepared.experiment
    _check_test(prepared)
    check_scale(experiment, wish)
    wants = any("tuned" in name for name in wish.arms)
    tuned = tuned_models(prepared) if wants else TunedModels(TuneSettings())
    vain = _vain(prepared, tuned, wish)
    training = lacking(prepared, tuned, [arm for arm in wish.arms if arm not in vain])
    check_price(prepared, training)
    why = {**dict.fromkeys(training.arms, ""), **untrained, **vain}
    every = [
        Plan(plan.arm, (), why[plan.arm]) if plan.arm in why else plan for plan in plans(prepared, wish.arms, tuned)
    ]
    left_out = tuple(plan for plan in every if plan.left_out)
    possible = [plan for plan in every if not plan.left_out]
    if len(possible) < 2:
        raise _alone(prepared, left_out, len(possible))
    made = {plan.arm: overridden(prepared, plan.overrides) for plan in possible if plan.arm not in training.arms}
    taking = Taking(prepared, tuned, made, training.arms, probe_rows(wish.probe) if wish.probe and wants else 0)
    needs = taking.needs()
    calls = {name: need.calls for name, need in needs.items()}
    shares = budget.shared(calls, taking.aside(), experiment.search.budget.calls)
    arms = {name: _within(each, shares.given[name], taking.runs) for name, each in made.items()}
    for name, each in arms.items():
        _check_share(name, each, shares)
    if untrained:
        training = replace(training, jobs=(), arms=(), external=False)
    made_ready = Planned(prepared, wish, arms, left_out, tuned, training, shares, taking, taking.usd(needs))
    if wish.probe is not None and taking.probe:
        check_probe(prepared, made_ready.answering, wish.probe, made_ready.probing)
    return made_ready


def _vain(prepared: Prepared, tuned: TunedModels, wish: Choose) -> dict[str, str]:
    """The arms that a model to come would not make, either, and why: as its base cannot be asked in that way."""
    found = {}
    for arm in wish.arms:
        if "tuned" in arm and of(tuned.missing, arm) and tuned.taught(arm) is None:
            [alike] = plans(prepared, ["rag" if "rag" in arm else "prompt"])
            found[arm] = alike.left_out
    return {arm: why for arm, why in found.items() if why}


def _within(arm: Prepared, calls: float | None, parts: int) -> Prepared:
    """The arm with its share of the calls, and of what else is capped one part in so many."""
    share = budget.overrides(arm.experiment.search.budget, calls, parts)
    return overridden(arm, share) if share else arm


def _check_share(name: str, arm: Prepared, shares: budget.Shares) -> None:
    """BadInput where an arm's share does not even pay for its test."""
    capped = cap_of(arm.experiment.search.budget)
    try:
        check_reserve(arm, reserve(arm.task, arm.rows.test, arm.experiment.search.repeats, capped)(arm.start()))
    except BadInput as error:
        many, told = len(shares.needs), error.problems[0].message
        what = f"{many} arms share the budget, and the part of {name} is too small: {told}"
        enough = "" if shares.given[name] is None else f"{shares.enough:,} calls are enough for all. "
        remedy = f"{enough}Raise search.budget, or ask for fewer arms (`choose.arms`)."
        raise BadInput(arm.experiment.problem(("search", "budget"), what, remedy)) from None


def _check_test(prepared: Prepared) -> None:
    """Without test rows nothing can be chosen; where the experiment leaves the split open, arms get one."""
    experiment = prepared.experiment
    if not prepared.rows.test and not (experiment.fixed and prepared.test):
        remedy = "Give `data.split` a share for test."
        raise BadInput(experiment.problem(("data", "split"), "a choice needs test rows, and there are none", remedy))


def _alone(prepared: Prepared, left_out: tuple[Plan, ...], many: int) -> BadInput:
    told = "; ".join(f"{plan.arm}: {plan.left_out}" for plan in left_out)
    what = f"a choice needs two arms at least, and the experiment has {many} of those asked for"
    remedy = f"Left out: {told}." if told else "Ask for more arms."
    return BadInput(prepared.experiment.problem(("choose",), what, remedy))
