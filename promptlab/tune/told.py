"""What a plan teaches, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptlab.retrieve.measure import matches
from promptlab.tune.lessons import OPEN, Lesson
from promptlab.tune.rows import TrainingRow
from promptlab.tune.skew import shown


def saying(lesson: Lesson, rows: Sequence[TrainingRow]) -> str:
    """What an arm is taught; with passages, in how many rows the right one is shown, as far as that is known."""
    slots = ", ".join(f"{name} {value}" for name, value in shown(lesson.variant.slots).items())
    found = _right(rows) if lesson.arm == OPEN else ""
    return f"{lesson.arm} is taught the prompts of {slots}{found}."


def left(reasons: Mapping[str, str]) -> list[str]:
    """The arms that nothing is taught for."""
    return [f"{arm} is left out: {why}." for arm, why in reasons.items()]


def _right(rows: Sequence[TrainingRow]) -> str:
    """How many rows show a passage that is known to be right."""
    known = [(row.passages, row.example.gold) for row in rows if row.example is not None and row.example.gold]
    if not known:
        return "; which passages are right is not known of its training rows"
    hits = sum(any(matches(passage, each) for passage in shown for each in gold) for shown, gold in known)
    return f"; {hits} of {len(known)} training rows show a passage that is known to be right"
