"""The one door for new variants: what is turned away, for which reason, and one example of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from promptlab.errors import BadInput
from promptlab.grams import Grams, repeated
from promptlab.predict import Task
from promptlab.records import Example, Slot, Variant
from promptlab.rewritten import Rewritten
from promptlab.space import TOKEN, Space, taken
from promptlab.tokens import count_messages
from promptlab.view import View

FEW, MORE = 3, 50  # rows on which prompts are compared; those that are equal on the few are compared on more
TIMES, BEYOND = 2, 500  # a rewritten prompt may have so many times the tokens of its original, and so many more

WRITTEN = ("bank.demos", "ensemble")  # values that no slot lists: proposers write them
Refused: TypeAlias = dict[str, dict[str, Any]]
"""Reason -> {"count": how many, "example": one of them in words}."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Who came in, and who was turned away for which reason."""

    admitted: tuple[Variant, ...]
    refused: Refused


@dataclass(frozen=True)
class Door:
    """What the door looks at beside the view: how variants are rendered on ``rows``, and what they may not repeat.

    ``longest``: tokens that a prompt may have; None = some more than what it was rewritten from. ``skew``: how a
    variant asks a tuned model otherwise than it was taught, in words; empty where it does not.
    """

    task: Task
    rows: Sequence[Example]
    secrets: Callable[[], Grams]
    longest: int | None = None
    skew: Callable[[Variant], str] = field(default=lambda _: "", repr=False, compare=False)
    _sent: dict[tuple[str, int], bytes] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def secret(self) -> Grams:
        """The runs of words of dev and test rows."""
        return self.secrets()

    def tokens(self, variant: Variant) -> int:
        """The most tokens that its prompt has on the first rows."""
        prompt = self.task.prompt(variant)
        return max(count_messages(prompt.messages(row), prompt.model.id)[0] for row in self.rows[:FEW])

    def sent(self, variant: Variant, count: int) -> bytes:
        """The hash of what a variant sends on the first rows, and of how the answers are read. Raises BadInput."""
        key = variant.id, count
        if key not in self._sent:
            prompt = self.task.prompt(variant)
            messages = [[(each.role, each.content) for each in prompt.messages(row)] for row in self.rows[:count]]
            # who finds the same passages here may find others elsewhere
            finds = [(name, value) for name, value in variant.slots.items() if name.startswith("retrieval.")]
            told = repr((prompt.model.name, prompt.word, sorted(prompt.params.items(), key=str), messages, finds))
            self._sent[key] = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return self._sent[key]


def admit(view: View, proposed: Iterable[Variant | None], door: Door | None = None) -> Admission:
    """Let in what is new, lies in the space and is fit to be asked; order is kept.

    None stands for a rewritten text that lost the places of an option's nodes. Without a ``door`` nothing is rendered.
    """
    known = {variant.id: variant for variant in view.variants}
    twins = _Twins(door, view.variants) if door else None
    admitted: list[Variant] = []
    refused: Refused = {}
    for variant in proposed:
        reason, why = _objection(view.space, variant, known)
        if not reason and door and variant is not None and (why := door.skew(variant)):
            reason = "skew"
        if not reason and door and variant is not None:
            reason, why = _unfit(view.space, variant, door)
        if not reason and twins and variant is not None:
            reason, why = twins.meet(variant)
        if reason or variant is None:
            who = f"{variant.id} ({variant.origin}): " if variant else ""
            refused.setdefault(reason, {"count": 0, "example": f"{who}{why}"})["count"] += 1
            continue
        known[variant.id] = variant
        admitted.append(variant)
    return Admission(tuple(admitted), refused)


def _objection(space: Space, variant: Variant | None, known: dict[str, Variant]) -> tuple[str, str]:
    """What is wrong with a variant by its slots alone: reason and example."""
    if variant is None:
        return "placeholder", "an open text was proposed that is empty, or has not each mark (⟦1⟧ …) of its option once"
    wrong = _outside(space, variant)
    if wrong or variant.id in known:
        return ("outside", wrong) if wrong else ("duplicate", "it is there already")
    if space.excluded(variant.slots):
        return "excluded", "the experiment excludes it"
    slots = {slot.name: slot for slot in space.open_slots(variant)}
    for name, value in variant.slots.items():
        if not isinstance(value, Rewritten):
            continue
        if name not in slots or value.option not in slots[name].values:
            return "frozen", f"it rewrites `{name}`, which is not open"
        own = dict(zip(slots[name].values, slots[name].texts, strict=True))[value.option]
        if sorted(TOKEN.findall(value)) != sorted(TOKEN.findall(own)):
            return "placeholder", f"the text of `{name}` has not each of {', '.join(TOKEN.findall(own))} once"
    return "", ""


