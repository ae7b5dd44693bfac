"""What the columns of a labelled file are: which are inputs, which kind of answer the label column holds. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from promptlab.dataset.file import Table
from promptlab.errors import BadInput, Problem, nearest

Kind = Literal["classes", "flag", "number", "text"]

MOST_CLASSES = 50
MOST_COUNTED = 10  # whole numbers that are so few are classes (0/1, stars), not amounts
FEWEST_EACH = 3  # rows of a class, on average
LONGEST_CLASS = 80  # characters
_ID = re.compile(r"(?i:id|uuid|guid|index|idx|row|nr|no|#|unnamed: ?\d+)|.*(?:[_\- ](?i:id|uuid)|[a-z]I[dD])")
_FOLD = ("split", "fold", "set")
_FOLDS = frozenset(("train", "dev", "test", "validation", "valid", "val"))
_AMOUNT = re.compile(r"[-+]?(?:0|[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*|(?=\.))(?:\.\d+)?(?:[eE][-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Answers:
    """The label column: its kind, for classes their names in order of first sight, ``many`` for lists of answers."""

    kind: Kind
    classes: tuple[str, ...] = ()
    many: bool = False


def input_columns(table: Table, label: str) -> tuple[list[str], dict[str, str]]:
    """The columns that prompts show, and those left out with the reason; ``label`` "": there is none.

    BadInput if the label column is not there.
    """
    known = [name for name in table.columns if name]
    if label and label not in known:
        near = nearest(label, known)
        remedy = near if near.startswith("Known") else f"{near} Columns: {', '.join(known[:20])}."
        raise BadInput(Problem(f"no column {label!r}", table.path, remedy=remedy))
    reasons = {name: _reason(table, name) for name in known if name != label}
    inputs = [name for name, reason in reasons.items() if not reason]
    out = {name: reason for name, reason in reasons.items() if reason}
    if not inputs:  # better an id in a prompt than no prompt
        inputs = [name for name, reason in out.items() if "id" in reason]
        out = {name: reason for name, reason in out.items() if name not in inputs}
    if not inputs:
        remedy = "A prompt needs something to show: add a column of texts."
        what = f"there is no input beside the label column {label!r}" if label else "no column can be an input"
        raise BadInput(Problem(what, table.path, remedy=remedy))
    return inputs, out


def _reason(table: Table, name: str) -> str:
    """Why a column is no input; empty if it is one."""
    values = [row.cells[name] for row in table.rows if name in row.cells]
    missing = len(table.rows) - len(values)
    if missing:
        return f"{missing} rows lack it"
    if _ID.fullmatch(name.strip()):
        return "looks like an id"
    if name.lower() in _FOLD and all(str(value).strip().lower() in _FOLDS for value in values):
        return "says train, dev or test"
    if all(value is None or (isinstance(value, str) and not value.strip()) for value in values):
        return "is empty"
    return ""


def answers_of(values: Sequence[Any]) -> Answers:
    """The kind of answers in the label column; empty cells say nothing (loading the file names their rows)."""
    if any(isinstance(value, list) for value in values):
        return Answers("text", many=True)
    given = [value for value in values if value is not None and str(value).strip()]
    if given and all(isinstance(value, bool) for value in given):
        return Answers("flag")
    texts = [value if isinstance(value, str) else str(value) for value in given]
    names = tuple(dict.fromkeys(texts))
    few = 2 <= len(names) <= MOST_CLASSES and len(texts) >= FEWEST_EACH * len(names)
    short = all(len(name) <= LONGEST_CLASS and name.isprintable() for name in names)
    classes = Answers("classes", tuple(sorted(names, key=_order)) if _numbers(names) else names)
    if texts and _numbers(names):
        whole = all("." not in name and "e" not in name.lower() for name in names)
        return classes if few and whole and len(names) <= MOST_COUNTED else Answers("number")
    plain = all(isinstance(value, (str, int, float)) and not isinstance(value, bool) for value in given)
    return classes if few and short and plain else Answers("text")


def _numbers(names: Sequence[str]) -> bool:
    """Whether all are amounts: 01 and 007 are codes."""
    return all(_AMOUNT.fullmatch(name.strip()) for name in names)


def _order(name: str) -> float:
    return float(name.replace(",", ""))


def shown(inputs: Mapping[str, str]) -> str:
    """The inputs for people: the columns, quoted."""
    return ", ".join(repr(column) for column in inputs.values())
