"""Where to spend: an allocator is ``allocator(view, rng) -> Plan``, pure in the view and the generator.

The plan names the cells to score in the coming round, the variants that are dropped and how many new ones are
wanted; a plan without cells that wants nothing ends the search. A user's own is ``package.module:name``.
Plans are made between rounds, when every cell of the last one is answered: a variant that falls has no cells queued
that would have to be withdrawn, and no call is made for it afterwards.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from promptlab.view import Plan, View


class Allocator(Protocol):
    """Any function of this shape allocates."""

    def __call__(self, view: View, rng: np.random.Generator) -> Plan:
        """What to score next."""


ALLOCATORS = {
    "full": "promptlab.allocators.full:full",
    "uniform": "promptlab.allocators.uniform:uniform",
    "halving": "promptlab.allocators.halving:halving",
    "ranks": "promptlab.allocators.ranks:ranks",
    "race": "promptlab.allocators.race:Race",
    "ucb": "promptlab.allocators.ucb:ucb",
    "top_two": "promptlab.allocators.top_two:top_two",
}
DEFAULT = "ranks"
"""The allocator of experiments that name none: the best in replays of recorded scores."""
CLAIMS = {"race": "promptlab.allocators.race:proven"}
"""The allocators whose end claims something, and the function that tells, of a last view, whether it may."""
