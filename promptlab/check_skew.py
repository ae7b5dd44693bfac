"""Tuned models that nobody would ask as they were taught, or that were taught what they are scored on.

Both are found before anything is spent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from promptlab.errors import Problem
from promptlab.experiment import Experiment
from promptlab.records import Example, Variant
from promptlab.space import Space, pinned
from promptlab.tune.skew import Skews, Taught, shown

TRIED = 300  # points of a space that are looked at for one that asks a model as it was taught
NAMED = 10  # rows of a split that are named


def check_skew(experiment: Experiment, space: Space, baseline: Variant, skews: Skews) -> list[Problem]:
    """Where the baseline, or every variant of the space, asks a tuned model otherwise than it was taught.

    And where a model that is asked was taught rows of dev or test.
    """
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
    return problems + _memorised(experiment, [str(baseline.slots["model"]), *asked], skews)


def _memorised(experiment: Experiment, asked: Sequence[str], skews: Skews) -> list[Problem]:
    """Models that would be scored on what they were taught."""
    remedy = (
        "Such a score is a memory test. Bring back the split that it was trained with (splits.csv, `data.split`), take "
        "it out of `models`, or train it on the train rows that there are now: "
        f"promptlab tune {experiment.path}"
    )
    told = {name: _learnt(skews, name) for name in dict.fromkeys(asked)}
    return [experiment.problem(("models",), f"{name} was taught {said}", remedy) for name, said in told.items() if said]


def _learnt(skews: Skews, name: str) -> str:
    """Which of the rows that it is scored on a model was taught, in words; empty where it was taught none."""
    sizes = {part: len(rows) for part, rows in skews.held.items()}
    found = skews.remembered(name).items()
    return " and ".join(f"{len(rows)} of {sizes[part]} {part} rows ({_numbers(rows)})" for part, rows in found)


def _numbers(rows: Sequence[Example]) -> str:
    """The numbers of the rows in their file, as far as they have any; of many, the first."""
    named = sorted(rows, key=lambda each: (each.row, each.id))[:NAMED]
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return f"row{'s' * (len(rows) > 1)} {', '.join(str(each.row or each.id) for each in named)}{more}"


def check_scored(baseline: Variant, skews: Skews, data: str) -> list[Problem]:
    """The same of one prompt that is scored on one file, for whoever wrote no experiment."""
    name, problems = str(baseline.slots["model"]), []
    wrong, found = skews.of(baseline), [each for part in skews.remembered(name).values() for each in part]
    if wrong:
        remedy = (
            f"It was taught {_spelt(skews.taught[name].slots)}: score that. What `score` cannot say (labels in an "
            "order of their own, retrieval), an experiment with `promptlab mine` can."
        )
        problems.append(Problem(f"{name} is asked otherwise than it was taught: {wrong}", "--model", 0, remedy))
    if found:
        what = f"{name} was taught {len(found)} of {sum(map(len, skews.held.values()))} rows ({_numbers(found)})"
        remedy = "Score it on rows that it has not seen: this would be a memory test."
        problems.append(Problem(what, data, 0, remedy))
    return problems


def unchecked(skews: Skews) -> list[str]:
    """What to tell of tuned models of which nobody knows what they were taught."""
    blind = [name for name in skews.unknown if name not in skews.learned]
    told = {
        "whether it is asked as it was trained is": [name for name in skews.unknown if name in skews.learned],
        "whether it is asked as it was trained, and whether on rows that it was trained on, are": blind,
    }
    return [
        f"what {', '.join(names)} was taught is not known here: {what} not checked."
        for what, names in told.items()
        if names
    ]


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
