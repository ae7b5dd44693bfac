"""The space: slots times values, conditional slots as a tree, points by number; nothing is ever materialised."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from promptlab.records import Method, Slot, Variant
from promptlab.rewritten import Rewritten

METHODS: Mapping[tuple[bool, bool], Method] = {
    (False, False): "prompting", (True, False): "rag", (False, True): "fine-tuning", (True, True): "rag+fine-tuning",
}  # fmt: skip
"""By whether passages are shown, and whether the model was tuned."""


@dataclass(frozen=True)
class Space:
    """Every slot of an experiment, pins applied, and the holes (``exclude``) in it.

    A slot is active only where its ``when`` holds; slots of one name may stand under different conditions.
    Points are numbered 0 … size-1 (holes included in the numbering, skipped when read).
    """

    slots: tuple[Slot, ...]
    exclude: tuple[Mapping[str, Any], ...] = ()
    contents: Mapping[tuple[str, Any], str] = field(default_factory=dict)  # (slot, value) -> hash of the file it names
    context: str = ""  # hash of what every variant shares: labels, fixed parameters
    bank: str = ""  # hash of the demo bank: enters where demos are shown
    retrieving: frozenset[Any] = frozenset()  # templates that read passages
    tuned: frozenset[Any] = frozenset()  # models that were fine-tuned

    def variant(self, values: Mapping[str, Any], origin: str, parents: Sequence[str] = ()) -> Variant:
        """The variant at these slot values; its id hashes what is asked, files by content."""
        asked = {name: self._asked(name, value) for name, value in values.items()}
        bank = self.bank if values.get("bank.k") else ""
        text = json.dumps([self.context, bank, asked], sort_keys=True, default=str)
        shows = values.get("template") in self.retrieving and values.get("retrieval.retriever") != "none"
        method = METHODS[shows, values.get("model") in self.tuned]
        return Variant(
            "v" + hashlib.sha256(text.encode()).hexdigest()[:8], dict(values), origin, tuple(parents), method
        )

    def _asked(self, name: str, value: Any) -> Any:
        """What a value asks for: a file's content, a rewritten text around what its option holds beside text."""
        if isinstance(value, Rewritten):
            return [str(value), value.option]
        return self.contents.get((name, value), value)

    def open_slots(self, variant: Variant) -> tuple[Slot, ...]:
        """The slots of a variant that may be rewritten."""
        return tuple(slot for slot in self.active(variant.slots) if slot.open and slot.texts)

    def text(self, variant: Variant, slot: str) -> str:
        """The present text of an open slot: its option's or a rewritten one, tokens in it. KeyError: no such slot."""
        value = variant.slots[slot]
        return str(value) if isinstance(value, Rewritten) else self._option(variant, slot)[1]

    def rewritten(
        self, variant: Variant, slot: str, text: str, origin: str, parents: Sequence[str] = ()
    ) -> Variant | None:
        """The variant with another text in one open slot; None where it cannot stand there.

        It cannot if it is empty, lacks one of the tokens or has one twice, or holds half a character.
        White space around the text is the template's. The option's own text is the option. KeyError: no such slot.
        """
        option, own = self._option(variant, slot)
        text = text.replace("\r\n", "\n").strip()
        if not text or _half(text) or sorted(TOKEN.findall(text)) != sorted(TOKEN.findall(own)):
            return None
        value = option if text == own else Rewritten(text, option)
        return self.variant({**variant.slots, slot: value}, origin, parents)

    def _option(self, variant: Variant, slot: str) -> tuple[str, str]:
        """The option of an open slot that a variant has, or that its text is rewritten from; and the option's text."""
        option = taken(variant.slots[slot])
        texts = {each.name: dict(zip(each.values, each.texts, strict=True)) for each in self.open_slots(variant)}
        return option, texts[slot][option]

    @cached_property
    def _roots(self) -> tuple[_Node, ...]:
        return _children(self.slots, ())

    @property
    def size(self) -> int:
        """The number of points, holes counted in: an exact product, however large."""
        return math.prod(node.count for node in self._roots)

    def point(self, number: int) -> dict[str, Any]:
        """The slot values of one point, in the order of the slots; inactive slots are absent."""
        if not 0 <= number < self.size:
            raise IndexError(number)
        values: dict[str, Any] = {}
        _read(self._roots, number, values)
        return {name: values[name] for name in self.names() if name in values}

    def points(self) -> Iterator[dict[str, Any]]:
        """Every point that is not in a hole."""
        for number in range(self.size):
            point = self.point(number)
            if not self.excluded(point):
                yield point

    def excluded(self, values: Mapping[str, Any]) -> bool:
        """Whether a point lies in a hole."""
        return any(all(taken(values.get(k, _ABSENT)) == v for k, v in hole.items()) for hole in self.exclude)

    def active(self, values: Mapping[str, Any]) -> list[Slot]:
        """The slots that exist at these values."""
        return [slot for slot in self.slots if all(taken(values.get(name, _ABSENT)) in ok for name, ok in slot.when)]

    def holds(self, variant: Variant) -> bool:
        """Whether a variant is a point of the space as it is pinned: a value of every slot that is active there."""
        active = self.active(variant.slots)
        inside = all(any(s.name == name and value in s.values for s in active) for name, value in variant.slots.items())
        return inside and not self.excluded(variant.slots)

    def names(self) -> tuple[str, ...]:
        """The names of all slots, each once, in order."""
        return self._names

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(slot.name for slot in self.slots))


