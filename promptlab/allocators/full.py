"""Every variant on every dev row, in one round of cells."""

from __future__ import annotations

import numpy as np

from promptlab.view import Plan, View, block

MOST = 1000  # variants that a grid is asked for at once; a larger space is sampled


def full(view: View, rng: np.random.Generator) -> Plan:  # noqa: ARG001 - nothing is drawn
    """Round 0 asks for the variants; round 1 scores them all."""
    if view.round == 0:
        return Plan(want=MOST)
    every = range(len(view.dev))
    return Plan(block({v: every for v in range(len(view.variants)) if view.live[v]}, view.asked))
