"""The same instruction in other words: there and back by another language, or said another way.

Source: LPAQA (Jiang et al., TACL 2020), which makes variants of a prompt by translating it there and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from promptlab.proposers.meta import instruction
from promptlab.proposers.rewrite import MOST, Job, parents, rewritten, spot, whole
from promptlab.records import Flow, Variant
from promptlab.view import View

LANGUAGES = ("German", "Japanese", "Spanish", "Arabic", "Finnish")
WAYS = (
    "in plainer words",
    "more exactly",
    "in as few words as possible",
    "as clear steps",
    "as a colleague would explain it",
)


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """Rewords the best ``parents`` variants, every other one by way of a ``language``; ``most`` calls a round."""

    languages: tuple[str, ...] = LANGUAGES
    ways: tuple[str, ...] = WAYS
    parents: int = 4
    most: int = MOST
    needs_open: ClassVar[bool] = True
    needs_meta: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """ValueError for an option out of its range."""
        whole(self)

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant | None, ...]]:
        """At most ``n`` new wordings."""
        best = parents(view, rng)[: self.parents]
        count = min(n, self.most) if best else 0
        jobs = []
        for place in range(count):
            at = spot(view, best[place % len(best)], rng)
            jobs.append(Job(at, f"{instruction(at.text)}\n\n{self._wish(place, rng)}"))
        return (yield from rewritten("paraphrase", view, jobs, rng))

    def _wish(self, place: int, rng: np.random.Generator) -> str:
        if self.languages and (place % 2 == 0 or not self.ways):
            language = self.languages[int(rng.integers(len(self.languages)))]
            return (
                f"Say this instruction in other words, there and back: first translate it into {language}, then "
                "translate what you wrote into the instruction's own language, as if you had never seen the original."
            )
        way = self.ways[int(rng.integers(len(self.ways)))] if self.ways else "another way"
        return f"Say this instruction in other words, {way}. It must still ask for the same."
