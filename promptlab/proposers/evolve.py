"""Instructions that are crossed and mutated, the better ones more often.

Sources: EvoPrompt (Guo et al., ICLR 2024), its genetic algorithm (``ga``) and its differential evolution (``de``); CAPO
(Zehle et al., 2025) crosses the worked examples together with the instruction and makes long texts pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from promptlab.proposers.meta import instruction
from promptlab.proposers.rewrite import MOST, Job, Known, Spot, parents, pool, rewritten, scores, spot, whole
from promptlab.records import Flow, Variant
from promptlab.view import View


@dataclass(frozen=True, slots=True)
class Evolve:
    """Crosses texts of the best ``population``; with ``demos`` the parents' worked examples, too.

    ``length_penalty`` is taken off the score of the longest text, of the others in proportion, when parents are picked.
    """

    by: Literal["ga", "de"] = "ga"
    population: int = 10
    demos: bool = False
    length_penalty: float = 0.0
    most: int = MOST
    needs_open: ClassVar[bool] = True
    needs_meta: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """ValueError for an option out of its range."""
        whole(self)
        if self.by not in ("ga", "de"):
            raise ValueError(f"`by` is {self.by!r}, not ga or de")
        if self.length_penalty < 0:
            raise ValueError(f"`length_penalty` is {self.length_penalty}, and cannot be below 0")

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant | None, ...]]:
        """At most ``n`` children."""
        able = parents(view, rng)
        jobs, told = [], scores(view)
        for _ in range(min(n, self.most) if able else 0):
            at = spot(view, able[0], rng)
            known = pool(view, at, told)
            alive = [each for each in known if each.row < 0 or view.live[each.row]]
            people = (alive or known)[: self.population]  # all may have fallen since: their words are still there
            jobs.append((self._ga if self.by == "ga" else self._de)(view, at, people, rng))
        return (yield from rewritten("evolve", view, jobs, rng))

    def _ga(self, view: View, at: Spot, people: Sequence[Known], rng: np.random.Generator) -> Job:
        """Two parents by roulette; what is good in both, then a change."""
        chosen = rng.choice(len(people), size=min(2, len(people)), replace=False, p=self._odds(people))
        one, *rest = (people[int(place)] for place in chosen)
        listed = "\n".join(instruction(each.text, each.score) for each in (one, *rest))
        wish = (
            "Cross these two instructions: take from each what it does better, into one. Then change one thing in what "
            "you have, in the hope of a better one."
            if rest
            else "Change one thing in this instruction, in the hope of a better one."
        )
        return self._job(view, at, (one, *rest), f"{listed}\n\n{wish}", rng)

    def _de(self, view: View, at: Spot, people: Sequence[Known], rng: np.random.Generator) -> Job:
        """The parts in which two differ, changed and put into the best, that crossed with the one at hand."""
        if len(people) < 3:
            return self._ga(view, at, people, rng)
        base, left, right = (people[int(place)] for place in rng.choice(len(people), size=3, replace=False))
        best = max(people, key=lambda each: -np.inf if np.isnan(each.score) else each.score)
        shown = [instruction(each.text, each.score) for each in (left, right, best, base)]
        words = "\n".join(f"{name}:\n{text}" for name, text in zip(("A", "B", "Best", "Base"), shown, strict=True))
        wish = (
            "Find what A and B have different from one another, and change these parts. Put the changed parts in place "
            "of what they stand for in Best. Then cross the result with Base into one instruction."
        )
        return self._job(view, at, (base, best, left, right), f"{words}\n\n{wish}", rng)

    def _job(self, view: View, at: Spot, people: Sequence[Known], words: str, rng: np.random.Generator) -> Job:
        """The child has all else of its first parent; with ``demos`` each demo setting of either of the first two."""
        first = people[0]
        made = replace(at, variant=first.variant, text=first.text, row=first.row)
        if self.demos and len(people) > 1:
            made = replace(made, variant=crossed(view, first.variant, people[1].variant, rng), row=-1)
        mates = tuple(each.variant.id for each in people if each.row >= 0)
        return Job(made, words, mates)

    def _odds(self, people: Sequence[Known]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Roulette: in proportion to the score above the worst one's; who was never scored stands in the middle."""
        told = np.array([each.score for each in people])
        told = np.where(np.isnan(told), np.nanmean(told) if (~np.isnan(told)).any() else 0.0, told)
        length = np.array([len(each.text) for each in people], dtype=float)
        told = told - self.length_penalty * length / max(length.max(), 1.0)
        share = told - told.min() + 0.1 * (told.max() - told.min()) + 1e-9
        return np.asarray(share / share.sum())


def crossed(view: View, one: Variant, other: Variant, rng: np.random.Generator) -> Variant:
    """``one`` with other worked examples: each setting (``bank.…``) is one of the two parents' or a drawn one.

    A list of chosen examples is not mixed with another one: the settings are then all of one parent's.
    """
    if any("bank.demos" in each.slots for each in (one, other)):
        giver = (one, other)[int(rng.integers(2))]
        child = {name: value for name, value in one.slots.items() if not name.startswith("bank.")}
        child |= {name: value for name, value in giver.slots.items() if name.startswith("bank.")}
        return one if view.space.excluded(child) else view.space.variant(child, one.origin, one.parents)
    values = {name: value for name, value in one.slots.items() if not name.startswith("bank.")}
    for slot in sorted(view.space.slots, key=lambda each: len(each.when)):
        if slot.name.startswith("bank.") and slot.name not in values and slot in view.space.active(values):
            ways = [each.slots[slot.name] for each in (one, other) if slot.name in each.slots]
            ways.append(slot.values[int(rng.integers(len(slot.values)))])
            values[slot.name] = ways[int(rng.integers(len(ways)))]
    child = {name: values[name] for name in view.space.names() if name in values}
    return one if view.space.excluded(child) else view.space.variant(child, one.origin, one.parents)
