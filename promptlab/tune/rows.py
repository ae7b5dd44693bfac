"""Training rows: the very messages of inference, and the right answer as the assistant's. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from promptlab.answer import parse
from promptlab.dataset.file import capped
from promptlab.errors import BadInput, Problem
from promptlab.metrics.accepted import equal, text_of
from promptlab.predict import Prompt, Task
from promptlab.records import Completion, Example, Message, Passage, Variant

UNKNOWN = "its passages are known only once a model was asked; take a retriever that asks nobody, or no passages"


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A chat whose last message is the answer that is taught. ``weight`` is 0 or 1 for most trainers.

    ``passages`` are those that it may show: what was found for it, or its own.
    """

    example_id: str
    messages: tuple[Message, ...]
    weight: float = 1.0
    example: Example | None = None
    passages: tuple[Passage, ...] = field(default=(), compare=False)

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What is asked."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """What is taught."""
        return self.messages[-1].content


def training(task: Task, variant: Variant, examples: Iterable[Example]) -> tuple[TrainingRow, ...]:
    """A row for each example, rendered as the variant will be asked.

    Raises BadInput with all rows that have no label, whose passages nobody knows without asking, or whose answer the
    variant's own parser would not read back.
    """
    prompt = task.prompt(variant)
    rows: list[TrainingRow] = []
    problems: list[Problem] = []
    for example in examples:
        found = prompt.foreseen(example)
        said = _flaw(prompt, example) if found.exact or not example.answers else UNKNOWN
        if said:
            problems.append(Problem(f"training row {example.row or example.id}: {said}"))
            continue
        asked = prompt.messages(example, found.passages)
        message = Message("assistant", target(prompt.word, example.answers[0]))
        rows.append(TrainingRow(example.id, (*asked, message), example.weight, example, found.passages))
    if problems:
        raise BadInput(capped(problems))
    return tuple(rows)


def target(word: str, answer: Any) -> str:
    """An answer as the model should say it, so that the parser ``word`` reads it back."""
    if word.startswith("json:"):
        value: Any = answer
        for step in reversed(word.removeprefix("json:").strip().split(".")):
            value = {step: value}
        return json.dumps(value, ensure_ascii=False)
    if word == "json":
        return json.dumps(answer, ensure_ascii=False)
    if isinstance(answer, (list, tuple)):
        return ", ".join(map(text_of, answer))
    return text_of(answer)


def _flaw(prompt: Prompt, example: Example) -> str:
    """Why the example cannot be taught; empty if it can."""
    if not example.answers:
        return "it has no label"
    answer = example.answers[0]
    text = target(prompt.word, answer)
    if not text.strip():
        return "its label is empty"
    read, status = parse(Completion(text), prompt.parse, prompt.task.labels)
    if status != "ok" or not equal(answer, read):
        return f"the answer {text[:60]!r} would not be read back by `answer: {prompt.word}`; take another template"
    return ""
