"""Naming one variant or one row of an experiment, as people do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.prepare import Prepared
from promptlab.records import Example, Variant


def find_row(prepared: Prepared, row: str) -> Example:
    """The row with this id, or this 1-based number in its file. Raises BadInput with the nearest id."""
    examples = prepared.rows.all
    for example in examples:
        if example.id == row:
            return example
    if row.isdecimal():
        for example in examples:
            if example.row == int(row):
                return example
    ids = [example.id for example in examples]
    raise BadInput(Problem(f"there is no row {row!r}", remedy=f"{nearest(row, ids)} Rows: 1 to {len(ids)}."))


def find_variant(prepared: Prepared, words: str) -> Variant:
    """The variant with this id, or the baseline with some slots set otherwise (``slot=value,…``).

    Raises BadInput for slots and values that do not exist, all at once.
    """
    if not words.strip():
        return prepared.baseline
    if "=" not in words:
        return _by_id(prepared, words.strip())
    pairs = (pair.partition("=") for pair in re.split(r",(?=[^,=]*=)", words))  # a value may hold commas
    wanted = {name.strip(): value.strip() for name, _, value in pairs}
    values, problems = _values(prepared, wanted)
    if problems:
        raise BadInput(problems)
    return prepared.space.variant(values, "asked")


def _by_id(prepared: Prepared, name: str) -> Variant:
    if name == prepared.baseline.id:
        return prepared.baseline
    for place, values in enumerate(prepared.space.points()):
        variant = prepared.space.variant(values, "asked")
        if variant.id == name:
            return variant
        if place > 100_000:
            break
    remedy = "Copy an id from results.csv, or name slots: --variant 'bank.k=4'."
    raise BadInput(Problem(f"there is no variant {name!r}", remedy=remedy))


def _values(prepared: Prepared, wanted: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    space = prepared.space
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    known = {name: [v for slot in space.slots if slot.name == name for v in slot.values] for name in space.names()}
    for name, text in wanted.items():
        if name not in known:
            problems.append(Problem(f"there is no slot `{name}`", remedy=nearest(name, known)))
        elif text not in map(str, known[name]):
            what = f"the slot `{name}` has no value {text!r}"
            problems.append(Problem(what, remedy=nearest(text, map(str, known[name]))))
    if problems:
        return {}, problems
    for slot in sorted(space.slots, key=lambda each: len(each.when)):
        if not all(values.get(name) in allowed for name, allowed in slot.when):
            continue
        base = prepared.baseline.slots.get(slot.name)
        default = base if base in slot.values else slot.values[0]
        values[slot.name] = next((v for v in slot.values if str(v) == wanted.get(slot.name)), default)
    idle = [name for name in wanted if str(values.get(name)) != wanted[name]]
    problems = [
        Problem(f"the slot `{name}` does not exist at these values", remedy="Set its condition, too.") for name in idle
    ]
    return {name: values[name] for name in space.names() if name in values}, problems
