"""The rows of every lesson, rendered and checked: all that is wrong with them is told before anything is laid out."""

from __future__ import annotations

from collections.abc import Sequence

from promptlab.dataset.across import across
from promptlab.errors import BadInput, Problem, ordered
from promptlab.prepare import Prepared
from promptlab.records import Example
from promptlab.tune import seen, validate
from promptlab.tune.lessons import Lesson, base_of
from promptlab.tune.pool import examples
from promptlab.tune.rows import TrainingRow, training
from promptlab.tune.settings import TuneSettings

Rendered = tuple[Lesson, tuple[TrainingRow, ...], int]
"""A lesson, its rows, and how many of them were there twice."""


def rendered(
    prepared: Prepared, settings: TuneSettings, found: Sequence[Lesson], pool: Sequence[Example]
) -> tuple[list[Rendered], dict[str, str]]:
    """The rows of each lesson. One that cannot be taught is left out where nobody named it and another one can be."""
    made: list[Rendered] = []
    failed: dict[str, BadInput] = {}
    left_out: dict[str, str] = {}
    for lesson in found:
        try:
            rows, twice = validate.distinct(training(prepared.task, lesson.variant, pool))
        except BadInput as error:
            failed[lesson.arm], left_out[lesson.arm] = error, str(error.problems[0])
            continue
        if any(rows == others for _, others, _ in made):
            left_out[lesson.arm] = f"its prompts show no passage of any row: they are those of {made[0][0].arm}"
        else:
            made.append((lesson, rows, twice))
    if failed and (settings.variant or not made):
        raise BadInput(ordered(problem for error in failed.values() for problem in error.problems))
    return made, left_out


def check(prepared: Prepared, settings: TuneSettings, taught: Sequence[Rendered]) -> list[str]:
    """What is worth telling of the passages that are shown. Raises BadInput for all that is wrong with the rows.

    Leaks among the rows themselves are looked for once, as every arm learns the same.
    """
    pool, source = examples(prepared)
    base, limits = base_of(prepared, settings), validate.LIMITS.get(settings.trainer, validate.Limits())
    held: dict[str, Sequence[Example]] = {"dev": prepared.rows.dev, "test": prepared.rows.test}
    bank = prepared.task.bank
    if bank is not None and source == "train" and {each.id for each in bank.demos} != {each.id for each in pool}:
        held["bank"] = bank.demos
    given = source == "train" and not prepared.rows.splits
    column = prepared.experiment.data.columns.group or "the group"
    problems = across(prepared.rows.parts, prepared.rows.places, column) if given else []
    told: dict[str, list[str]] = {}
    secret = seen.index({name: held[name] for name in ("dev", "test")}, pool)
    for place, (_, rows, _) in enumerate(taught):
        problems += seen.leaks(rows, secret)
        told |= seen.given_away(rows, secret)
        problems += validate.problems(rows, limits, {} if place else held, prepared.rows.places, base.id)
        problems += _sizes(prepared, settings, len(rows), limits)
    if problems:
        raise BadInput(ordered(dict.fromkeys(problems)))
    return seen.saying(told)


def _sizes(prepared: Prepared, settings: TuneSettings, count: int, limits: validate.Limits) -> list[Problem]:
    found = []
    for place, size in enumerate(settings.sizes):
        key = ("tune", "sizes", place)
        if size is not None and size > count:
            what = f"`tune.sizes` asks for {size} rows, and there are {count}"
            found.append(prepared.experiment.problem(key, what, "Lower it, or write `all`."))
        elif size is not None and size < limits.fewest:
            what = f"`tune.sizes` asks for {size} rows, and the trainer takes {limits.fewest} at least"
            found.append(prepared.experiment.problem(key, what))
    return found
