"""An arm: one way to build the answerer, by its best variant, with what it scored and what it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from promptlab.choice.probe import Loss
from promptlab.experiment.choose import ARMS
from promptlab.stats.paired import mean
from promptlab.stats.sample import Array


@dataclass(frozen=True, slots=True)
class Setup:
    """US dollars before the first answer; None = no price is known, or there is nothing of the kind to price.

    ``unpriced``: what of it has no price, in words; the sum is not known then.
    """

    labels: float | None = None
    search: float | None = None
    training: float | None = None
    indexing: float | None = None
    unpriced: tuple[str, ...] = ()

    @property
    def usd(self) -> float | None:
        """All of it; None where a part that it needs has no price, or none is priced."""
        known = [each for each in (self.labels, self.search, self.training, self.indexing) if each is not None]
        return None if self.unpriced or not known else math.fsum(known)


@dataclass(frozen=True, slots=True)
class Serving:
    """What an answer takes: tokens and dollars on average, waiting times in milliseconds. None = not measured."""

    usd: float | None = None
    tokens_in: float | None = None
    tokens_cached: float | None = None
    tokens_out: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    usd_per_month: float = 0.0  # hosting, whether it is asked or not


@dataclass(frozen=True, slots=True)
class Found:
    """How well passages were found on test; None = not measured."""

    hit_at_k: float | None = None
    score_hit: float | None = None
    score_miss: float | None = None


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a tuned arm's training took, and which model it is of."""

    rows: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """The best variant of one arm: ``scores`` per test row (NaN = the call failed), in the order of every other arm's.

    ``seeds`` are the scores of each tuning seed, where there are several; ``scores`` is then their mean, row by row.
    ``dev`` is dev's score of it. ``invalid`` and ``errors`` count test answers that could not be read, and calls that
    failed. ``update_usd``: what one change of knowledge takes. ``shutdown``: the day its model ends (ISO).
    """

    name: str
    scores: Array
    dev: float
    variant: str = ""
    model: str = ""
    seeds: tuple[Array, ...] = ()
    setup: Setup = field(default_factory=Setup)
    serving: Serving = field(default_factory=Serving)
    found: Found = field(default_factory=Found)
    tuning: Tuning = field(default_factory=Tuning)
    invalid: int = 0
    errors: int = 0
    update_usd: float | None = None
    shutdown: str = ""
    off_task: Loss | None = None

    @property
    def parts(self) -> int:
        """Its place among the arms by moving parts; one that is not known stands last."""
        return ARMS.index(self.name) if self.name in ARMS else len(ARMS)

    @property
    def tuned(self) -> bool:
        """Whether a model was tuned for it."""
        return self.name.startswith("fine-tuned")

    def spread(self) -> tuple[float, int]:
        """The variance of the score over tuning seeds, and their number; (0, 0 or 1) where there are no several."""
        if len(self.seeds) < 2:
            return 0.0, len(self.seeds)
        means = [mean(each) for each in self.seeds]
        return float(np.var(means, ddof=1)), len(means)


def best_on_dev(arms: Sequence[Arm]) -> Arm:
    """The arm with the best score on dev; of equal ones that with the fewest moving parts."""
    return max(arms, key=lambda arm: (-math.inf if math.isnan(arm.dev) else arm.dev, -arm.parts))
