"""The slots of a template: choices of the front matter and of tags, and what their names may not be."""

from __future__ import annotations

from collections.abc import Mapping

from promptlab.errors import Problem
from promptlab.records import Slot
from promptlab.template.front import Front
from promptlab.template.parts import SCOPE, Parts

_SPACE = ("model", "template", "bank")
_WORDS = ("and", "else", "if", "in", "is", "not", "or", "loop", "self", "super", "caller", "varargs", "kwargs")
_CONSTANTS = ("true", "false", "none", "True", "False", "None")
TAKEN: Mapping[str, str] = {
    **dict.fromkeys(SCOPE, "always in scope"),
    **dict.fromkeys(_SPACE, "a slot of every experiment"),
    **dict.fromkeys((*_WORDS, *_CONSTANTS), "a word of Jinja"),
}


def slots_of(front: Front, parts: Parts, path: str) -> tuple[tuple[Slot, ...], list[Problem]]:
    """The slots in order, and what is wrong with them."""
    problems: list[Problem] = []
    tags: list[Slot] = []
    for slot, where, line in parts.slots:
        problems += [Problem(what, where, line, "Rename it.") for what in _taken(slot, front)]
        clash = _add(tags, slot)
        if clash:
            remedy = "Give it another name, or declare it once, outside of both."
            problems.append(Problem(clash, where, line, remedy))
    for slot in front.choices:
        line = front.line(slot.name)
        problems += [Problem(what, path, line, "Rename it.") for what in _taken(slot, front)]
        if any(tag.name == slot.name for tag in tags):
            what = f"the choice `{slot.name}` is declared in the front matter and by a tag"
            problems.append(Problem(what, path, line, "Remove one of them."))
        elif slot.name not in parts.reads and not _steers(front, slot.name):
            problems.append(Problem(f"the choice `{slot.name}` is never used", path, line, "Use it, or remove it."))
    return (*front.choices, *tags), problems + _conditional(front, tags, path)


def _taken(slot: Slot, front: Front) -> list[str]:
    what = "an input column" if slot.name in front.inputs else TAKEN.get(slot.name)
    return [f"a choice cannot be called `{slot.name}`: that is {what}"] if what else []


def _steers(front: Front, slot: str) -> bool:
    return isinstance(front.answer, Mapping) and front.answer.get("by") == slot


def _conditional(front: Front, tags: list[Slot], path: str) -> list[Problem]:
    """A parser that depends on a choice needs one that is always made."""
    nested = [slot.name for slot in tags if slot.when and _steers(front, slot.name)]
    what = "`answer.by` needs a choice that is always made, and `{}` stands inside an option"
    return [Problem(what.format(name), path, front.line("answer")) for name in dict.fromkeys(nested)]


def _add(slots: list[Slot], slot: Slot) -> str:
    """Put a slot on the list; the same choice met again (by an include) counts once. Gives what is wrong, if it is.

    The space is a tree, so one name may stand under several conditions only where no two of them can hold at once.
    """
    for place, other in enumerate(slots):
        if other.name != slot.name or _exclusive(other, slot):
            continue
        if other.values != slot.values:
            return f"the choice `{slot.name}` is declared twice with different options"
        if other.texts != slot.texts:  # a rewritten text could stand in one of the places only
            return f"the open choice `{slot.name}` is declared twice with different texts"
        one, two = set(other.when), set(slot.when)
        if not (one <= two or two <= one):
            return f"the choice `{slot.name}` stands under two conditions that can hold at once"
        wider = other if one <= two else slot
        slots[place] = wider
        return ""
    slots.append(slot)
    return ""


def _exclusive(one: Slot, other: Slot) -> bool:
    """Whether two conditions never hold at once: they ask for different values of one choice."""
    wanted = dict(one.when)
    return any(name in wanted and not set(values) & set(wanted[name]) for name, values in other.when)
