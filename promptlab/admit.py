"""The one door for new variants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from promptlab.records import Variant
from promptlab.view import View


@dataclass(frozen=True, slots=True)
class Admission:
    """Who came in, and how many were turned away for which reason."""

    admitted: tuple[Variant, ...]
    refused: dict[str, int]


def admit(view: View, proposed: Iterable[Variant]) -> Admission:
    """Let in what is new and lies in the space; order is kept."""
    known = {variant.id for variant in view.variants}
    admitted: list[Variant] = []
    refused: dict[str, int] = {}
    for variant in proposed:
        reason = "duplicate" if variant.id in known else "excluded" if view.space.excluded(variant.slots) else ""
        if reason:
            refused[reason] = refused.get(reason, 0) + 1
            continue
        known.add(variant.id)
        admitted.append(variant)
    return Admission(tuple(admitted), refused)
