"""One cell at a time: what a label, a weight, a fold, a group, an id, a list of passages may hold in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from promptlab.dataset.file import Row, parse_json
from promptlab.errors import nearest
from promptlab.records import Passage, Split

_FOLDS: Mapping[str, Split] = {
    "train": "train", "dev": "dev", "test": "test", "validation": "dev", "valid": "dev", "val": "dev",
}  # fmt: skip


class CellError(Exception):
    """A cell that cannot be used: what is wrong with it, and the remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        self.message, self.remedy = message, remedy
        super().__init__(message)


def read_inputs(row: Row, columns: Iterable[str]) -> dict[str, Any]:
    """The input columns of a row. An object without one of them is a problem, never a silent None in a prompt."""
    inputs = {}
    for column in columns:
        if column not in row.cells:
            raise CellError(f"no value for column {column!r}", "Write null, or name the columns under data.inputs.")
        _carried(row.cells[column], column)
        inputs[column] = row.cells[column]
    return inputs


def _carried(value: Any, column: str) -> None:
    """Raise CellError if a text in the value cannot be sent: half of a surrogate pair, as JSON escapes can make."""
    try:
        json.dumps([column, value], ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        message = f"column {column!r} holds the lone surrogate \\u{code:04x}, which UTF-8 cannot carry"
        raise CellError(message, "Write the whole character.") from None


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def read_label(row: Row, column: str, sep: str | None) -> Any:
    """The accepted answer, as it is in the file; with a separator the tuple of all accepted answers."""
    value = row.cells.get(column)
    label = value if sep is None else _answers(value, sep)
    _carried(value, column)
    _carried(label, column)
    if _empty(label) or label == ():
        raise CellError(f"the label in column {column!r} is empty", "Label the row or take it out.")
    return label


def read_labels(row: Row, column: str, sep: str | None) -> list[Any]:
    """The set of labels of a row, each once, sorted by their text. No label at all is written ``[]``."""
    value = row.cells.get(column)
    _carried(value, column)
    found = _answers(value, sep or "")
    _carried(list(found), column)
    said = value == [] or (isinstance(value, str) and _listed(value) == [])
    if not found and not said:
        raise CellError(f"the labels in column {column!r} are empty", "Write [] where none applies, or label the row.")
    for each in found:
        if isinstance(each, list | dict):
            raise CellError(f"a label in column {column!r} is {_shown(each)}", "A label is a text or a number.")
    return sorted({_text(each): each for each in found}.values(), key=_text)


def _answers(value: Any, sep: str) -> tuple[Any, ...]:
    """Every accepted answer of a cell: a list as it is, text as a JSON list or separated by ``sep`` and trimmed."""
    if isinstance(value, str):
        listed = _listed(value)
        parts = [part.strip() for part in value.split(sep)] if sep else [value]
        value = parts if listed is None else listed
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if not _empty(each))


def _listed(text: str) -> list[Any] | None:
    """The JSON list that a text holds, if it does."""
    try:
        value = parse_json(text) if text.lstrip().startswith("[") else None
    except ValueError:
        return None
    return value if isinstance(value, list) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def read_group(row: Row, column: str) -> str:
    """The name of the row's group; empty = none."""
    value = row.cells.get(column)
    _carried(value, column)
    return "" if _empty(value) else _text(value)


def read_weight(row: Row, column: str) -> float:
    """A number above 0."""
    value = row.cells.get(column)
    try:
        weight = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise CellError(f"the weight in column {column!r} is {_shown(value)}", "A weight is a number above 0.")
    return weight


def read_fold(row: Row, column: str) -> Split:
    """The split that the file itself gives the row."""
    value = row.cells.get(column)
    fold = _FOLDS.get(str(value).strip().lower())
    if fold is None:
        remedy = f"It says train, dev or test. {nearest(str(value), _FOLDS)}".strip()
        raise CellError(f"column {column!r} holds {_shown(value)}", remedy)
    return fold


def read_passages(row: Row, column: str) -> tuple[Passage, ...]:
    """The passages that the row brings along; an empty cell brings none."""
    value = row.cells.get(column)
    if _empty(value):
        return ()
    items = _listed(value) if isinstance(value, str) else value
    if not isinstance(items, list):
        raise CellError(f"column {column!r} holds {_shown(value)}", "Passages are a JSON list of texts or objects.")
    _carried(items, column)
    return tuple(_passage(item, place, column) for place, item in enumerate(items, start=1))


def _passage(item: Any, place: int, column: str) -> Passage:
    """A passage as its row gives it, its title in front of its text. Without an id, title or place names it."""
    fields = item if isinstance(item, dict) else {"text": item}
    if not isinstance(text := fields.get("text"), str):
        remedy = 'A passage is a text or an object like {"id": "…", "text": "…"}.'
        raise CellError(f"passage {place} in column {column!r} is {_shown(item)}", remedy)
    title = "" if _empty(fields.get("title")) else _text(fields["title"])
    name = title or f"p{place}" if _empty(fields.get("id")) else _text(fields["id"])
    return Passage(name, f"{title}: {text}" if title else text)


def read_gold(row: Row, column: str) -> tuple[str, ...]:
    """What holds the row's answer: ids of passages or documents, or texts, each once; an empty cell names none."""
    value = row.cells.get(column)
    _carried(value, column)
    listed = _listed(value) if isinstance(value, str) else value
    if listed is None:
        listed = value
    items = listed if isinstance(listed, list) else [listed]
    for each in items:
        if isinstance(each, bool | list | dict):
            remedy = "It holds the id of a passage or document, a text, or a list of them."
            raise CellError(f"column {column!r} holds {_shown(each)}", remedy)
    return tuple(dict.fromkeys(_text(each).strip() for each in items if not _empty(each)))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def read_id(row: Row, column: str) -> str:
    """The id of a row, as text."""
    value = row.cells.get(column)
    _carried(value, column)
    if _empty(value):
        raise CellError(f"the id in column {column!r} is empty", "Fill it in.")
    if isinstance(value, bool | list | dict):
        raise CellError(f"the id in column {column!r} is {_shown(value)}", "An id is a text or a number.")
    return _text(value)
