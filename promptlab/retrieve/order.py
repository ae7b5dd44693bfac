"""In which order a prompt shows its passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from promptlab.records import Passage

ORDERS = ("best-first", "best-last", "document")


def ordered(passages: Sequence[Passage], how: str, place: Callable[[Passage], int]) -> tuple[Passage, ...]:
    """Passages, given best first, as ``how`` says; ``document`` = by ``place``, where they stand in the corpus."""
    if how == "best-last":
        return tuple(reversed(passages))
    if how == "document":
        return tuple(sorted(passages, key=place))
    return tuple(passages)
