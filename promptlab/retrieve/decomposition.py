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
from promptlab.unit import Unit

FEWEST = 10
"""Rows below which nothing is advised."""
SMALL = 0.01
"""A gain that is none worth a search."""
_RATE = Unit()


@dataclass(frozen=True, slots=True)
class Part:
    """A mean over ``n`` rows with its 95 % interval; NaN where there are no rows."""

    n: int
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Decomposition:
    """``score`` = ``hit``·``score_hit`` + (1 - ``hit``)·``score_miss``, over the rows that know their gold passages.

    Where other rows know none, it is not the score of all rows.
    """

    score: Part
    hit: Part
    score_hit: Part
    score_miss: Part


@dataclass(frozen=True, slots=True)
class Advice:
    """What perfect retrieval would bring, and what would be left.

    ``mend``: retriever, prompt, both, gold (the oracle is none), nothing, or empty where there is nothing to say.

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
        return Advice("", f"Perfect retrieval could bring {_signed(gap, Unit(rate=False))}.", gap, book)
    helped = None if closed is None else paired(scores, np.asarray(closed, float), seed, weights, groups=groups)
    mend, why = _verdict(gap, book, helped, 1 - top)
    ends = [] if book is None else [f"closed book {_RATE.score(top - book.delta)}"]
    ends += [f"these passages {_RATE.score(top - gap.delta)}", f"oracle {_RATE.score(top)}"]
    head = ", ".join(ends)
    return Advice(mend, f"{head[0].upper()}{head[1:]}; {why}", gap, book, 1 - top)


def blind(tokens: float, hits: npt.ArrayLike | None) -> Advice | None:
    """What to mend where the oracle had nothing right to show; None where it had, or where nothing tells.

    ``tokens``: of its passages, on average; NaN = not known. ``hits``: of its rows, as ``decompose`` takes them.
    """
    if tokens == 0:
        said = "The oracle knew no passage: nothing that `gold` or the answers name is in the corpus. Mend `gold`;"
        return Advice("gold", f"{said} until then nothing says what the right passages are worth.")
    found = np.asarray([] if hits is None else hits, float)
    known = found[~np.isnan(found)]
    if len(known) and not known.any():
        said = "No gold stands in what the oracle showed: mend `gold`, or raise `retrieval.max_tokens` where it cuts;"
        return Advice("gold", f"{said} until then nothing says what the right passages are worth.")
    return None


def _verdict(gap: Paired, book: Paired | None, helped: Paired | None, left: float) -> tuple[str, str]:
    """What to mend and the words for it; ``helped``: what was found against the closed book.

    ``left``: what the oracle lacks to a full score. Right passages cannot be worse than those found: such an oracle is
    not right.
    """
    lacks = _RATE.points(left)[1:]
    help_shown = helped is not None and helped.low > 0
    useless = book is not None and book.low <= 0 and book.delta < left
    if gap.high < 0 or (gap.delta < 0 and help_shown and useless):
        return "gold", f"oracle below what was found ({_signed(gap)}): distrust `gold`, or the oracle's rows."
    if book is not None and useless and not help_shown:
        return "prompt", (
            f"even the right passages are not shown to help ({_signed(book)} over the closed book): mend the prompt, "
            "or take a model that reads them."
        )
    could = f"perfect retrieval could bring {_signed(gap)}"
    if gap.delta < 0:
        could = f"the oracle is not above what was found ({_signed(gap)})"
    shown = gap.low > 0 and gap.delta > SMALL
    if not shown and left <= SMALL:
        return "nothing", f"{could}, and there is nothing left to gain."
    if not shown:
        return "prompt", f"{could}, no gain that is shown; the oracle itself lacks {lacks}: mend the prompt."
    if gap.delta >= left:
        return "retriever", f"{could}, a perfect prompt {lacks} more: mend the retriever."
    return "both", f"{could}, but the oracle itself lacks {lacks}: mend the prompt first, then the retriever."


def _signed(gap: Paired, unit: Unit = _RATE) -> str:
    return unit.points(gap.delta) + unit.span(gap.low, gap.high)
