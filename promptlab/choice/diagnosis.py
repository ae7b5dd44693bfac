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
    return [*_format(seen), *_retrieval(seen, seed), *_rising(seen.curves)]


def _format(seen: Seen) -> Iterator[str]:
    """Answers that could not be read: a matter of form, which no knowledge mends."""
    lost = float(np.nansum(1 - seen.best))
    unread = float(np.nansum(np.where(seen.unread > 0, 1 - seen.best, 0.0)))
    if lost > 0 and unread >= HALF * lost and unread >= 2:
        yield (
            f"Format: {unread:.0f} of the {lost:.0f} points lost on dev are answers that could not be read. Mend the "
            "format first (say the form of the answer, or a response_format): that is no case for passages or tuning."
        )


def _retrieval(seen: Seen, seed: int) -> Iterator[str]:
    """The closed book against the oracle: whether the answers are in the passages at all, and get read."""
    if seen.closed is None or seen.oracle is None:
        return
    gap = paired(seen.oracle, seen.closed, seed)
    if gap.n < FEWEST:
        return
    both = ~np.isnan(seen.oracle - seen.closed)
    closed, oracle = mean(seen.closed[both]), mean(seen.oracle[both])
    ends = f"closed book {100 * closed:.0f}, with the right passages {100 * oracle:.0f} (dev)"
    if gap.low > 0 and gap.delta >= LOW:
        yield f"Retrieval: {ends}: what is missing is knowledge, and passages bring it.{_left(seen, seed)}"
    if 1 - oracle > max(LOW, HALF * (1 - closed)):
        rest = f"even the right passages leave {100 * (1 - oracle):.0f} points"
        yield f"Prompt or tuning: {ends}: {rest}. No retriever mends that."
    elif gap.low <= 0 and 1 - closed <= LOW:
        yield f"No retrieval: {ends}: there is little that passages could bring."


def _left(seen: Seen, seed: int) -> str:
    """What the best retriever leaves on the table."""
    if seen.rag is None or seen.oracle is None:
        return ""
    gap = paired(seen.oracle, seen.rag, seed)
    if gap.n < FEWEST or gap.low <= 0:
        return ""
    return f" The retriever still costs {100 * gap.delta:.0f} points of them."


def _rising(curves: Sequence[Curve]) -> Iterator[str]:
    for curve in curves:
        if curve.rising:
            first, last = curve.points[-2:]
            cure = "more training rows" if curve.axis == "training rows" else "more of them, or tuning"
            seen = f"{100 * first.score:.0f} at {first.x:g}, {100 * last.score:.0f} at {last.x:g}"
            yield f"More data: still rising in {curve.axis} ({seen}): {cure} may pay."
