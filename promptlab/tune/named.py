"""`tune.variant`: the variants that are taught, as the experiment's file names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptlab import slots
from promptlab.errors import BadInput, Problem, nearest, ordered
from promptlab.prepare import Prepared
from promptlab.records import Variant
from promptlab.space import Space
from promptlab.yaml_file import Key

KEY = "tune.variant"


def named(prepared: Prepared, given: Sequence[Mapping[str, Any]], base: str) -> tuple[Variant, ...]:
    """A variant for each mapping, read like `baseline`. Raises BadInput with all that is wrong with them."""
    known: dict[str, list[Any]] = {}
    for slot in unpinned(prepared).slots:
        known.setdefault(slot.name, []).extend(slot.values)
    problems: list[Problem] = []
    made: list[Variant] = []
    for place, values in enumerate(given):
        key = _key(prepared, place)
        wrong = [found for name, value in values.items() if (found := _wrong(prepared, known, (*key, name), value))]
        problems += wrong
        try:
            made += [] if wrong else [_variant(prepared, values, base)]
        except BadInput as error:
            problems += [_here(prepared, key, each) for each in error.problems]
    ways = ["with" if "rag" in each.method else "without" for each in made]
    if not problems and len(set(ways)) < len(ways):
        what = f"`{KEY}`: both are {ways[0]} passages, and each is for an arm of its own"
        remedy = "Give one a template that reads `passages` and a retriever, the other one neither."
        problems.append(prepared.experiment.problem(("tune", "variant"), what, remedy))
    if problems:
        raise BadInput(ordered(problems))
    return tuple(made)


def unpinned(prepared: Prepared) -> Space:
    """The space of an experiment without pins and holes."""
    bare = replace(prepared.experiment, space_pins={}, exclude=(), baseline=None)
    task = prepared.task
    return slots.build(bare, task.templates, task.bank, task.labels, task.shelf.library if task.shelf else None)


def _key(prepared: Prepared, place: int) -> Key:
    """Where a mapping stands: in the list, or alone under the key."""
    listed: Key = ("tune", "variant", place)
    return listed if any(key[:3] == listed for key in prepared.experiment.places) else listed[:2]


def _wrong(prepared: Prepared, known: Mapping[str, Sequence[Any]], key: Key, value: Any) -> Problem | None:
    """What is wrong with one value; None if nothing is."""
    name, problem = str(key[-1]), prepared.experiment.problem
    if name == "model":
        return problem(key, f"`{KEY}`: the model learns and is not taught", "`tune.base_model` names it.")
    if name.startswith("params."):
        return problem(key, f"`{KEY}`: `{name}` is no part of a prompt", "Remove it.")
    if name not in known:
        names = [each for each in known if each != "model" and not each.startswith("params.")]
        return problem(key, f"`{KEY}`: there is no slot `{name}`", nearest(name, names))
    if value not in known[name]:
        what = f"`{KEY}`: the slot `{name}` has no value {value!r}"
        return problem(key, what, nearest(str(value), map(str, known[name])))
    return None


def _variant(prepared: Prepared, values: Mapping[str, Any], base: str) -> Variant:
    """The slots as a baseline would have them."""
    experiment = replace(prepared.experiment, baseline={**values, "model": base})
    return replace(slots.baseline(experiment, prepared.space, prepared.task.templates), origin="taught")


def _here(prepared: Prepared, key: Key, problem: Problem) -> Problem:
    """What was said of a baseline, said of this key."""
    words = problem.message.replace("`baseline`", f"`{KEY}`", 1)
    return prepared.experiment.problem(key, words, problem.remedy)
