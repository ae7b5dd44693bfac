"""The whole space, or a seeded sample of a large one; never materialised."""

from __future__ import annotations

import numpy as np

from promptlab.proposers.random import draw
from promptlab.records import Flow, Variant
from promptlab.view import View


def grid(n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
    """Every point in the order of the slots while they fit into ``n``; otherwise ``n`` points drawn without repeats."""
    yield from ()  # asks no model
    if view.space.size > n:
        return draw(n, view, rng, "grid")
    known = {variant.id for variant in view.variants}
    points = (view.space.variant(values, "grid") for values in view.space.points())
    return tuple(variant for variant in points if variant.id not in known)[:n]
