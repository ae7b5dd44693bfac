"""The design block: points drawn uniformly from the space, on the first rows of dev, before any policy spends a call.

What a policy scores is scored because it looked good, so effects of slots cannot be read from it; from this block they
can. Its variants are points of the space, never rewritten texts, and are ordinary variants afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from promptlab.admit import Door, admit
from promptlab.errors import Problem
from promptlab.experiment import Experiment
from promptlab.proposers.random import draw
from promptlab.records import Example, Phase, Variant
from promptlab.space import Space
from promptlab.view import View, block

SPARE = 20  # points drawn in place of those that the door refuses


@dataclass(frozen=True, slots=True)
class Design:
    """Who is scored on which rows before the search begins. The baseline is among ``ids`` where it was drawn.

    ``variants`` are those beside the baseline, ``examples`` the ids of the first rows.
    """

    variants: tuple[Variant, ...]
    ids: frozenset[str]
    examples: tuple[str, ...]

    @property
    def calls(self) -> int:
        """How many cells it has."""
        return len(self.ids) * len(self.examples)

    def phase(self, variant: Variant, example: Example) -> Phase:
        """The phase in which a dev cell is scored."""
        return "design" if variant.id in self.ids and example.id in self.examples else "search"

    def cells(self, view: View) -> tuple[tuple[int, int], ...]:
        """Its cells that were not asked yet, in plan order."""
        rows = [v for v, variant in enumerate(view.variants) if variant.id in self.ids]
        return block({v: range(len(self.examples)) for v in rows}, view.asked)


def drawn(view: View, size: tuple[int, int], rng: np.random.Generator, door: Door) -> Design:
    """A design of ``size`` (variants, rows) at most, for a view that holds the baseline alone."""
    count, rows = size
    points = draw(2 * count + SPARE, replace(view, variants=()), rng, "random")
    base = view.variants[0]
    fit = {each.id for each in admit(view, (each for each in points if each.id != base.id), door).admitted}
    chosen = [each for each in points if each.id in fit or each.id == base.id][:count]
    beside = tuple(each for each in chosen if each.id != base.id)
    return Design(beside, frozenset(each.id for each in chosen), tuple(each.id for each in view.dev[:rows]))


def problems(experiment: Experiment, space: Space, dev: int) -> Iterator[Problem]:
    """What `search.design` asks for and there is not."""
    size = experiment.search.design
    if size is None:
        return
    variants, rows = size
    if variants > space.size:
        what = (
            f"search.design.variants is {variants:,}, and the space has {space.size:,} point{'s' * (space.size != 1)}"
        )
        yield experiment.problem(("search", "design", "variants"), what, f"Write {space.size} or less.")
    if rows > dev:
        what = f"search.design.rows is {rows:,}, and dev has {dev:,} rows"
        yield experiment.problem(("search", "design", "rows"), what, f"Write {dev} or less.")
