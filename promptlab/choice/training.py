"""The models that an arm lacks, trained before any arm is mined; where they cannot be had, that arm is left out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from promptlab.choice.tuned import TunedModels, tuned_models
from promptlab.errors import BadInput, EndpointUnusable, Interrupted
from promptlab.prepare import Prepared
from promptlab.tune.cost import TuneCost
from promptlab.tune.plan import Planned as Job
from promptlab.tune.plan import plan
from promptlab.tune.settings import TuneSettings
from promptlab.tune.trainer import outside
from promptlab.tune.tune import quiet, tune

Tell = Callable[[str, str], None]
"""Hears of progress: (the tuned model's name, a line)."""


@dataclass(frozen=True, slots=True)
class Training:
    """What is to be trained, and the ``arms`` that wait for it.

    ``external``: something is spent or leaves the machine, so that people are asked first.
    """

    settings: TuneSettings
    jobs: tuple[Job, ...] = ()
    arms: tuple[str, ...] = ()
    external: bool = False

    def of(self, arm: str) -> tuple[Job, ...]:
        """The jobs that an arm waits for."""
        return of(self.jobs, arm)


def of(jobs: Sequence[Job], arm: str) -> tuple[Job, ...]:
    """Those that are for an arm: a model that was given may serve in any."""
    return tuple(job for job in jobs if job.arm in (arm, ""))


def lacking(prepared: Prepared, tuned: TunedModels, arms: Sequence[str]) -> Training:
    """What these arms wait for."""
    settings = tuned.settings
    waiting = tuple(arm for arm in arms if "tuned" in arm and of(tuned.missing, arm))
    jobs = tuple(job for job in tuned.missing if any(of([job], arm) for arm in waiting))
    base = prepared.task.models.get(settings.base)
    return Training(settings, jobs, waiting, bool(jobs) and outside(settings.trainer, base))


def check_price(prepared: Prepared, training: Training) -> None:
    """BadInput where dollars are capped and nobody says what the models will cost that are to be trained."""
    search, base = prepared.experiment.search, prepared.task.models.get(training.settings.base)
    free = base is not None and base.endpoint.embedded
    if search.budget.usd is None or not training.jobs or free or training.settings.price.serve is not None:
        return
    what = "`search.budget.usd` needs a price for every model, and the tuned ones have none"
    remedy = "Give tune.price: {input: …, output: …} in US dollars per million tokens."
    raise BadInput(prepared.experiment.problem(("tune", "price"), what, remedy))


def cost(jobs: Sequence[Job]) -> TuneCost:
    """Of all jobs together."""
    total = TuneCost(0, 0.0, exact=True)
    for job in jobs:
        total = total + job.cost
    return total


def command(prepared: Prepared) -> str:
    """What trains the models alone, as it can be pasted."""
    sets = [word for each in prepared.experiment.overrides for word in ("--set", each)]
    return shlex.join(["promptlab", "tune", str(prepared.experiment.path), *sets])


def train(prepared: Prepared, training: Training, tell: Tell = quiet) -> Mapping[str, str]:
    """See every job through, or take it up again. Which arms are without a model all the same, and why.

    Raises BadInput for what the user must mend, Interrupted where the same call goes on later.
    """
    if not training.jobs:
        return {}
    names = {job.name for job in training.jobs}
    laid = plan(prepared, training.settings)
    laid = replace(laid, jobs=tuple(job for job in laid.jobs if job.name in names))
    why = "its training has left no model"
    try:
        tune(prepared, training.settings, yes=True, planned=laid, tell=tell)
    except EndpointUnusable as error:
        why = f"its training failed: {error}"
    except Interrupted as error:
        going = f"The same command goes on; {command(prepared)} --cancel stops what was started."
        raise Interrupted(f"{str(error).split('. ')[0].split('; ')[0]}. {going}", error.exit_code) from None
    return dict.fromkeys(lacking(prepared, tuned_models(prepared), training.arms).arms, why)