def _outside(space: Space, variant: Variant) -> str:
    """What makes a variant no point of the space, apart from what proposers may write; empty if nothing does."""
    try:
        made = isinstance(variant.slots, Mapping) and variant.id == space.variant(variant.slots, "").id
    except TypeError:  # a value that nothing can be looked up by
        made = False
    if not made:
        return "its id is not that of its slots: make variants by view.space.variant or view.space.rewritten"
    slots: dict[str, list[Slot]] = {}
    for slot in space.active(variant.slots):
        slots.setdefault(slot.name, []).append(slot)
    listed = "bank.demos" in variant.slots  # it says how many, which, in which order
    missing = [name for name in slots if name not in variant.slots and not (listed and name.startswith("bank."))]
    if missing:
        return f"it has no value for `{missing[0]}`"
    for name, value in variant.slots.items():
        if name in WRITTEN or isinstance(value, Rewritten) or (listed and name == "bank.k"):
            continue
        if not any(_may_be(value, slot) for slot in slots.get(name, ())):
            values = ", ".join(str(each) for slot in slots.get(name, ()) for each in slot.values)
            return f"`{name}` is {value!r:.60}, " + (f"none of {values:.120}" if values else "and not open here")
    return ""


def _may_be(value: Any, slot: Slot) -> bool:
    """One of the slot's values, or a number between them."""
    if slot.kind == "number" and isinstance(value, (int, float)):
        numbers = [each for each in slot.values if isinstance(each, (int, float))]
        return value in slot.values or (bool(numbers) and min(numbers) <= value <= max(numbers))
    return value in slot.values


def _unfit(space: Space, variant: Variant, door: Door) -> tuple[str, str]:
    """What is wrong with new texts: broken, leak, long. What the author wrote is the author's."""
    texts = list(_new(space, variant))
    run = next(filter(None, (repeated(text, door.secret) for text in texts)), "") if texts else ""
    if run:
        return "leak", f"it repeats words of a dev or test row: {run!r}"
    if variant.members or not (texts or door.longest):
        return "", ""
    try:
        tokens = door.tokens(variant)
    except BadInput as error:
        return ("broken", str(error.problems[0])) if texts else ("", "")  # else it is told with its row, when asked
    original = space.variant({name: taken(value) for name, value in variant.slots.items()}, "original")
    limit = door.longest or TIMES * door.tokens(original) + BEYOND
    return (
        ("long", f"{tokens:,} tokens; {limit:,} are allowed (search.longest sets it)") if tokens > limit else ("", "")
    )


def _new(space: Space, variant: Variant) -> Iterator[str]:
    """The texts among a variant's values that the experiment's files do not hold."""
    values: dict[str, list[Any]] = {}
    for slot in space.slots:
        values.setdefault(slot.name, []).extend(slot.values)
    for name, value in variant.slots.items():
        if isinstance(value, Rewritten) or value not in values.get(name, ()):
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


class _Twins:
    """Who sends the same as whom, and has it read alike."""

    def __init__(self, door: Door, variants: Iterable[Variant]) -> None:
        self._door = door
        self._known: dict[bytes, list[Variant]] = {}
        for variant in variants:
            self.meet(variant)

    def meet(self, variant: Variant) -> tuple[str, str]:
        """Reason and example where the variant sends what one that came before sends; else it is noted."""
        if variant.members:  # several prompts: what it sends is what they send
            return "", ""
        try:
            alike = self._known.setdefault(self._door.sent(variant, FEW), [])
            for other in alike:
                if self._door.sent(other, MORE) == self._door.sent(variant, MORE):
                    return "duplicate", f"it sends the same as {other.id}"
        except BadInput:  # it cannot be rendered on some row: told when it is asked
            return "", ""
        alike.append(variant)
        return "", ""
