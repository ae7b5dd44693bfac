"""Values of a template's slot that send the same prompt: often a misspelt comparison."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from promptlab.errors import BadInput
from promptlab.predict import Task
from promptlab.records import Example, Slot
from promptlab.space import Space

COMPARED_ROWS = 5  # rows on which the values of a slot are compared; what is equal there, on ten times as many


def alike(task: Task, space: Space, dev: Sequence[Example]) -> list[str]:
    """What to tell of values of a template's slot that send the same messages: often a misspelt comparison."""
    kept = next(slot.values for slot in space.slots if slot.name == "template")
    notes = []
    for slot in space.slots:
        if len(slot.when) != 1 or slot.when[0][0] != "template" or "." in slot.name:  # nested, of no template, or bank
            continue
        [name] = slot.when[0][1]
        groups = [list(slot.values)] if name in kept else []
        for given, rows in _settings(space, dev, slot, str(name)):
            parts = [_parted((task, space), given, slot.name, group, rows) for group in groups]
            groups = [part for each in parts for part in each if len(part) > 1]
            if not groups:
                break
        path = task.templates[str(name)].path
        for group in groups:
            *some, last = map(str, group)
            notes.append(f"note: {path}: the values {', '.join(some)} and {last} of `{slot.name}` send the same prompt")
    return notes


def _settings(
    space: Space, dev: Sequence[Example], slot: Slot, template: str
) -> Iterator[tuple[dict[str, Any], Sequence[Example]]]:
    """Where the values of a slot are compared: the other slots at their first values; then each at each other one.

    Only values that are equal at all before come to the next, so that this costs nothing where none are.
    """
    first = {"template": template}
    yield first, dev[:COMPARED_ROWS]
    yield first, dev[COMPARED_ROWS : 10 * COMPARED_ROWS]
    for other in space.slots:
        if other.name != slot.name and other.when and template in other.when[0][1]:
            needs = {name: values[0] for name, values in other.when}
            for value in other.values[1:] if len(other.when) == 1 else other.values:
                yield {**needs, **first, other.name: value}, dev[:COMPARED_ROWS]


def _parted(
    made: tuple[Task, Space], given: Mapping[str, Any], slot: str, values: Sequence[Any], rows: Sequence[Example]
) -> list[list[Any]]:
    """The values of a slot, those together that send the same messages and have them read by the same parser."""
    parts: dict[Hashable, list[Any]] = {}
    task, space = made
    for value in values:
        wanted = {**given, slot: value}
        point: dict[str, Any] = {}
        for each in sorted(space.slots, key=lambda each: len(each.when)):
            if all(point.get(name) in ok for name, ok in each.when):
                point[each.name] = (
                    wanted[each.name] if each.name in wanted and wanted[each.name] in each.values else each.values[0]
                )
        word = task.templates[point["template"]].parser
        read = word[str(value)] if isinstance(word, Mapping) and word["by"] == slot else ""
        prompt = task.prompt(space.variant(point, "try"))
        try:
            sent: Hashable = tuple(prompt.messages(example) for example in rows)
        except BadInput:  # in a hole, perhaps: nothing can be said
            sent = object()
        parts.setdefault((read, sent), []).append(value)
    return list(parts.values())
