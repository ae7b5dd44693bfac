"""The best of many scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def top(scores: NDArray[Any], k: int) -> NDArray[np.intp]:
    """The places of the k highest scores, best first, ties in order of place. All of them if k is past their number."""
    k = min(max(k, 0), len(scores))
    if k == 0:
        return np.empty(0, dtype=np.intp)
    edge = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > edge)
    level = np.flatnonzero(scores == edge)[: k - len(above)]
    return np.concatenate((above[np.argsort(-scores[above], kind="stable")], level))
