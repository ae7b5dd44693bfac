"""Predictions by the hundred thousand: past a number of them, each is packed into bytes, and made again on a look."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, overload

from promptlab.records import Call, Completion, Prediction, Usage

Kept: TypeAlias = Prediction | bytes

PLAIN = 10_000  # predictions of one round that stay as they are: packing saves memory, and takes time


def keep(place: int, row: Prediction, calls: tuple[Call, ...]) -> Kept:
    """A prediction with its calls behind those it has, the ``place``-th of its round. A failed one is never packed."""
    if place < PLAIN or row.status == "error":
        return replace(row, calls=(*row.calls, *calls)) if calls else row
    calls = (*row.calls, *calls)
    answer = str(row.answer) if isinstance(row.answer, str) else row.answer  # a label is a text of its own kind
    head = (row.variant, row.example, row.repeat, row.split, row.phase, row.status, answer, row.score)
    tail = (dict(row.scores), row.output, row.model, row.error, row.prompt_tokens, row.explanation)
    found = (row.passages, dict(row.measures))
    packed = (*head, *tail, found, [_flat(call) for call in calls])
    try:
        return marshal.dumps(packed)
    except ValueError:  # an answer of a user's own kind
        return replace(row, calls=calls)


def looked_at(kept: Kept) -> Prediction:
    """The prediction, made again where it was packed."""
    if isinstance(kept, Prediction):
        return kept
    *fields, explanation, found, calls = marshal.loads(kept)  # noqa: S302 - bytes that keep made, in this process
    return Prediction(*[*fields, tuple(map(_call, calls)), explanation, *found])


class Predictions(Sequence[Prediction]):
    """Predictions in order, some of them packed: looking at one makes it."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[Kept] = ()) -> None:
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Prediction]:
        return map(looked_at, self._rows)

    @overload
    def __getitem__(self, place: int) -> Prediction: ...
    @overload
    def __getitem__(self, place: slice) -> Predictions: ...
    def __getitem__(self, place: int | slice) -> Prediction | Predictions:
        return Predictions(self._rows[place]) if isinstance(place, slice) else looked_at(self._rows[place])

    def extend(self, rows: Iterable[Kept]) -> None:
        """Add some at the end."""
        self._rows += rows

    def by_variant(self) -> dict[str, Predictions]:
        """The predictions of each variant, in order."""
        found: dict[str, list[Kept]] = {}
        for row in self._rows:
            variant = row.variant if isinstance(row, Prediction) else marshal.loads(row)[0]  # noqa: S302 - as above
            found.setdefault(variant, []).append(row)
        return {variant: Predictions(rows) for variant, rows in found.items()}


def _flat(call: Call) -> tuple[Any, ...]:
    done = call.completion
    said: tuple[Any, ...] = ()
    if done is not None:
        usage = done.usage
        counts = (usage.tokens_in, usage.tokens_out, usage.tokens_cached, usage.source)
        said = (done.text, done.finish_reason, counts, done.model, done.reasoning, done.fingerprint)
    key = bytes.fromhex(call.key)
    return (key, call.purpose, said, call.usd, call.latency, call.attempts, call.error, call.cached)


def _call(fields: tuple[Any, ...]) -> Call:
    key, purpose, said, *rest = fields
    completion = None
    if said:
        text, finish, counts, *more = said
        completion = Completion(text, finish, Usage(*counts), *more)
    return Call(key.hex(), purpose, completion, *rest)
