"""Arms with known truth for the simulations of the choice: right or wrong on shared rows, good and cheap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from promptlab.choice.arm import Arm, Serving, Setup
from promptlab.choice.limits import Limits
from promptlab.choice.rule import Choice, reference_of, rule
from promptlab.stats.paired import paired
from promptlab.stats.sample import Array

FLIPS = 499


def arm(name: str, scores: Array, dev: float | None = None, usd: float | None = None, **changes: object) -> Arm:
    """An arm that costs ``usd`` a call and nothing to set up."""
    setup = Setup() if usd is None else Setup(search=0.0)
    values = np.asarray(scores, float)
    given = {"setup": setup, "serving": Serving(usd=usd), **changes}
    return Arm(name, values, float(np.nanmean(values)) if dev is None else dev, **given)  # type: ignore[arg-type]


@dataclass(frozen=True)
class World:
    """A good arm that is right with probability ``good``, a cheap one that is so ``worse`` less often.

    ``apart``: the share of rows on which the two answer independently; on the others both are right, or both wrong,
    as far as their difference allows.
    """

    good: float = 0.8
    worse: float = 0.1
    apart: float = 0.25

    def draw(self, rng: np.random.Generator, rows: int) -> tuple[Array, Array]:
        """Scores of the two: their disagreement has ``worse`` one way, and an equal share both ways up to ``apart``."""
        u = rng.random(rows)
        broken, fixed = (self.apart + self.worse) / 2, (self.apart - self.worse) / 2
        good = (u < self.good).astype(float)
        cheap = good.copy()
        cheap[u < broken] = 0.0
        cheap[u >= 1 - fixed] = 1.0
        return good, cheap

    def choices(self, seed: int, rows: int, times: int) -> tuple[float, float]:
        """How often the cheap arm is chosen by the rule, and by "not significantly worse"."""
        rng = np.random.default_rng(seed)
        ruled = naive = 0
        for _ in range(times):
            choice, gap = self.choice(rng, rows)
            ruled += choice.decided and choice.name == "prompt"
            naive += not (gap.p < 0.05 and gap.delta < 0)
        return ruled / times, naive / times

    def choice(self, rng: np.random.Generator, rows: int) -> tuple[Choice, object]:
        """One project: as many rows to pick the reference on as to test."""
        (good_dev, cheap_dev), (good, cheap) = self.draw(rng, rows), self.draw(rng, rows)
        arms = [
            arm("prompt", cheap, float(cheap_dev.mean()), usd=0.001),
            arm("rag", good, float(good_dev.mean()), usd=0.003),
        ]
        limits = Limits()
        seed = int(rng.integers(1 << 30))
        return rule(arms, reference_of(arms, limits), limits, seed=seed, flips=FLIPS), paired(cheap, good, None)
