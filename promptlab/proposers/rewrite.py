"""Open texts to rewrite, and what is known of them: shared by all proposers that write texts.

A *spot* is an open slot of a variant. New variants keep everything else of the variant that they are made from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from promptlab.proposers.meta import answered, ask, system
from promptlab.proposers.random import draw
from promptlab.records import Example, Flow, Message, Slot, Variant
from promptlab.space import TOKEN, taken
from promptlab.view import View

MOST = 24  # texts that one proposer asks for in a round


@dataclass(frozen=True, slots=True)
class Spot:
    """One open slot of one variant, and its present text. ``row``: the variant's in the view, -1 = not in it."""

    variant: Variant
    slot: str
    text: str
    row: int = -1


@dataclass(frozen=True, slots=True)
class Known:
    """A text that was tried, or that the author wrote (score NaN where it was not scored)."""

    text: str
    score: float
    variant: Variant
    row: int = -1


@dataclass(frozen=True, slots=True)
class Job:
    """One question to the meta model: what to rewrite, what to say, who else is a parent."""

    spot: Spot
    words: str
    mates: tuple[str, ...] = ()


def whole(options: Any) -> None:
    """ValueError where an option that counts something is not a whole number from 0 up (``most``: from 1)."""
    for each in fields(options):
        value = getattr(options, each.name)
        least = int(each.name in ("most", "parents", "population", "words"))
        if each.type == "int" and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise ValueError(f"`{each.name}` is {value!r}, not a whole number from {least} up")


def parents(view: View, rng: np.random.Generator) -> list[int | Variant]:
    """Who may be rewritten, best first: rows of live variants with an open slot, else points of the space with one."""
    rows: list[int | Variant] = [v for v in view.ranking() if view.space.open_slots(view.variants[v])]
    return rows or [v for v in draw(32, view, rng, "") if view.space.open_slots(v)]


def spot(view: View, parent: int | Variant, rng: np.random.Generator) -> Spot:
    """One of a parent's open slots, drawn."""
    variant, row = (view.variants[parent], parent) if isinstance(parent, int) else (parent, -1)
    slots = view.space.open_slots(variant)
    slot = slots[int(rng.integers(len(slots)))].name
    return Spot(variant, slot, view.space.text(variant, slot), row)


def scores(view: View) -> list[float]:
    """A score per variant that is fair to compare: the baseline's mean plus the paired difference; NaN where none."""
    first = view.scores[0][~np.isnan(view.scores[0])]
    return [float(first.mean() + delta) if len(first) else math.nan for delta in view.deltas()]


def pool(view: View, at: Spot, told: Sequence[float]) -> list[Known]:
    """The distinct texts that may stand at a spot, best first, then those that nobody scored (the author's options).

    ``told`` are the ``scores`` of the view. A token means something within its own option only: texts of other options
    are there if they hold none.
    """
    found: dict[str, Known] = {}
    for row in sorted(
        range(len(view.variants)), key=lambda v: (math.isnan(told[v]), -told[v] if told[v] == told[v] else 0, v)
    ):
        variant = view.variants[row]
        slots = {slot.name for slot in view.space.open_slots(variant)}
        if at.slot in slots and _fits(taken(variant.slots[at.slot]), view.space.text(variant, at.slot), at):
            text = view.space.text(variant, at.slot)
            found.setdefault(text, Known(text, told[row], variant, row))
    for option, text in _options(view, at):
        if _fits(option, text, at):
            found.setdefault(text, Known(text, math.nan, at.variant))
    return list(found.values())


def _options(view: View, at: Spot) -> list[tuple[str, str]]:
    slot: Slot = next(each for each in view.space.open_slots(at.variant) if each.name == at.slot)
    return list(zip(slot.values, slot.texts, strict=True))


def _fits(option: str, text: str, at: Spot) -> bool:
    return option == taken(at.variant.slots[at.slot]) or not TOKEN.search(text)


def material(view: View) -> tuple[Example, ...]:
    """The labelled rows that may be shown and mined: those of train; without any, the demo bank's."""
    return view.train or (view.bank.demos if view.bank else ())


def some(rows: Sequence[Example], count: int, rng: np.random.Generator) -> list[Example]:
    """At most ``count`` labelled rows in drawn order, one per answer in turn, so that each answer is shown."""
    order = [rows[int(place)] for place in rng.permutation(len(rows)) if rows[int(place)].answers]
    seen: dict[str, int] = {}
    turns = []
    for row in order:
        answer = str(row.answers[0])
        seen[answer] = seen.get(answer, 0) + 1
        turns.append(seen[answer])
    return [order[place] for place in sorted(range(len(order)), key=lambda each: (turns[each], each))[:count]]


def rewritten(
    origin: str, view: View, jobs: Sequence[Job], rng: np.random.Generator
) -> Flow[tuple[Variant | None, ...]]:
    """Ask for every job; the new variants of the answers that can be read, each once, None for a text that lost a mark.

    Raises CallFailed where none can be read.
    """
    number = int(rng.integers(2**32))  # the generator is made of seed, role and round: so is this
    requests = [
        ask(view, (system(job.spot.text), Message("user", job.words)), f"{origin}/{number}/{place}")
        for place, job in enumerate(jobs)
    ]
    texts = yield from answered(requests)
    children = [made(view, job.spot, text, origin, job.mates) for job, text in zip(jobs, texts, strict=True) if text]
    return new(view, children)


def new(view: View, children: Iterable[Variant | None]) -> tuple[Variant | None, ...]:
    """Those that the view does not hold, each once; what could not be made stays, for the door to count."""
    known = {variant.id for variant in view.variants}
    found: list[Variant | None] = []
    for child in children:
        if child is None or child.id not in known:
            found.append(child)
            known.update([child.id] if child else [])
    return tuple(found)


def made(view: View, at: Spot, text: str, origin: str, mates: Sequence[str] = ()) -> Variant | None:
    """The spot's variant with another text; None where the text has not every mark once."""
    own = (at.variant.id,) if at.row >= 0 else ()
    return view.space.rewritten(at.variant, at.slot, text, origin, tuple(dict.fromkeys((*own, *mates))))
