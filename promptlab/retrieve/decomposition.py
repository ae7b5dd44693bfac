"""What the passages are worth to the answers: score = P(hit)·score|hit + P(miss)·score|miss, and what to mend.

Beside it the ends of the scale, on the same rows: the closed book (no passages), the oracle (the right ones) and the
wrong ones. Far below its oracle, a setting needs a better retriever; where the oracle itself is low, no retriever helps
and the prompt, or the model, is to be mended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlab.stats.paired import Interval, Paired, mean, paired, rate_interval
from promptlab.stats.sample import Array

FEWEST = 10
"""Rows below which nothing is advised."""
SMALL = 0.01
"""A gain that is none worth a search."""


@dataclass(frozen=True, slots=True)
class Part:
    """A mean over ``n`` rows with its 95 % interval; NaN where there are no rows."""

    n: int
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Decomposition:
    """``score`` = ``hit``·``score_hit`` + (1 - ``hit``)·``score_miss``, over the rows that know their gold passages."""

    score: Part
    hit: Part
    score_hit: Part
    score_miss: Part


@dataclass(frozen=True, slots=True)
class Advice:
    """What perfect retrieval would bring, and what would be left; ``mend``: retriever, prompt, both or nothing to say.

    ``retrieval``: the oracle against these passages, ``passages``: the oracle against the closed book, paired; None
    where the run has no such rows. ``left``: what even the oracle's answers lack.
    """

    mend: str
    sentence: str
    retrieval: Paired | None = None
    passages: Paired | None = None
    left: float = math.nan


def decompose(
    hits: npt.ArrayLike,
    scores: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Decomposition:
    """The parts; one number per row: 1 where a gold passage was among those found, and its score. NaN = unknown.

    Weighted as the scores are, so that the parts add up exactly.
    """
    hit, score = np.asarray(hits, float), np.asarray(scores, float)
    weight = None if weights is None else np.asarray(weights, float)
    group = None if groups is None else np.asarray(groups)
    known = ~(np.isnan(hit) | np.isnan(score))
    found = known & (hit > 0)

    def part(values: Array, rows: npt.NDArray[np.bool_]) -> Part:
        own = None if weight is None else weight[rows]
        interval = rate_interval(values[rows], own, seed, groups=None if group is None else group[rows])
        return Part(int(rows.sum()), mean(values[rows], own), interval)

    missed = known & ~found
    return Decomposition(part(score, known), part(hit, known), part(score, found), part(score, missed))


def advise(
    own: npt.ArrayLike,
    oracle: npt.ArrayLike | None,
    closed: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Advice:
    """What to mend, from scores on the same rows: with the passages found, the right ones, and none.

    Of scores that are not from 0 to 1 nobody knows what is lacking: nothing is advised.
    """
    scores = np.asarray(own, float)
    if oracle is None:
        said = "What a better retriever would bring is not known: add `oracle` to `retrieval.retriever`."
        return Advice("", said)
    best = np.asarray(oracle, float)
    gap = paired(best, scores, seed, weights, groups=groups)
    book = None if closed is None else paired(best, np.asarray(closed, float), seed, weights, groups=groups)
    both = ~(np.isnan(best) | np.isnan(scores))
    top = mean(best[both], None if weights is None else np.asarray(weights, float)[both])
    if gap.n < FEWEST:
        return Advice("", f"{gap.n} rows have both these passages and the oracle's: too few to say what to mend.")
    known = np.concatenate([best[both], scores[both]])
    if known.min() < 0 or known.max() > 1:
        return Advice("", f"Perfect retrieval could bring {_signed(gap)}.", gap, book)
    mend, why = _verdict(gap, book, 1 - top)
    ends = [] if book is None else [f"closed book {top - book.delta:.2f}"]
    ends += [f"these passages {top - gap.delta:.2f}", f"oracle {top:.2f}"]
    head = ", ".join(ends)
    return Advice(mend, f"{head[0].upper()}{head[1:]}; {why}", gap, book, 1 - top)


def _verdict(gap: Paired, book: Paired | None, left: float) -> tuple[str, str]:
    """What to mend and the words for it; ``left``: what the oracle lacks to a full score."""
    could = f"perfect retrieval could bring {_signed(gap)}"
    if book is not None and book.low <= 0 and book.delta < left:
        return "prompt", (
            f"even the right passages are not shown to help ({_signed(book)} over the closed book): mend the prompt, "
            "or take a model that reads them."
        )
    shown = gap.low > 0 and gap.delta > SMALL
    if not shown and left <= SMALL:
        return "nothing", f"{could}, and there is nothing left to gain."
    if not shown:
        return "prompt", f"{could}, no gain that is shown; the oracle itself lacks {left:.2f}: mend the prompt."
    if gap.delta >= left:
        return "retriever", f"{could}, a perfect prompt {left:.2f} more: mend the retriever."
    return "both", f"{could}, but the oracle itself lacks {left:.2f}: mend the prompt first, then the retriever."


def _signed(gap: Paired) -> str:
    return f"{gap.delta:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]"
