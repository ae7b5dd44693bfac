"""Train what lacks, mine the arms one after the other, each best once on test; then the rule, and what it leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from promptlab.choice.arm import Arm, best_on_dev
from promptlab.choice.chosen import Chosen, home, write
from promptlab.choice.diagnosis import diagnose
from promptlab.choice.going_on import going_on
from promptlab.choice.learning import curves
from promptlab.choice.limits import limits_of
from promptlab.choice.oracle import oracle, seen
from promptlab.choice.planned import Planned, planned
from promptlab.choice.reads import mark, readings
from promptlab.choice.rule import Choice, reference_of, rule
from promptlab.choice.running import Watched, collected, unwatched
from promptlab.choice.running import runs as arm_runs
from promptlab.choice.training import Tell, command, train
from promptlab.endpoint import cards
from promptlab.errors import BadInput, EndpointUnusable
from promptlab.finished import Run
from promptlab.folder import project_of
from promptlab.reads import note_choice
from promptlab.run import runs_of
from promptlab.stats.sample import codes_of
from promptlab.tune.tune import quiet


def choose(plan: Planned, watched: Watched = unwatched, *, fresh: bool = False, yes: bool = False) -> Chosen:
    """Mine every arm or go on with it, choose, and write choice.csv and choice.html (``home`` says where).

    What is known already is never asked or trained again. A training outside of promptlab needs ``yes``: else its arms
    are left out. Raises as ``run.mine`` does.
    """
    plan = trained(plan) if yes or not plan.training.external else untrained(plan)
    runs: dict[str, tuple[Run, ...]] = {}
    for name, arm in plan.arms.items():
        with going_on(name, runs, len(plan.arms)):
            runs[name] = arm_runs(name, arm, watched, fresh=fresh)
    with going_on("", runs, len(plan.arms)):
        return _made(plan, runs, watched)


def untrained(plan: Planned) -> Planned:
    """The plan without the arms that wait for a training. Raises BadInput where fewer than two are left."""
    why = f"its model is not trained yet, and nobody said that it may be: {command(plan.prepared)} --yes"
    return planned(plan.prepared, plan.wish, dict.fromkeys(plan.training.arms, why))


def trained(plan: Planned, tell: Tell = quiet) -> Planned:
    """The plan with the models that it lacked, ``tell`` hears of it; arms whose training comes to nothing are left out.

    Raises EndpointUnusable where fewer than two arms are left, Interrupted where the same call goes on later.
    """
    if not plan.training.jobs:
        return plan
    with going_on("", (), 0):
        failed = train(plan.prepared, plan.training, tell)
    try:
        return planned(plan.prepared, plan.wish, failed)
    except BadInput as error:
        if failed:  # something was spent
            raise EndpointUnusable(str(error)) from None
        raise


def _made(plan: Planned, runs: Mapping[str, tuple[Run, ...]], watched: Watched) -> Chosen:
    """The choice among arms that are mined."""
    listed = cards.asked(model.endpoint for done in runs.values() for model in done[0].prepared.experiment.models)
    found = {name: collected(name, done, plan, watched, listed) for name, done in runs.items()}
    choice = _ruled(plan, found, runs)
    shown = oracle(runs, watched)
    _mark(runs, shown)
    firsts = [done[0] for done in runs.values()]
    drawn = {name: curves(done[0], firsts) for name, done in runs.items()}
    best = best_on_dev(list(found.values())).name
    advice = diagnose(seen(runs, best, shown, drawn[best]), plan.prepared.experiment.seed)
    engines = frozenset(each for done in runs.values() for run in done for each in run.findings.engine.split())
    chosen = Chosen(choice, runs, plan.left_out, tuple(advice), drawn, engines)
    write(chosen, home(plan.prepared), plan.prepared.experiment.name)
    return chosen


def _ruled(plan: Planned, found: Mapping[str, Arm], runs: Mapping[str, Sequence[Run]]) -> Choice:
    """The rule over the arms."""
    experiment, limits = plan.prepared.experiment, limits_of(plan.wish)
    ours = sorted(run.id for done in runs.values() for run in done)
    test = next(iter(runs.values()))[0].findings.test_rows
    return rule(
        list(found.values()),
        reference_of(list(found.values()), limits),
        limits,
        weights=np.array([example.weight for example in test]),
        groups=codes_of([example.group for example in test]),
        seed=experiment.seed,
        reads=readings(project_of(experiment.path), test, ours, runs_of(experiment)),
    )


def _mark(runs: Mapping[str, Sequence[Run]], shown: Run | None) -> None:
    """Say in the runs' folders that they are the choice's, not runs of the experiment as it stands."""
    every = [(name, run) for name, done in runs.items() for run in done]
    ours = hashlib.sha256(" ".join(sorted(run.id for _, run in every)).encode()).hexdigest()[:10]
    for name, run in (*every, *([("oracle", shown)] if shown else [])):
        mark(run.folder, ours, name)
    place = every[0][1].prepared.experiment.path
    note_choice(project_of(place), [run.id for _, run in every], ours)
