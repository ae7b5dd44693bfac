"""Where to spend: an allocator is ``allocator(view, rng) -> Plan``, pure in the view and the generator.

The plan names the cells to score in the coming round, the variants that are dropped and how many new ones are
wanted; a plan without cells that wants nothing ends the search. A user's own is ``package.module:name``.
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
    "halving": "promptlab.allocators.halving:halving",
}
