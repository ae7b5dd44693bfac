"""Training rows, checked before anything is uploaded: every problem at once, the rows named. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptlab.dataset.file import capped
from promptlab.dataset.leak import normalise, overlaps, text_of
from promptlab.errors import Problem
from promptlab.metrics.accepted import text_of as said
from promptlab.records import Example
from promptlab.tokens import count_messages
from promptlab.tune.rows import TrainingRow

ROLES = ("system", "developer", "user", "assistant")
SKEWED = 10  # times as many rows of one label as of another is told
Places = Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trainer takes: rows from and to, tokens of one row (0 = unknown), whether weights are 0 or 1."""

    fewest: int = 1
    most: int = 0
    tokens: int = 0
    binary: bool = True


LIMITS: Mapping[str, Limits] = {
    "openai": Limits(fewest=10, most=3_000_000, tokens=65_536),
    "command": Limits(fewest=2),
    "lora": Limits(fewest=2),
    "none": Limits(fewest=2),
    "given": Limits(fewest=0),
}
"""By trainer. OpenAI's own: at least 10 rows, 65,536 tokens a row."""


def problems(
    rows: Sequence[TrainingRow],
    limits: Limits,
    held: Mapping[str, Sequence[Example]],
    places: Places | None = None,
    model: str = "",
) -> list[Problem]:
    """All that is wrong. ``held`` are the rows that must not be learned, by what they are called: dev, test, bank.

    ``places`` maps ids to file and line, ``model`` names the vocabulary for counting tokens.
    """
    where = places or {}
    found = [*_too_few(rows, limits), *_shapes(rows, limits, where), *_twice(rows, where)]
    if limits.tokens:
        found += _too_long(rows, limits.tokens, where, model)
    for name, examples in held.items():
        found += leaks(rows, name, examples, where)
    return found


def leaks(rows: Sequence[TrainingRow], name: str, examples: Sequence[Example], places: Places) -> list[Problem]:
    """Training rows that say what a held-out row says: to the letter, but for case and punctuation, or nearly so."""
    taught = [row for row in rows if row.example is not None]
    by_id = {each.id for each in examples}
    inputs = [row.example for row in taught if row.example is not None]
    told: list[Problem] = []
    for one, other, likeness in overlaps(inputs, examples):
        row, theirs = inputs[one], examples[other]
        how = _how(row, theirs, likeness, same_id=row.id in by_id and row.id == theirs.id)
        remedy = f"Take it out of the training rows: a score on {name} would be a memory test."
        told.append(_at(taught[one], f"{how} the {name} row {theirs.row or theirs.id}", places, remedy))
    return capped(told)


def _how(row: Example, theirs: Example, likeness: float, *, same_id: bool) -> str:
    columns = set(row.inputs) & set(theirs.inputs)
    mine, other = text_of(row, columns), text_of(theirs, columns)
    if mine == other:
        return "is" if same_id else "has the text of"
    if normalise(mine) == normalise(other):
        return "differs only in case, punctuation or numbers from"
    return f"is {likeness:.0%} like"


def _at(row: TrainingRow, what: str, places: Places, remedy: str = "") -> Problem:
    path, line = places.get(row.example_id, ("", 0))
    number = row.example.row if row.example is not None and row.example.row else row.example_id
    return Problem(f"training row {number} {what}", path, line, remedy)


def _too_few(rows: Sequence[TrainingRow], limits: Limits) -> list[Problem]:
    if len(rows) < limits.fewest:
        what = f"there are {len(rows)} training rows, and the trainer takes {limits.fewest} at least"
        return [Problem(what, remedy="Add labelled rows to the train split, or give it a larger share.")]
    if limits.most and len(rows) > limits.most:
        return [Problem(f"there are {len(rows)} training rows, and the trainer takes {limits.most} at most")]
    return []


def _shapes(rows: Sequence[TrainingRow], limits: Limits, places: Places) -> list[Problem]:
    kinds: dict[str, list[Problem]] = defaultdict(list)
    for row in rows:
        roles = [each.role for each in row.messages]
        for role in [each for each in roles if each not in ROLES]:
            kinds["role"].append(_at(row, f"has a message of the role {role!r}", places, f"Known: {', '.join(ROLES)}."))
        if not roles or roles[-1] != "assistant":
            kinds["last"].append(_at(row, "does not end with the assistant's message", places))
        elif len(roles) < 2 or "user" not in roles[:-1]:
            kinds["user"].append(_at(row, "has no user message before the answer", places))
        if any(not each.content.strip() for each in row.messages):
            kinds["empty"].append(_at(row, "has an empty message", places, "Fill it in, or leave the row out."))
        if limits.binary and row.weight not in (0, 1):
            remedy = "Trainers take 0 and 1 only: leave data.weight out, or tune on other rows."
            kinds["weight"].append(_at(row, f"has the weight {row.weight:g}", places, remedy))
    if rows and all(row.weight == 0 for row in rows):
        kinds["nothing"].append(Problem("every training row has the weight 0: nothing would be learned"))
    return [problem for kind in kinds.values() for problem in capped(kind)]


def _twice(rows: Sequence[TrainingRow], places: Places) -> list[Problem]:
    """Rows that are there twice, and prompts with two answers."""
    first: dict[object, TrainingRow] = {}
    again: list[Problem] = []
    torn: list[Problem] = []
    for row in rows:
        known = first.setdefault(row.prompt, row)
        if known is row:
            continue
        if known.answer == row.answer:
            again.append(_at(row, f"is the same as {known.example_id}", places, "Remove one."))
        else:
            what = (
                f"has the prompt of {known.example_id} and another answer ({row.answer[:40]!r}, {known.answer[:40]!r})"
            )
            torn.append(_at(row, what, places, "One of them is wrong."))
    return [*capped(again), *capped(torn)]


def _too_long(rows: Sequence[TrainingRow], most: int, places: Places, model: str) -> list[Problem]:
    counts = ((row, count_messages(row.messages, model)[0]) for row in rows)
    return capped(
        [
            _at(row, f"has about {tokens:,} tokens, and a row may have {most:,}", places, "Cut it, or leave it out.")
            for row, tokens in counts
            if tokens > most
        ]
    )


def notes(rows: Sequence[TrainingRow]) -> tuple[str, ...]:
    """What is worth knowing of the rows and stops nothing: labels out of balance."""
    labels = Counter(said(row.example.answers[0]) for row in rows if row.example is not None and row.example.answers)
    if len(labels) < 2 or 2 * len(labels) > labels.total():
        return ()
    (most, many), (least, few) = labels.most_common()[0], labels.most_common()[-1]
    if many < SKEWED * few:
        return ()
    return (f"labels are out of balance: {many} training rows say {most!r}, {few} say {least!r}.",)


def distinct(rows: Sequence[TrainingRow]) -> tuple[tuple[TrainingRow, ...], int]:
    """The rows without exact repeats, and how many those were."""
    kept = tuple({row.messages: row for row in reversed(rows)}.values())[::-1]
    return kept, len(rows) - len(kept)
