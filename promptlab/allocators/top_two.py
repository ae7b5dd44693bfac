"""Top-two Thompson sampling (Russo 2016): half of the calls to the likely best, half to its likely challenger."""

from __future__ import annotations

import numpy as np

from promptlab.allocators.bandit import Arms, play
from promptlab.allocators.cohort import Columns
from promptlab.view import Plan, View


def top_two(view: View, rng: np.random.Generator, *, beta: float = 0.5) -> Plan:
    """A portion of the calls by Beta posteriors (scores between 0 and 1; others are cut off)."""

    def hand(arms: Arms, calls: int) -> Columns:
        hits = np.clip(arms.sums, 0.0, arms.pulls)
        drawn = rng.beta(1 + hits, 1 + arms.pulls - hits, (calls, len(hits)))
        drawn[:, arms.left == 0] = -1.0
        best = drawn.argmax(axis=1)
        if len(hits) > 1:
            challenger = rng.random(calls) >= beta
            again = rng.beta(1 + hits, 1 + arms.pulls - hits, (calls, len(hits)))
            again[:, arms.left == 0] = -1.0
            again[np.arange(calls), best] = -2.0
            best = np.where(challenger, again.argmax(axis=1), best)
        return np.bincount(best, minlength=len(hits))

    return play(view, hand)
