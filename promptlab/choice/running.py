"""An arm's runs: its space mined, its pick asked again with the models of other tuning seeds and on the probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TypeAlias

from promptlab import capabilities
from promptlab.choice.arm import Arm
from promptlab.choice.arms import alone, is_tuned, siblings
from promptlab.choice.collect import collect, picked
from promptlab.choice.overridden import overridden
from promptlab.choice.planned import Planned
from promptlab.choice.probing import lost, probing
from promptlab.choice.reads import mark
from promptlab.choice.shutdown import shutdown
from promptlab.endpoint.cards import Cards
from promptlab.finished import Run
from promptlab.folder import ARM, project_of
from promptlab.prepare import Prepared, prepare
from promptlab.run import mine
from promptlab.session import Watch

Watched: TypeAlias = Callable[[str, Prepared], AbstractContextManager[Watch | None]]
"""Looks on while an arm is mined."""


def unwatched(arm: str, prepared: Prepared) -> AbstractContextManager[None]:
    """Nobody looks on."""
    del arm, prepared
    return nullcontext()


def mined(arm: str, prepared: Prepared, watched: Watched, *, fresh: bool = False) -> Run:
    """One run of an arm, gone on with where it was begun."""
    with watched(arm, prepared) as watch:
        run = mine(prepared, watch, fresh=fresh)
    if not (run.folder / ARM).exists():
        mark(run.folder, "", arm)
    return run


def runs(arm: str, prepared: Prepared, watched: Watched, *, fresh: bool = False) -> tuple[Run, ...]:
    """The arm mined, and its pick with the model of every other tuning seed."""
    first = mined(arm, prepared, watched, fresh=fresh)
    others = _other_seeds(first).items()
    return (first, *(mined(f"{arm} ({name})", each, watched, fresh=fresh) for name, each in others))


def collected(name: str, done: Sequence[Run], plan: Planned, watched: Watched, listed: Cards) -> Arm:
    """The arm; a tuned one with what tuning took, and what it lost on the probe. ``listed``: what endpoints say."""
    experiment = done[0].prepared.experiment
    examined = capabilities.of(experiment, project_of(experiment.path))
    model = done[0].findings.task.models[picked(done[0]).slots["model"]]
    ends = shutdown(model.id, examined, listed)
    arm = collect(name, done, plan.tuned.paid(model.name, plan.wish.label_usd), ends)
    if plan.wish.probe is None or not arm.tuned:
        return arm
    probe = prepare(probing(plan.prepared, model, plan.wish.probe, plan.probing))
    return replace(arm, off_task=lost(mined(f"probe of {name}", probe, watched)))


def _other_seeds(first: Run) -> dict[str, Prepared]:
    """The pick of a tuned arm with the models of the other tuning seeds, by their names."""
    variant, names = picked(first), [model.name for model in first.prepared.experiment.models]
    model = str(variant.slots["model"])
    others = [name for name in siblings(model, names) if name != model] if is_tuned(model) else []
    made = {name: alone(first.prepared, {**variant.slots, "model": name}) for name in others}
    return {name: overridden(first.prepared, overrides) for name, overrides in made.items() if overrides}
