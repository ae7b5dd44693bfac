"""One budget for all arms: each gets the same, and what one does not need goes to the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from promptlab.records import Budget


@dataclass(frozen=True, slots=True)
class Shares:
    """Who gets how many calls. ``aside``: what no arm gets, by what it is for; ``needs``: what an arm can use at most.

    ``given`` None: calls are not capped.
    """

    needs: Mapping[str, int]
    given: Mapping[str, float | None]
    aside: Mapping[str, int] = field(default_factory=dict)

    @property
    def enough(self) -> int:
        """The calls with which no arm gets less than it can use."""
        return sum(self.needs.values()) + sum(self.aside.values())

    @property
    def short(self) -> list[str]:
        """The arms that could use more than they get."""
        return [name for name, each in self.given.items() if each is not None and each < self.needs[name]]


def shared(needs: Mapping[str, int], aside: Mapping[str, int], cap: int | None) -> Shares:
    """The calls of a budget, shared; what is set ``aside`` comes first."""
    if cap is None:
        return Shares(needs, dict.fromkeys(needs), aside)
    return Shares(needs, {**shares(needs, max(0, cap - sum(aside.values())))}, aside)


def shares(needs: Mapping[str, float], whole: float) -> dict[str, float]:
    """How much of ``whole`` each arm gets: what it needs, as far as there is; what is short is short for all alike.

    What nobody needs is a reserve in equal parts: a need is a forecast.
    """
    given = dict.fromkeys(needs, 0.0)
    open_, left = list(needs), whole
    while open_ and left > 1e-9:
        each = left / len(open_)
        full = [name for name in open_ if needs[name] - given[name] <= each]
        if not full:
            return {name: value + (each if name in open_ else 0.0) for name, value in given.items()}
        for name in full:
            left -= needs[name] - given[name]
            given[name] = needs[name]
        open_ = [name for name in open_ if name not in full]
    return {name: value + left / len(given) for name, value in given.items()} if not open_ else given


def overrides(budget: Budget, calls: float | None, arms: int) -> tuple[str, ...]:
    """A share as `--set` makes it: so many calls, and an equal part of whatever else is capped but minutes."""
    made: Sequence[str] = [
        *([f"search.budget.calls={max(1, math.floor(calls))}"] if calls is not None else []),
        *([f"search.budget.tokens={max(1, budget.tokens // arms)}"] if budget.tokens is not None else []),
        *([f"search.budget.usd={budget.usd / arms:.6g}"] if budget.usd is not None else []),
    ]
    return tuple(made)
