"""Where the engine could do otherwise: one draw in earnest, or all outcomes with their odds.

Whatever chance decides in the engine goes through a Luck. ``Drawn`` draws; ``outcomes`` runs the same code once for
each way that it can go, so that log probabilities come from the very decisions that answers come from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np

from promptlab.embedded.features import Floats
from promptlab.embedded.noise import gumbel

T = TypeVar("T")

_MOST = 256  # options of one decision that ``outcomes`` follows: as many labels as experiments have


class Luck(Protocol):
    """Decides what chance decides."""

    def order(self, scores: Floats, scale: float) -> list[int]:
        """The places of ``scores``, best first, after Gumbel noise of that scale."""

    def often(self, share: float) -> bool:
        """True with probability ``share``."""

    def one_of(self, count: int) -> int:
        """A place from 0 to ``count`` - 1, all equally likely."""


class Drawn:
    """One draw, from a seeded generator."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def order(self, scores: Floats, scale: float) -> list[int]:
        """See Luck."""
        noise = np.array([gumbel(self._chance) for _ in scores])
        return [int(place) for place in np.argsort(-(scores + scale * noise), kind="stable")]

    def often(self, share: float) -> bool:
        """See Luck."""
        return self._chance.random() < share

    def one_of(self, count: int) -> int:
        """See Luck."""
        return int(self._chance.random() * count)


class _Scripted:
    """Follows a script of choices, the first option past its end; keeps the odds of what it did."""

    def __init__(self, script: tuple[int, ...]) -> None:
        self._script = script
        self.weight = 1.0
        self.taken: list[int] = []
        self.widths: list[int] = []

    def _take(self, odds: list[tuple[float, int]]) -> int:
        possible = [(share, value) for share, value in odds if share > 0.0]
        place = len(self.taken)
        choice = self._script[place] if place < len(self._script) else 0
        self.weight *= possible[choice][0]
        self.taken.append(choice)
        self.widths.append(len(possible))
        return possible[choice][1]

    def order(self, scores: Floats, scale: float) -> list[int]:
        """One option on top, with its softmax odds; the others follow by their scores (see Luck)."""
        ranked = [int(place) for place in np.argsort(-scores, kind="stable")]
        if not ranked:
            return []
        odds = np.exp((scores - scores.max()) / scale)
        odds = odds / odds.sum()
        top = self._take([(float(odds[place]), place) for place in ranked[:_MOST]])
        return [top, *(place for place in ranked if place != top)]

    def often(self, share: float) -> bool:
        """See Luck."""
        return bool(self._take([(share, 1), (1.0 - share, 0)]))

    def one_of(self, count: int) -> int:
        """See Luck."""
        return self._take([(1.0 / count, place) for place in range(count)])


def outcomes(program: Callable[[Luck], T]) -> Iterator[tuple[float, T]]:
    """(probability, result) of each way that ``program`` can go; of a long choice the 256 best options alone.

    The best of scores with Gumbel noise is a draw from their softmax, so the odds of what comes out on top are exact;
    the order below the top is the scores' own.
    """
    script: list[int] = []
    while True:
        luck = _Scripted(tuple(script))
        result = program(luck)
        yield luck.weight, result
        script, widths = luck.taken, luck.widths
        while script and script[-1] + 1 >= widths[len(script) - 1]:
            script.pop()
        if not script:
            return
        script[-1] += 1
