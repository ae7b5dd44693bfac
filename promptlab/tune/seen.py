"""Held-out rows in what training rows show beside their own inputs: demos, the template's text, passages. Pure.

A demo or a template that repeats a dev or test row is a leak as a training row would be. Passages are not: inference
shows the corpus as well. But one that holds a question together with its answer was read in training, and that is told.
Compared are whole values of at least four words, case and punctuation aside; what train says as well is nobody's
secret, nor is what many rows say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from promptlab.dataset.file import capped
from promptlab.dataset.leak import words
from promptlab.errors import Problem
from promptlab.metrics.accepted import text_of
from promptlab.records import Example, Passage
from promptlab.tune.rows import TrainingRow

FEWEST = 4  # words that a value has to have
COMMON = 2  # rows that may say the same; what more of them say is a manner of speaking
NAMED = 3

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """What a held-out row says in one of its inputs."""

    split: str
    example: Example
    words: Words

    def answered(self, around: Words) -> bool:
        """Whether one of its answers stands in a text around it."""
        return any(_within(words(text_of(each)), around) for each in self.example.answers)

    @property
    def name(self) -> str:
        """The row."""
        return f"{self.split} row {self.example.row or self.example.id}"


@dataclass(frozen=True, slots=True)
class Index:
    """Values by their first words."""

    values: Mapping[Words, Sequence[Value]]

    def found(self, text: str) -> Iterator[tuple[Value, Words]]:
        """Each value that a text holds, and the words around it."""
        said = words(text) if self.values else ()
        for start in range(len(said) - FEWEST + 1):
            for value in self.values.get(said[start : start + FEWEST], ()):
                end = start + len(value.words)
                if said[start:end] == value.words:
                    yield value, (*said[:start], *said[end:])


def index(held: Mapping[str, Sequence[Example]], taught: Sequence[Example]) -> Index:
    """The values of held-out rows, but for those that training rows have as well."""
    told = {said for example in taught for said in _said(example)}
    every = [Value(split, example, said) for split, rows in held.items() for example in rows for said in _said(example)]
    counts = Counter(each.words for each in every)
    found: dict[Words, list[Value]] = defaultdict(list)
    for each in every:
        if each.words not in told and counts[each.words] <= COMMON:
            found[each.words[:FEWEST]].append(each)
    return Index(found)


def leaks(rows: Sequence[TrainingRow], index: Index) -> list[Problem]:
    """Demos and template texts that repeat a held-out row, each told with the first training row that shows it."""
    told: dict[str, Problem] = {}
    known: dict[str, list[Value]] = {}
    for row in rows:
        beside = sorted(filter(_long, (*_own(row), *(each.text for each in row.passages))), key=len, reverse=True)
        for message in row.prompt:
            rest = message.content
            for text in beside:
                rest = rest.replace(text, "\n")
            if rest not in known:
                known[rest] = [value for value, _ in index.found(rest)]
            for value in known[rest]:
                if not any(_within(value.words, words(each)) for each in beside):
                    told.setdefault(value.name, _repeats(row, value))
    return capped(list(told.values()))


def given_away(rows: Sequence[TrainingRow], index: Index) -> dict[str, list[str]]:
    """The passages shown in training that hold a held-out question and its answer, and whose: by the passage's id."""
    shown = {each.id: each for row in rows for each in row.passages}
    found = {
        name: list(dict.fromkeys(value.name for value, around in index.found(_whole(each)) if value.answered(around)))
        for name, each in shown.items()
    }
    return {name: values for name, values in found.items() if values}


def saying(found: Mapping[str, Sequence[str]]) -> list[str]:
    """What to tell of such passages."""
    if not found:
        return []
    some = "; ".join(f"{name}: {', '.join(values[:NAMED])}" for name, values in list(found.items())[:NAMED])
    what = "1 passage holds" if len(found) == 1 else f"{len(found)} passages hold"
    told = (
        f"of what the training rows show, {what} a question of dev or test together with its answer ({some}"
        f"{'; …' * (len(found) > NAMED)}): on those rows a score says how well the corpus was learned by heart."
    )
    return [told]


def _own(row: TrainingRow) -> list[str]:
    """The texts of a row's own inputs."""
    values = () if row.example is None else row.example.inputs.values()
    return [each if isinstance(each, str) else text_of(each) for each in values]


def _whole(passage: Passage) -> str:
    return f"{passage.title}\n{passage.text}"


def _said(example: Example) -> Iterator[Words]:
    for value in example.inputs.values():
        said = words(value) if isinstance(value, str) else ()
        if len(said) >= FEWEST:
            yield said


def _repeats(row: TrainingRow, value: Value) -> Problem:
    number = row.example.row if row.example is not None and row.example.row else row.example_id
    what = f"training row {number} shows the {value.name}, and not in a passage: {' '.join(value.words)[:60]!r}"
    remedy = f"Take it out of the demos or the template: a score on {value.split} would be a memory test."
    return Problem(what, remedy=remedy)


@lru_cache(maxsize=10_000)
def _long(text: str) -> bool:
    """Whether a value can be in a text at all."""
    return len(words(text)) >= FEWEST


def _within(some: Words, text: Words) -> bool:
    return bool(some) and any(text[at : at + len(some)] == some for at in range(len(text) - len(some) + 1))
