"""What tuning cost elsewhere: the same rows of another task before and after, and how much may have been lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlab.stats.paired import paired

ALLOWED = 0.02
"""The loss that a tuned model may have on rows that it was not tuned for."""
FEWEST = 100
"""Rows below which a bound of two points is out of reach, and that is said."""
LEVEL = 0.90  # of the two-sided interval whose lower end is a one-sided bound at 95 %


@dataclass(frozen=True, slots=True)
class Loss:
    """``delta`` = after - before on ``n`` rows; ``worst``: the one-sided 95 % bound of what was lost (0 or more)."""

    n: int
    delta: float
    worst: float

    @property
    def bounded(self) -> bool:
        """Whether the loss is shown to be within two points."""
        return self.worst < ALLOWED


def loss(
    after: npt.ArrayLike, before: npt.ArrayLike, seed: int | None = 0, groups: npt.ArrayLike | None = None
) -> Loss:
    """The paired difference on a probe, from scores per row; NaN = the call failed."""
    found = paired(after, before, seed, groups=groups, level=LEVEL)
    return Loss(found.n, found.delta, float(np.maximum(-found.low, 0.0)))
