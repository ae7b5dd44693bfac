"""Rows fixed and rows broken: where one variant answers right what another gets wrong, with the texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str]
Kind = Literal["fixed", "broken", "better", "worse"]


@dataclass(frozen=True, slots=True)
class Flip:
    """A row whose score rose (fixed) or fell (broken) by ``gain``; graded scores get better or worse.

    ``before`` and ``after`` are the answers as parsed, or the status in brackets where there is none; ``outputs`` the
    whole texts. Of repeats the first one is shown; scores are their means.
    """

    example: str
    kind: Kind
    inputs: Mapping[str, str]
    label: str
    before: str
    after: str
    outputs: tuple[str, str]
    gain: float


def flips(predictions: pd.DataFrame, one: Key, other: Key, split: str) -> tuple[Flip, ...]:
    """What changes from ``one`` (before, the baseline) to ``other`` (after), each as (run, variant).

    Only rows that both have a score on: the same id, and of tables read together the same inputs and label, too. Broken
    ones first, then fixed ones, each by how much the score changed, then in the order of the rows.
    """
    before, after = (_cells(predictions, key, split) for key in (one, other))
    inputs = [name for name in predictions.columns if name.startswith("input.")]
    words = _words(predictions[predictions["split"] == split]["score"])
    found = []
    for row, (was, old) in before.items():
        if row not in after or after[row][1] == old or old != old or after[row][1] != after[row][1]:  # noqa: PLR0124 - NaN
            continue
        now, new = after[row]
        found.append(
            Flip(
                str(now["example"]), words[new > old],
                {name.removeprefix("input."): _text(now[name]) for name in inputs},
                _text(now.get("label")), _answer(was), _answer(now),
                (_text(was.get("output")), _text(now.get("output"))), new - old,
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda flip: (flip.gain > 0, -abs(flip.gain))))


def _words(scores: pd.Series[Any]) -> tuple[Kind, Kind]:
    """What a row is called whose score fell, and one whose score rose: only what is right or wrong can be broken."""
    return ("broken", "fixed") if scores.dropna().isin((0.0, 1.0)).all() else ("worse", "better")


def table(found: Sequence[Flip]) -> tuple[list[str], Iterator[list[Any]]]:
    """Flips as columns and rows of a CSV."""
    inputs = list(dict.fromkeys(name for flip in found for name in flip.inputs))
    header = ["example", "kind", "gain", *(f"input.{name}" for name in inputs), "label", "before", "after"]
    return [*header, "output_before", "output_after"], _rows(found, inputs)


def _rows(found: Iterable[Flip], inputs: Sequence[str]) -> Iterator[list[Any]]:
    for flip in found:
        own = [flip.inputs.get(name) for name in inputs]
        yield [flip.example, flip.kind, flip.gain, *own, flip.label, flip.before, flip.after, *flip.outputs]


def _cells(predictions: pd.DataFrame, key: Key, split: str) -> dict[Any, tuple[dict[str, Any], float]]:
    """By row: its first prediction, and the mean score of all its repeats."""
    own = (predictions["run"] == key[0]) & (predictions["variant"] == key[1]) & (predictions["split"] == split)
    part = predictions[own]
    by = "row" if "row" in part.columns else "example"
    means = part.groupby(by, sort=False)["score"].mean()
    first = part.drop_duplicates(by)
    rows = ({str(name): value for name, value in row.items()} for row in first.to_dict("records"))
    return {row[by]: (row, float(means[row[by]])) for row in rows}


def _answer(row: Mapping[str, Any]) -> str:
    answer = _text(row.get("answer"))
    status = _text(row.get("status"))
    return answer or (f"({status})" if status not in ("", "ok") else "")


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN
