"""Uniform draws from the space, without repeats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from promptlab.records import Flow, Variant
from promptlab.view import View

NUMBERED = 100_000  # points of a space that is gone through in a drawn order


def random(n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:
    """``n`` points drawn uniformly from what the view does not hold yet."""
    yield from ()  # asks no model
    return draw(n, view, rng, "random")


def draw(n: int, view: View, rng: np.random.Generator, origin: str) -> tuple[Variant, ...]:
    """At most ``n`` new variants at points drawn uniformly, without holes and known ones.

    A space that can be numbered through is: every point that is left is found. In a larger one, points are drawn
    within reason, so that holes cannot keep the search for ever.
    """
    known = {variant.id for variant in view.variants}
    found: list[Variant] = []
    for number in _numbers(view.space.size, 20 * n + 100, rng):
        if len(found) >= n:
            break
        values = view.space.point(number)
        variant = view.space.variant(values, origin)
        if variant.id not in known and not view.space.excluded(values):
            known.add(variant.id)
            found.append(variant)
    return tuple(found)


def _numbers(size: int, tries: int, rng: np.random.Generator) -> Iterator[int]:
    """Numbers of points in random order, none twice: all of a small space, ``tries`` of a large one."""
    if size <= NUMBERED:
        yield from (int(number) for number in rng.permutation(size))
        return
    tried: set[int] = set()
    for _ in range(tries):
        number = int.from_bytes(rng.bytes(16), "big") % size  # spaces may be larger than an int64
        if number not in tried:
            tried.add(number)
            yield number
