"""The space of an experiment: what models, templates, bank and parameters leave open, pins and holes applied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptlab.bank import Bank
from promptlab.errors import BadInput, Problem, nearest
from promptlab.experiment import Experiment
from promptlab.records import Slot, Variant
from promptlab.retrieve import settings as retrieval
from promptlab.retrieve.library import Library
from promptlab.space import Space, pinned
from promptlab.template import Template

_EMPTY: Mapping[str, tuple[Any, ...]] = {"bank.k": (0,), "retrieval.retriever": (retrieval.NONE,)}
"""What a baseline has of a slot that it does not name, where the slot has it: a prompt without demos or passages."""

When = tuple[tuple[str, tuple[Any, ...]], ...]


def build(
    experiment: Experiment,
    templates: Mapping[str, Template],
    bank: Bank | None,
    labels: Sequence[Any],
    library: Library | None = None,
) -> Space:
    """The space, every variant of it with an id by content. Raises BadInput for pins and holes that fit no slot."""
    slots = tuple(_slots(experiment, templates, bank))
    problems = _unknown(experiment, slots)
    if problems:
        raise BadInput(problems)
    return Space(
        slots=pinned(slots, experiment.space_pins),
        exclude=experiment.exclude,
        contents=_contents(experiment, templates) | (library.contents() if library else {}),
        context=_digest([[(str(label), getattr(label, "description", "")) for label in labels], fixed(experiment)]),
        bank=bank.hash if bank else "",
        retrieving=frozenset(name for name, each in templates.items() if "passages" in each.uses),
        tuned=frozenset(model.name for model in experiment.models if model.recipe),
    )


def fixed(experiment: Experiment) -> dict[str, Any]:
    """The parameters that have one value: sent with every request, no slot."""
    return {name: values[0] for name, values in experiment.params.items() if len(values) == 1}


def _slots(experiment: Experiment, templates: Mapping[str, Template], bank: Bank | None) -> Iterable[Slot]:
    yield Slot("model", "choice", tuple(model.name for model in experiment.models))
    yield Slot("template", "choice", tuple(templates))
    for name, template in templates.items():
        for slot in template.slots:
            yield replace(slot, when=(("template", (name,)), *slot.when))
    showing = tuple(name for name, each in templates.items() if "demos" in each.uses)
    if bank is not None and experiment.bank is not None and showing:
        yield from _bank_slots(experiment, (("template", showing),))
    if experiment.retrieval is not None:
        reading = tuple(name for name, each in templates.items() if "passages" in each.uses)
        yield from retrieval.slots(experiment.retrieval, reading)
    for name, values in experiment.params.items():
        if len(values) > 1:
            yield Slot(f"params.{name}", "number", values)


def _bank_slots(experiment: Experiment, when: When) -> Iterable[Slot]:
    spec = experiment.bank
    if spec is None:
        return
    yield Slot("bank.k", "demos", spec.k, when)
    some = tuple(k for k in spec.k if k > 0)
    if not some:
        return
    when = (*when, ("bank.k", some))
    yield Slot("bank.select", "choice", spec.select, when)
    drawn = tuple(each for each in spec.select if each != "nearest")
    if drawn:
        yield Slot("bank.seed", "number", spec.seeds, (*when, ("bank.select", drawn)))
    several = tuple(k for k in some if k > 1)
    if several:
        yield Slot("bank.order", "choice", spec.order, (*when[:-1], ("bank.k", several)))


def _contents(experiment: Experiment, templates: Mapping[str, Template]) -> dict[tuple[str, Any], str]:
    found: dict[tuple[str, Any], str] = {("template", name): each.hash for name, each in templates.items()}
    for model in experiment.models:
        found["model", model.name] = _digest([model.endpoint.identity, model.identity, sorted(model.params.items())])
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _unknown(experiment: Experiment, slots: Sequence[Slot]) -> list[Problem]:
    """Pins, holes and baseline that name no slot, or a value that the slot does not have."""
    values: dict[str, list[Any]] = {}
    for slot in slots:
        values.setdefault(slot.name, []).extend(v for v in slot.values if v not in values.get(slot.name, []))
    asked: list[tuple[tuple[str | int, ...], str, Any]] = []
    asked += ((("space", name), name, value) for name, pins in experiment.space_pins.items() for value in pins)
    for place, hole in enumerate(experiment.exclude):
        asked += ((("space", "exclude", place, name), name, value) for name, value in hole.items())
    asked += ((("baseline", name), name, value) for name, value in (experiment.baseline or {}).items())
    problems = []
    for key, name, value in asked:
        where = "baseline" if key[0] == "baseline" else "space"
        if name not in values:
            problems.append(experiment.problem(key, f"`{where}`: there is no slot `{name}`", nearest(name, values)))
        elif value not in values[name]:
            what = f"`{where}`: the slot `{name}` has no value {value!r}"
            problems.append(experiment.problem(key, what, nearest(str(value), map(str, values[name]))))
    return list(dict.fromkeys(problems))


def baseline(experiment: Experiment, space: Space, templates: Mapping[str, Template]) -> Variant:
    """The baseline: the named values, and the first value of every slot that is left out.

    Without demos where 0 is a value of ``bank.k``, and without passages where ``none`` is a retriever.
    """
    given = dict(experiment.baseline or {})
    values: dict[str, Any] = {}
    for slot in sorted(space.slots, key=lambda each: len(each.when)):
        if not all(values.get(name) in ok for name, ok in slot.when):
            continue
        first = next((value for value in _EMPTY.get(slot.name, ()) if value in slot.values), slot.values[0])
        wanted = given.get(slot.name, first)
        values[slot.name] = wanted
        template = templates.get(str(values.get("template")))
        own = next((s for s in template.slots if s.name == slot.name), None) if template else None
        if own is not None and wanted not in own.values:
            what = f"`baseline`: `{slot.name}` of the template {values['template']} has no value {wanted!r}"
            remedy = nearest(str(wanted), map(str, own.values))
            raise BadInput(experiment.problem(("baseline", slot.name), what, remedy))
    idle = [name for name in given if name not in values]
    if idle:
        raise BadInput(
            experiment.problem(
                ("baseline", name), f"`baseline`: the slot `{name}` does not exist at these values", "Remove it."
            )
            for name in idle
        )
    ordered = {name: values[name] for name in space.names() if name in values}
    return space.variant(ordered, "baseline")
