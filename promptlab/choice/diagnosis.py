"""Why the arms stand as they do: what to mend next, from dev alone. Pure; what was not measured says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from promptlab.choice.curve import Curve
from promptlab.stats.paired import mean, paired
from promptlab.stats.sample import Array

FEWEST = 20  # rows below which nothing is advised
LOW = 0.1  # what passages bring, or an arm lacks, before it is worth a word
HALF = 0.5  # of what is lost, from which one cause is the main one


@dataclass(frozen=True, slots=True)
class Seen:
    """Scores per dev row, from 0 to 1 and in one order, NaN = not scored; None = there is no such arm.

    ``closed``: the best prompt without passages; ``oracle``: with the right ones; ``best``: of the best arm on dev.
    ``unread``: whether the best arm's answer could not be read (invalid or cut off), row by row. ``curves``: score
    against demos, training rows or passages.
    """

    best: Array
    unread: Array
    closed: Array | None = None
    oracle: Array | None = None
    rag: Array | None = None
    curves: Sequence[Curve] = field(default_factory=tuple)


def diagnose(seen: Seen, seed: int = 0) -> list[str]:
    """What the figures advise, in sentences; empty where they advise nothing."""
    if int(np.sum(~np.isnan(seen.best))) < FEWEST:
        return []
    form = list(_format(seen))
    return [*form, *_retrieval(seen, seed, form_first=bool(form)), *_rising(seen.curves)]


def _format(seen: Seen) -> Iterator[str]:
    """Answers that could not be read: a matter of form, which no knowledge mends."""
    lost = float(np.nansum(1 - seen.best))
    unread = float(np.nansum(np.where(seen.unread > 0, 1 - seen.best, 0.0)))
    if lost > 0 and unread >= HALF * lost and unread >= 2:
        yield (
            f"Format: {100 * unread / lost:.0f} % of what is lost on dev are answers that could not be read "
            f"({unread:.0f} of {lost:.0f} rows). Mend that first: say the form of the answer, or give a "
            "response_format; it takes neither passages nor tuning."
        )


def _retrieval(seen: Seen, seed: int, *, form_first: bool) -> Iterator[str]:
    """The closed book against the oracle: whether the answers are in the passages at all, and get read."""
    if seen.closed is None or seen.oracle is None:
        return
    gap = paired(seen.oracle, seen.closed, seed)
    if gap.n < FEWEST:
        return
    both = ~np.isnan(seen.oracle - seen.closed)
    closed, oracle = mean(seen.closed[both]), mean(seen.oracle[both])
    ends = f"closed book {100 * closed:.0f}, with the right passages {100 * oracle:.0f} (dev)"
    brings, rest = gap.low > 0 and gap.delta >= LOW, f"{100 * (1 - oracle):.0f} points"
    cure = "for prompt or tuning" + (", once the format is mended" if form_first else "")
    unused = 1 - oracle > max(LOW, HALF * (1 - closed))
    if brings:
        knows = f"what is missing is knowledge, and passages bring it: {100 * gap.delta:.0f} points."
        lost = f" The other {rest} are lost with the right passages, too, and are {cure}." if unused else ""
        yield f"Retrieval: {ends}: {knows}{_left(seen, seed)}{lost}"
    elif unused:
        yield f"Prompt or tuning: {ends}: even the right passages leave {rest}, {cure}. No retriever mends that."
    elif gap.low <= 0 and 1 - closed <= LOW:
        yield f"No retrieval: {ends}: there is little that passages could bring."


def _left(seen: Seen, seed: int) -> str:
    """What the best retriever leaves on the table."""
    if seen.rag is None or seen.oracle is None:
        return ""
    gap = paired(seen.oracle, seen.rag, seed)
    if gap.n < FEWEST or gap.low <= 0:
        return ""
    return f" What the retriever finds still costs {100 * gap.delta:.0f} points of them."


def _rising(curves: Sequence[Curve]) -> Iterator[str]:
    for curve in curves:
        if curve.rising and curve.points[-1].score < 1:
            first, last = curve.points[-2:]
            cure = "more training rows" if curve.axis == "training rows" else "more of them, or tuning"
            seen = f"{100 * first.score:.0f} at {first.x:g}, {100 * last.score:.0f} at {last.x:g} on dev"
            yield f"More data: still rising in {curve.name}, {seen}: {cure} may pay."
