"""Train/serve skew: a tuned model may only be asked by the very prompts that it was taught.

Beside train.jsonl stands taught.json: the slots of the variant whose prompts these are, the examples they were made
from, and a few of the prompts. A variant is rendered on the same few examples, and its messages compared with those
that were trained on: so a template that was edited since is found, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput
from promptlab.predict import Task
from promptlab.records import Example, Message, Model, Variant
from promptlab.tune import tuned
from promptlab.tune.rows import TrainingRow

FILE, TRAIN = "taught.json", "train.jsonl"
COMPARED = 8  # training rows on which a prompt is compared with what was taught
_FREE = ("model", "params.")  # slots that no prompt shows


@dataclass(frozen=True, slots=True)
class Taught:
    """What a model was taught. ``rows``: some of its training rows: the example's id, its mark, what was asked."""

    slots: Mapping[str, Any]
    rows: tuple[tuple[str, str, tuple[Message, ...]], ...]

    def known(self, examples: Mapping[str, Example]) -> Iterator[tuple[Example, tuple[Message, ...]]]:
        """The rows that are among some examples still, as they were."""
        for name, mark, asked in self.rows:
            if name in examples and marked(examples[name]) == mark:
                yield examples[name], asked


def content(variant: Variant, rows: Sequence[TrainingRow]) -> bytes:
    """taught.json of a variant that is taught on these rows, in the order of the training file."""
    places = sorted({place * len(rows) // COMPARED for place in range(COMPARED)}) if rows else []
    value = {
        "slots": shown(variant.slots),
        "examples": [row.example_id for row in rows],
        "compared": [_compared(rows[place]) for place in places],
    }
    return (json.dumps(value, indent=1) + "\n").encode()


def _compared(row: TrainingRow) -> dict[str, Any]:
    return {
        "example": row.example_id,
        "mark": "" if row.example is None else marked(row.example),
        "messages": [{"role": each.role, "content": each.content} for each in row.prompt],
    }


def shown(slots: Mapping[str, Any]) -> dict[str, Any]:
    """The slots that decide what a prompt shows."""
    return {name: value for name, value in slots.items() if not name.startswith(_FREE)}


def marked(example: Example) -> str:
    """A short hash of what a prompt may show of an example: a row that was edited is another one."""
    value = [sorted(example.inputs.items()), [[each.id, each.text, each.title] for each in example.passages]]
    text = json.dumps(value, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def taught(path: Path) -> Taught | None:
    """What a taught.json says; None where there is none, or none that is whole."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple((str(each["example"]), str(each["mark"]), _asked(each["messages"])) for each in value["compared"])
        return Taught(dict(value["slots"]), rows)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _asked(messages: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message(each["role"], each["content"]) for each in messages)


def skew(task: Task, variant: Variant, taught: Taught, examples: Mapping[str, Example]) -> str:
    """How a variant asks otherwise than was taught; empty where it does not, as far as the rows are there still."""
    prompt = task.prompt(variant)
    for example, wanted in taught.known(examples):
        found = prompt.foreseen(example)
        if not found.exact:
            return "its passages are known only once a model was asked, and no such ones were taught"
        asked = prompt.messages(example, found.passages)
        if asked != wanted:
            return f"{_apart(asked, wanted)} (training row {example.row or example.id})"
    return ""


def _apart(asked: Sequence[Message], wanted: Sequence[Message]) -> str:
    """The first difference, in words."""
    if len(asked) != len(wanted):
        return f"it sends {len(asked)} messages, and {len(wanted)} were taught"
    for place, (one, other) in enumerate(zip(asked, wanted, strict=True), 1):
        if one.role != other.role:
            return f"message {place} is the {one.role}'s, and it was taught the {other.role}'s there"
        if one.content != other.content:
            here, there = _pieces(one.content, other.content)
            return f"message {place} ({one.role}) differs: it says {here}, and {there} was taught"
    return ""


def _pieces(one: str, other: str) -> tuple[str, str]:
    """Both texts around the first character that differs."""
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - 20)
    return _piece(one, start), _piece(other, start)


def _piece(text: str, start: int) -> str:
    cut = text[start : start + 60]
    return repr("…" * (start > 0) + cut + "…" * (start + 60 < len(text)))


@dataclass(frozen=True)
class Skews:
    """Who asks the tuned models of an experiment otherwise than they were taught.

    ``taught``: by the model's name, for those of which it is known; ``unknown`` are the others. ``files`` say so.
    """

    task: Task
    taught: Mapping[str, Taught]
    unknown: tuple[str, ...]
    examples: Mapping[str, Example]
    files: tuple[Path, ...] = ()
    _told: dict[tuple[str, str], str] = field(default_factory=dict, repr=False, compare=False)

    def of(self, variant: Variant) -> str:
        """How a variant asks its model otherwise than it was taught; empty where it does not, or nobody knows.

        What cannot be rendered is told by whoever renders it.
        """
        if variant.members:
            return next(filter(None, map(self.of, variant.members)), "")
        known = self.taught.get(str(variant.slots["model"]))
        if known is None:
            return ""
        key = str(variant.slots["model"]), repr(shown(variant.slots))
        if key not in self._told:
            try:
                self._told[key] = skew(self.task, variant, known, self.examples)
            except BadInput:
                return ""
        return self._told[key]


def skews(models: Iterable[Model], folder: Path, task: Task, examples: Iterable[Example]) -> Skews:
    """What the models that were tuned in an experiment's ``folder`` were taught; ``examples`` are its training rows."""
    own = [model for model in models if model.recipe]
    entries = {str(each["recipe"]): each for each in tuned.kept(folder)} if own else {}
    rows = {each.id: each for each in examples} if own else {}
    found: dict[str, Taught] = {}
    files: list[Path] = []
    for model in own:
        path = tuned.table(folder).parent / str(entries.get(model.recipe, {}).get("folder", "")) / FILE
        read = taught(path)
        if read is not None and next(read.known(rows), None) is not None:
            found[model.name] = read
            files.append(path)
    return Skews(task, found, tuple(model.name for model in own if model.name not in found), rows, tuple(files))
