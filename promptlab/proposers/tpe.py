"""Tree-structured Parzen estimators (Bergstra et al. 2011), by optuna's ask and tell.

The study lives for one round: it is made anew from the view, so that nothing but the view and the generator decides.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.proposers.random import draw
from promptlab.records import Flow, Slot, Variant
from promptlab.space import Space
from promptlab.view import View

if TYPE_CHECKING:
    from optuna import Study, Trial

PRIOR = 10  # rows that the baseline's score weighs in every mean: a few lucky rows are not believed
TRIES = 3  # asked per variant that is wanted; what is known already or lies in a hole is asked again


@dataclass(frozen=True)
class Tpe:
    """Draws uniformly until ``startup`` variants were scored on at least ``least`` rows; then asks the estimator.

    ``optuna`` is the version that is installed: another one may ask for other points. ValueError where none is.
    """

    startup: int = 10
    least: int = 8
    optuna: str = field(init=False, default="")

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "optuna", version("optuna"))
        except PackageNotFoundError:
            message = "it needs the package optuna: pip install 'promptlab-workbench[tpe]'"
            raise ValueError(message) from None

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
        """Points that look good beside what was scored; drawn ones where the estimator repeats itself."""
        yield from ()  # asks no model
        found: list[Variant] = []
        seed = int(rng.integers(2**31))
        told = _told(view, self.least)
        if len(told) >= self.startup and n > 0:
            found = _asked(n, view, _study(view.space, told, seed))
        known = {variant.id for variant in found}
        more = draw(n, view, rng, "tpe") if len(found) < n else ()
        return (*found, *(variant for variant in more if variant.id not in known))[:n]


def _told(view: View, least: int) -> list[tuple[Variant, float]]:
    """Variants at points of the space that enough rows tell of: paired mean difference to the baseline, shrunk."""
    deltas = view.deltas()
    rows = (~np.isnan(view.scores - view.scores[0])).sum(axis=1)
    return [
        (variant, float(deltas[v] * rows[v] / (rows[v] + PRIOR)))
        for v, variant in enumerate(view.variants)
        if rows[v] >= least and len(_places(view.space, variant.slots)) == len(variant.slots)
    ]


def _places(space: Space, values: Mapping[str, Any]) -> dict[Slot, int]:
    """The place of each value among its slot's; values that proposers made up have none."""
    return {
        slot: slot.values.index(values[slot.name])
        for slot in space.active(values)
        if values.get(slot.name) in slot.values
    }


def _study(space: Space, told: list[tuple[Variant, float]], seed: int) -> Study:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions call these arguments experimental
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for variant, value in told:
        places = {_name(space, slot): (slot, place) for slot, place in _places(space, variant.slots).items()}
        sets: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(range(len(slot.values))) for name, (slot, _) in places.items()
        }
        params = {name: place for name, (_, place) in places.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=sets, value=value))
    return study


def _name(space: Space, slot: Slot) -> str:
    """Slots of one name under different conditions are different choices."""
    return f"{space.slots.index(slot)} {slot.name}"


def _asked(n: int, view: View, study: Study) -> list[Variant]:
    known = {variant.id for variant in view.variants}
    found: list[Variant] = []
    for _ in range(TRIES * n):
        if len(found) == n:
            break
        values = _point(view.space, study.ask())
        variant = view.space.variant(values, "tpe")
        if variant.id not in known and not view.space.excluded(values):
            known.add(variant.id)
            found.append(variant)
    return found


def _point(space: Space, trial: Trial) -> dict[str, Any]:
    """Slot after slot, those first that others depend on; only those that exist."""
    values: dict[str, Any] = {}
    for slot in sorted(space.slots, key=lambda each: len(each.when)):
        if slot in space.active(values) and slot.name not in values:
            values[slot.name] = slot.values[trial.suggest_categorical(_name(space, slot), range(len(slot.values)))]
    return {name: values[name] for name in space.names() if name in values}