TOKEN = re.compile("⟦[0-9]+⟧")
_ABSENT = object()


def _half(text: str) -> bool:
    """Whether a text holds half a character, which no request can carry."""
    return any("\ud800" <= each <= "\udfff" for each in text)


def taken(value: Any) -> Any:
    """The option that a slot's value stands for: a rewritten text is its option, in all but the words."""
    return value.option if isinstance(value, Rewritten) else value


@dataclass(frozen=True, slots=True)
class _Node:
    slot: Slot
    children: tuple[tuple[_Node, ...], ...]  # one tuple per value
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        return sum(self.counts)


def _children(slots: Sequence[Slot], path: tuple[tuple[str, Any], ...]) -> tuple[_Node, ...]:
    """The slots whose conditions all lie on ``path`` (pairs of slot and value) and whose last one ends it."""
    return tuple(_node(slots, slot, path) for slot in slots if _hangs_here(slot, path))


def _hangs_here(slot: Slot, path: tuple[tuple[str, Any], ...]) -> bool:
    if not slot.when:
        return not path
    if not path or slot.when[-1][0] != path[-1][0] or slot.name in dict(path):
        return False
    taken = dict(path)
    return all(taken.get(name, _ABSENT) in values for name, values in slot.when)


def _node(slots: Sequence[Slot], slot: Slot, path: tuple[tuple[str, Any], ...]) -> _Node:
    children = tuple(_children(slots, (*path, (slot.name, value))) for value in slot.values)
    return _Node(slot, children, tuple(math.prod(node.count for node in below) for below in children))


def _read(nodes: Sequence[_Node], number: int, values: dict[str, Any]) -> None:
    for node in reversed(nodes):  # the last slot turns fastest, as people write grids
        number, place = divmod(number, node.count)
        for value, below, count in zip(node.slot.values, node.children, node.counts, strict=True):
            if place < count:
                values[node.slot.name] = value
                _read(below, place, values)
                break
            place -= count


def pinned(slots: Sequence[Slot], pins: Mapping[str, Sequence[Any]]) -> tuple[Slot, ...]:
    """The slots with only the pinned values left; a pinned value that a slot does not have is ignored there."""
    out = []
    for slot in slots:
        kept = [place for place, value in enumerate(slot.values) if value in pins.get(slot.name, slot.values)]
        kept = kept or list(range(len(slot.values)))
        values = tuple(slot.values[place] for place in kept)
        out.append(replace(slot, values=values, texts=tuple(slot.texts[place] for place in kept if slot.texts)))
    return tuple(out)
