"""Learning from an uploaded file: a softmax head by gradient descent, or answers by heart.

What a row teaches is what the engine sees of it when it answers: the text that its prompt puts to be answered.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptlab.embedded.features import DIMENSIONS, vector
from promptlab.embedded.labels import Label, key
from promptlab.embedded.pieces import count_chat
from promptlab.embedded.prompt import read
from promptlab.embedded.replies import read_reply
from promptlab.embedded.tuned import Tuned, folded

FEWEST = 10
MOST = 50_000
_ROLES = ("system", "developer", "user", "assistant")
_PER_LABEL = 2  # rows that each answer has on average if the answers are labels
_MOST_LABELS = 300
_RATE = 3.0  # the texts are unit vectors of many small features


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a training file: the prompt, and the answer that is taught."""

    chat: tuple[tuple[str, str], ...]
    answer: str

    @property
    def tokens(self) -> int:
        """What the row counts as when it is trained on."""
        return count_chat([*(text for _, text in self.chat), self.answer])


class Flawed(Exception):  # noqa: N818 - reads as what it is
    """A file that cannot be trained on: OpenAI's code and what is wrong, line by line."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_rows(content: bytes, kind: str, fewest: int = FEWEST) -> list[Row]:
    """The rows of a file for the method ``kind``: supervised (chats) or dpo (a preferred answer and one that is not).

    Raises Flawed; a validation file may have as few rows as one.
    """
    rows: list[Row] = []
    wrong: list[str] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(_row(json.loads(line), kind))
        except (ValueError, TypeError, RecursionError) as error:
            wrong.append(f"line {number}: {error}"[:200])
    if wrong:
        more = f" (and {len(wrong) - 5} more)" if len(wrong) > 5 else ""
        raise Flawed("invalid_training_file", f"The file cannot be used: {'; '.join(wrong[:5])}{more}")
    if len(rows) < fewest:
        raise Flawed(
            "invalid_n_examples", f"Training file has {len(rows)} example(s), but must have at least {fewest} examples"
        )
    if len(rows) > MOST:
        raise Flawed("invalid_n_examples", f"Training file has {len(rows)} examples, and may have at most {MOST}")
    return rows


def _row(value: Any, kind: str) -> Row:
    if not isinstance(value, dict):
        raise TypeError("expected a JSON object")
    if kind == "dpo":
        asked = value.get("input")
        chat = _messages(asked.get("messages") if isinstance(asked, dict) else None, "input.messages")
        good = _messages(value.get("preferred_output"), "preferred_output")
        _messages(value.get("non_preferred_output"), "non_preferred_output")
        return Row(tuple(chat), good[-1][1])
    chat = _messages(value.get("messages"), "messages")
    if len(chat) < 2 or chat[-1][0] != "assistant":
        raise ValueError("the last message must be from the assistant, after a prompt")
    return Row(tuple(chat[:-1]), chat[-1][1])


def _messages(value: Any, where: str) -> list[tuple[str, str]]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"'{where}' must be a list of messages")
    found = []
    for place, each in enumerate(value):
        role = each.get("role") if isinstance(each, dict) else None
        content = each.get("content") if isinstance(each, dict) else None
        if role not in _ROLES:
            raise ValueError(f"'{where}[{place}].role' is none of {', '.join(_ROLES)}")
        if not isinstance(content, str) or (role == "assistant" and not content):
            raise TypeError(f"'{where}[{place}].content' must be text")
        weight = each.get("weight", 1)
        if weight not in (0, 1) or (role != "assistant" and "weight" in each):
            raise ValueError(f"'{where}[{place}].weight' must be 0 or 1, of an assistant's message")
        found.append((role, content))
    return found


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a file teaches: texts with the place of their answer among ``labels``, or the answers themselves."""

    texts: tuple[str, ...]
    answers: tuple[str, ...]
    labels: tuple[Label, ...]
    sample: str

    @property
    def places(self) -> list[int]:
        """The place of each row's answer."""
        place = {key(label.name): i for i, label in enumerate(self.labels)}
        return [place[key(answer)] for answer in self.answers]


def lesson(rows: Sequence[Row]) -> Lesson:
    """Labels, if answers come again and again; else answers to be known by heart."""
    asked = [read(row.chat) for row in rows]
    answers = [read_reply(row.answer, ask.labels).answer or row.answer for row, ask in zip(rows, asked, strict=True)]
    names = {key(answer): answer for answer in reversed(answers)}
    few = 2 <= len(names) <= min(_MOST_LABELS, len(rows) // _PER_LABEL)
    labels = tuple(Label(names[each]) for each in sorted(names)) if few else ()
    texts = tuple(ask.query for ask in asked)
    return Lesson(texts, tuple(answers), labels, rows[-1].answer)


def epochs(taught: Lesson, count: int, wide: bool, seed: int) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """The mean loss and the weights after each of ``count`` passes over the rows, whose order the seed draws."""
    vectors = [vector(text, wide) for text in taught.texts]
    places = taught.places if taught.labels else []
    weights = np.zeros((len(taught.labels), DIMENSIONS))
    chance, order = Random(seed), list(range(len(places)))
    for epoch in range(count):
        chance.shuffle(order)
        rate, loss = _RATE / (1.0 + 0.5 * epoch), 0.0
        for row in order:
            seen, place = vectors[row], places[row]
            logits = weights[:, seen.index] @ seen.value
            odds = np.exp(logits - logits.max())
            odds /= odds.sum()
            loss -= float(np.log(max(odds[place], 1e-12)))
            odds[place] -= 1.0
            weights[:, seen.index] -= rate * np.outer(odds, seen.value)
        yield loss / max(1, len(order)), np.round(weights, 5).astype(np.float32)


def loss(taught: Lesson, weights: NDArray[np.float32], held: Lesson, wide: bool) -> float | None:
    """The mean loss on rows that are not learned from; None where no answer of theirs is a label that is taught."""
    place = {key(label.name): i for i, label in enumerate(taught.labels)}
    found = []
    for text, answer in zip(held.texts, held.answers, strict=True):
        if key(answer) in place:
            seen = vector(text, wide)
            logits = weights[:, seen.index].astype(np.float64) @ seen.value
            logits -= logits.max()
            found.append(float(np.log(np.exp(logits).sum()) - logits[place[key(answer)]]))
    return sum(found) / len(found) if found else None


def made(name: str, base: str, created: int, taught: Lesson, weights: NDArray[np.float32]) -> Tuned:
    """The model that has learned this."""
    memory = {} if taught.labels else dict(zip(map(folded, taught.texts), taught.answers, strict=True))
    return Tuned(name, base, created, taught.labels, weights, memory, taught.sample)
