"""Train/serve skew: a tuned model may only be asked by the very prompts that it was taught.

Beside train.jsonl stands taught.json: the slots of the variant whose prompts these are, the examples they were made
from (learned.py), and a few of the prompts. A variant is rendered on the same few examples, and its messages compared
with those that were trained on: so a template that was edited since is found, too. The few are rows of the experiment;
where none of them is there any more, they are what the file keeps of them.
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
from promptlab.records import Example, Message, Model, Passage, Variant
from promptlab.tune import tuned
from promptlab.tune.learned import Learned, learned, traces
from promptlab.tune.rows import TrainingRow

FILE, TRAIN = "taught.json", "train.jsonl"
COMPARED = 8  # training rows on which a prompt is compared with what was taught
_FREE = ("model", "params.")  # slots that no prompt shows
Asked = tuple[Example, tuple[Message, ...]]
"""A training row, and what was asked."""


@dataclass(frozen=True, slots=True)
class Taught:
    """What a model was taught. ``rows``: some of its training rows: the example's id, its mark, what was asked.

    ``kept`` are those rows as the file holds them, with the passages that were shown; older files hold none.
    ``learned`` are all rows.
    """

    slots: Mapping[str, Any]
    rows: tuple[tuple[str, str, tuple[Message, ...]], ...]
    kept: tuple[Asked, ...] = ()
    learned: Learned = field(default_factory=Learned)

    def compared(self, examples: Mapping[str, Example]) -> list[Asked]:
        """The rows that a prompt is compared on."""
        return list(self.known(examples)) or list(self.kept)

    def known(self, examples: Mapping[str, Example]) -> Iterator[Asked]:
        """The rows that are among some examples still, as they were."""
        for name, mark, asked in self.rows:
            if name in examples and marked(examples[name]) == mark:
                yield examples[name], asked


def content(variant: Variant, rows: Sequence[TrainingRow]) -> bytes:
    """taught.json of a variant that is taught on these rows, in the order of the training file."""
    places = sorted({place * len(rows) // COMPARED for place in range(COMPARED)}) if rows else []
    value = {
        "slots": shown(variant.slots),
        **traces(rows),
        "compared": [_compared(rows[place]) for place in places],
    }
    return (json.dumps(value, indent=1, default=str) + "\n").encode()


def _compared(row: TrainingRow) -> dict[str, Any]:
    asked = [{"role": each.role, "content": each.content} for each in row.prompt]
    if row.example is None:
        return {"example": row.example_id, "mark": "", "messages": asked}
    return {
        "example": row.example_id,
        "mark": marked(row.example),
        "messages": asked,
        "row": row.example.row,
        "inputs": dict(row.example.inputs),
        "passages": [{"id": each.id, "text": each.text, "title": each.title} for each in row.passages],
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
        kept = tuple((_kept(each), _asked(each["messages"])) for each in value["compared"] if "inputs" in each)
        return Taught(dict(value["slots"]), rows, kept, learned(value))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _kept(value: Mapping[str, Any]) -> Example:
    passages = tuple(Passage(each["id"], each["text"], title=each["title"]) for each in value["passages"])
    return Example(str(value["example"]), dict(value["inputs"]), passages=passages, row=int(value["row"]))


def _asked(messages: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message(each["role"], each["content"]) for each in messages)


def skew(task: Task, variant: Variant, taught: Taught, examples: Mapping[str, Example]) -> str:
    """How a variant asks otherwise than was taught; empty where it does not, as far as it can be compared."""
    prompt = task.prompt(variant)
    for example, wanted in taught.compared(examples):
        found = prompt.foreseen(example)
        if not found.exact:
            return "its passages are known only once a model was asked, and no such ones were taught"
        asked = prompt.messages(example, found.passages)
        if asked != wanted:
            return f"{_apart(asked, wanted)} (on the training row {example.id})"
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
    """Who asks the tuned models of an experiment otherwise than they were taught, or what they were taught to answer.

    ``taught``: by the model's name, for those whose prompts can be compared; ``unknown`` are the others. ``files`` say
    so. ``learned`` are the rows of each that are known; ``held`` those that models are scored on, by split.
    """

    task: Task
    taught: Mapping[str, Taught]
    unknown: tuple[str, ...]
    examples: Mapping[str, Example]
    files: tuple[Path, ...] = ()
    learned: Mapping[str, Learned] = field(default_factory=dict)
    held: Mapping[str, Sequence[Example]] = field(default_factory=dict)
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

    def remembered(self, name: str) -> dict[str, list[Example]]:
        """By split, the scored rows that the model of this name was taught."""
        known = self.learned.get(name, Learned())
        now = {each.id: each for examples in (self.examples.values(), *self.held.values()) for each in examples}
        numbered = known.numbers(now.values())
        found = {split: known.among(examples, numbered=numbered) for split, examples in self.held.items()}
        return {split: examples for split, examples in found.items() if examples}


def skews(
    models: Iterable[Model],
    folder: Path,
    task: Task,
    examples: Iterable[Example],
    held: Mapping[str, Sequence[Example]] | None = None,
) -> Skews:
    """What the models that were tuned in an experiment's ``folder`` were taught.

    ``examples`` are its training rows, ``held`` those that are scored.
    """
    own = [model for model in models if model.recipe]
    entries = {str(each["recipe"]): each for each in tuned.kept(folder)} if own else {}
    rows = {each.id: each for each in examples} if own else {}
    found: dict[str, Taught] = {}
    every: dict[str, Learned] = {}
    files: list[Path] = []
    for model in own:
        path = tuned.table(folder).parent / str(entries.get(model.recipe, {}).get("folder", "")) / FILE
        read = taught(path)
        if read is None:
            continue
        every[model.name] = read.learned
        files.append(path)
        if read.compared(rows):
            found[model.name] = read
    unknown = tuple(model.name for model in own if model.name not in found)
    return Skews(task, found, unknown, rows, tuple(files), every, held or {})
