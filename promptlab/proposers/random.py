"""Uniform draws from the space, without repeats."""

from __future__ import annotations

import numpy as np

from promptlab.records import Flow, Variant
from promptlab.view import View


def random(n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
    """``n`` points drawn uniformly from what the view does not hold yet."""
    yield from ()  # asks no model
    return draw(n, view, rng, "random")


def draw(n: int, view: View, rng: np.random.Generator, origin: str) -> tuple[Variant, ...]:
    """At most ``n`` new variants at points drawn uniformly; holes and known ones are drawn again, within reason."""
    size = view.space.size
    known = {variant.id for variant in view.variants}
    found: list[Variant] = []
    tried: set[int] = set()
    for _ in range(20 * n + 100):
        if len(found) >= n or len(tried) >= size:
            break
        number = int.from_bytes(rng.bytes(16), "big") % size  # spaces may be larger than an int64
        if number in tried:
            continue
        tried.add(number)
        values = view.space.point(number)
        variant = view.space.variant(values, origin)
        if variant.id not in known and not view.space.excluded(values):
            known.add(variant.id)
            found.append(variant)
    return tuple(found)
