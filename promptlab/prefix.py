"""What prompts of one variant have in common: providers bill a prefix that they have just seen at a lower price."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from operator import eq

from promptlab.records import Message


def shares(one: Sequence[Message], other: Sequence[Message]) -> tuple[float, float]:
    """Which share of ``one`` is the same at the start of ``other``, and which share only at its end.

    The first is what a prompt cache can hold; the second is fixed text that stands behind the row's own.
    """
    a, b = _joined(one), _joined(other)
    if a == b:
        return 1.0, 0.0
    first = _alike(a, b)
    last = _alike(a[first:][::-1], b[first:][::-1])
    return first / len(a), last / len(a)


def _alike(one: str, other: str) -> int:
    """How many characters are the same at the start."""
    return sum(1 for _ in takewhile(bool, map(eq, one, other)))


def _joined(messages: Sequence[Message]) -> str:
    return "\n".join(f"{each.role}\n{each.content}" for each in messages)
