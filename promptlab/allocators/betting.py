"""A proof by betting that a finite set, drawn row by row without replacement, is on average below a given mean.

Whoever bets that it is, and is wrong, multiplies a stake of 1 by 20 with a chance of at most 1 in 20, however often one
looks and whenever one stops (Ville). The bets are predictable and near the best growth (Waudby-Smith & Ramdas 2020,
"Confidence sequences for sampling without replacement"; aGRAPA).
"""

from __future__ import annotations

import numpy as np

from promptlab.view import Flags, Scores

BOLD = 0.75  # of the largest bet that cannot lose everything


def below(values: Scores, whole: int, limit: float, alpha: float) -> Flags:
    """Whether the mean of each row of ``values`` over all ``whole`` rows is proven to be below ``limit``.

    ``values`` [tests, drawn] lie in [-1, 1]. Each test errs with a chance of at most ``alpha``. A missing value counts
    as 1, the worst for the proof.
    """
    x = (np.where(np.isnan(values), 1.0, values) + 1) / 2
    tests, drawn = x.shape
    if drawn == 0:
        return np.zeros(tests, bool)
    mean = (limit + 1) / 2
    before = np.cumsum(x, axis=1) - x
    at = np.arange(drawn)
    if drawn == whole:
        return np.asarray(x.mean(axis=1) < mean - 1e-12)
    null = (whole * mean - before) / (whole - at)  # the mean of what is left, if the whole had the limit's
    guess = (0.5 + before) / (at + 1)
    square = np.cumsum((x - guess) ** 2, axis=1)
    spread = (0.25 + np.concatenate([np.zeros((tests, 1)), square[:, :-1]], axis=1)) / (at + 1)
    gap = null - guess
    room = np.clip(null, 0.0, 1.0)
    bet = np.clip(gap / (spread + gap * gap), 0.0, BOLD / np.maximum(1 - room, 1e-9))
    bet = np.where(null <= 0, 0.0, bet)
    growth = np.log(np.maximum(1 + bet * (room - x), 1e-300))
    growth = np.where(null > 1 + 1e-9, np.inf, growth)  # what is left cannot lift the mean to the limit
    return np.asarray(np.cumsum(growth, axis=1).max(axis=1) >= np.log(1 / alpha))
