"""Tuned models that nobody would ask as they were taught: found before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from promptlab.errors import Problem
from promptlab.experiment import Experiment
from promptlab.records import Variant
from promptlab.space import Space, pinned
from promptlab.tune.skew import Skews, Taught, shown

TRIED = 300  # points of a space that are looked at for one that asks a model as it was taught


def check_skew(experiment: Experiment, space: Space, baseline: Variant, skews: Skews) -> list[Problem]:
    """Where the baseline, or every variant of the space, asks a tuned model otherwise than it was taught."""
    problems: list[Problem] = []
    asked = [str(name) for slot in space.slots if slot.name == "model" for name in slot.values]
    wrong = skews.of(baseline)
    if wrong:
        name = str(baseline.slots["model"])
        what = f"the baseline asks {name} otherwise than it was taught: {wrong}"
        edited = shown(baseline.slots) == skews.taught[name].slots
        remedy = _remedy(experiment, skews.taught[name], "" if edited else "baseline")
        problems.append(experiment.problem(("baseline",), what, remedy))
    for name in asked:
        if name not in skews.taught or (baseline.slots["model"] == name and not problems):
            continue
        why, edited = _why(space, name, skews)
        if why:
            what = f"no variant of the space asks {name} as it was taught: {why}"
            remedy = _remedy(experiment, skews.taught[name], "" if edited else "space")
            problems.append(experiment.problem(("models",), what, remedy))
    return problems


def unchecked(skews: Skews) -> list[str]:
    """What to tell of tuned models of which nobody knows what they were taught."""
    names = ", ".join(skews.unknown)
    told = f"what {names} was taught is not known here: whether it is asked as it was trained is not checked."
    return [told] if skews.unknown else []


def _why(space: Space, name: str, skews: Skews) -> tuple[str, bool]:
    """Why a variant of a model is skewed where every one is, or every one that is looked at; else empty.

    And whether the taught slots are there, so that what they stand for was edited since.
    """
    why, slots, edited = "", skews.taught[name].slots, False
    for variant in _variants(space, name, skews.taught[name]):
        told = skews.of(variant)
        if not told:
            return "", False
        if shown(variant.slots) == slots:
            why, edited = told, True
        why = why or told
    return why, edited


def _variants(space: Space, name: str, taught: Taught) -> Iterator[Variant]:
    """The taught slots where the space has them, then a spread of its points; all with this model."""
    own = replace(space, slots=pinned(space.slots, {name: [value] for name, value in taught.slots.items()}))
    for each in (own, space):
        mine = replace(each, slots=pinned(each.slots, {"model": [name]}))
        step = max(1, mine.size // TRIED)
        points = (mine.point(number) for number in islice(range(0, mine.size, step), TRIED))
        yield from (space.variant(point, "skew") for point in points if not space.excluded(point))


def _remedy(experiment: Experiment, taught: Taught, key: str) -> str:
    """What to do: ask as was taught, or teach what is asked. Without a ``key``, what was taught was edited since."""
    again = f"promptlab tune {experiment.path}"
    if not key:
        return f"Template, labels or corpus were edited since: undo that, or train it on what stands there now: {again}"
    slots = _spelt(taught.slots)
    return f"It was taught {slots}: say so in `{key}`, or train it on what is asked (`tune.variant`): {again}"


def _spelt(slots: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in slots.items()) + "}"
