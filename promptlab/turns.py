"""Whose turn it is to propose: seats by shares, kept to over all rounds, however few are wanted in each."""

from __future__ import annotations

from collections.abc import Sequence

from promptlab.proposers import Proposer
from promptlab.view import Plan


class Turns:
    """The proposers' seats over one search.

    Those that are ``closing`` have no share: each is asked for one variant, once, when all others are scored. A search
    of nothing but such proposers gives them their shares.
    """

    def __init__(self, proposers: Sequence[Proposer], shares: Sequence[float] = ()) -> None:
        self._late = [int(getattr(each, "closing", False)) for each in proposers]
        given = [*shares] or [1.0] * len(proposers)
        early = [0.0 if late else share for late, share in zip(self._late, given, strict=True)]
        self._shares = early if any(early) else given
        self._had = [0] * len(proposers)

    def seats(self, plan: Plan) -> list[int] | None:
        """How many variants each proposer is asked for beside this plan; None: the search is over."""
        if plan.cells or plan.want:
            more = turns(plan.want, self._shares, self._had)
        elif any(self._late):
            more, self._late = self._late, [0] * len(self._late)
        else:
            return None
        self._had = [had + got for had, got in zip(self._had, more, strict=True)]
        return more


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
