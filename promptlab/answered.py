"""Who answered: what endpoints say of themselves in their answers, beside the models that were asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from promptlab.records import Model, Prediction


@dataclass(frozen=True, slots=True)
class Answered:
    """``models``: by the experiment's name of each, the names that its answers bear; ``fingerprints``: of servers."""

    models: Mapping[str, tuple[str, ...]]
    fingerprints: frozenset[str]


def answered(rows: Iterable[Prediction]) -> Answered:
    """Who answered these."""
    found: set[tuple[str, str, str]] = set()
    for row in rows:
        for call in row.calls:
            if call.completion is not None and call.purpose == "answer":
                found.add((row.model, call.completion.model, call.completion.fingerprint))
    asked = dict.fromkeys(sorted(name for name, _, _ in found))
    models = {name: tuple(sorted({told for each, told, _ in found if each == name and told})) for name in asked}
    return Answered(models, frozenset(told for _, _, told in found))


def strangers(answered_as: Mapping[str, tuple[str, ...]], models: Mapping[str, Model]) -> list[str]:
    """What to tell of answers that bear the name of another model. A dated or a shortened name is no other one."""
    notes = []
    for name, told in answered_as.items():
        asked = models[name].id
        others = [each for each in told if not _same(asked, each)]
        if others:
            notes.append(f"note: {asked!r} was asked, and the answers are said to be of {', '.join(map(repr, others))}")
    return notes


def _same(asked: str, told: str) -> bool:
    """Whether one is part of the other, case and folders aside."""
    one, other = (each.lower().rsplit("/", 1)[-1] for each in (asked, told))
    return one in other or other in one
