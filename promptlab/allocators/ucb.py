"""Upper confidence bounds (UCB1; Auer, Cesa-Bianchi & Fischer 2002): the next call goes where it may be best.

As ProTeGi spends its calls (Pryzant et al. 2023), with portions of calls instead of single ones.
"""

from __future__ import annotations

import numpy as np

from promptlab.allocators.bandit import Arms, play
from promptlab.allocators.cohort import Columns
from promptlab.view import Plan, View


def ucb(view: View, rng: np.random.Generator, *, c: float = 0.5) -> Plan:
    """A portion of the calls, one by one to the arm of the highest bound; within a round means stay, bounds shrink."""

    def hand(arms: Arms, calls: int) -> Columns:
        pulls = arms.pulls.copy()
        given = np.zeros(len(pulls), np.int64)
        means = arms.sums / np.maximum(pulls, 1)
        tie = rng.random(len(pulls)) * 1e-9
        for _ in range(calls):
            bound = means + c * np.sqrt(np.log(max(2.0, pulls.sum())) / np.maximum(pulls, 1e-9)) + tie
            at = int(np.where(given < arms.left, np.where(pulls > 0, bound, np.inf) + tie, -np.inf).argmax())
            pulls[at] += 1
            given[at] += 1
        return given

    return play(view, hand)
