"""Whose turn it is to propose: seats by shares, kept to over all rounds, however few are wanted in each."""

from __future__ import annotations

from collections.abc import Sequence


def turns(want: int, shares: Sequence[float], given: Sequence[int]) -> list[int]:
    """How many of ``want`` new variants each proposer is asked for, ``given`` seats already handed out.

    Each seat goes to the one that is furthest behind its share (the first of them), so that equal shares go round.
    """
    whole = sum(shares)
    more = [0] * len(shares)
    for seat in range(sum(given) + 1, sum(given) + want + 1):
        behind = [share / whole * seat - had - got for share, had, got in zip(shares, given, more, strict=True)]
        most = max(behind)
        more[next(place for place, each in enumerate(behind) if each >= most - 1e-9)] += 1
    return more
