"""Documents out of the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from promptlab.dataset.file import Row, Table, capped, read_table
from promptlab.errors import BadInput, Problem, nearest
from promptlab.retrieve.document import Document

SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet"})


def rows(path: Path, shown: str, columns: Mapping[str, str]) -> tuple[list[Document], int]:
    """The documents of a table, and how many rows hold no text. ``shown`` is the path that ids and documents say.

    Columns are called ``id``, ``text`` and ``title`` unless ``columns`` says otherwise; without an id column a row is
    ``path:number``. Raises BadInput with every problem of the table.
    """
    table = _table(path, shown)
    if not table.rows and not table.problems:
        return [], 0
    problems = [*table.problems, *_missing(table, columns)]
    if problems:
        raise BadInput(problems)
    found: list[Document] = []
    empty = 0
    for row in table.rows:
        wrong = list(_wrong(row, table, columns))
        problems += wrong
        text = row.cells.get(columns.get("text", "text"))
        if wrong:
            continue
        if text is None or not text.strip():
            empty += 1
        else:
            found.append(_document(row, shown, columns, table.columns))
    if problems:
        raise BadInput(capped(problems))
    return found, empty


def _table(path: Path, shown: str) -> Table:
    """The rows of a file; where it holds none, how to go on without it is told as well."""
    try:
        return read_table(path)
    except BadInput as bad:
        if path.suffix.lower() != ".json":
            raise
        others = f"{shown.rpartition('/')[0] or '.'}/*.md"
        more = f"Or leave it out: name the other files, like `corpus: {others}`."
        raise BadInput([replace(each, remedy=f"{each.remedy} {more}".strip()) for each in bad.problems]) from None


def _missing(table: Table, columns: Mapping[str, str]) -> Iterator[Problem]:
    for name in {"text": "text", **columns}.values():
        if name not in table.columns:
            remedy = f"{nearest(name, table.columns)} Say which: {{path: …, text: COLUMN}}."
            yield Problem(f"there is no column {name!r}", table.path, 1, remedy.strip())


def _wrong(row: Row, table: Table, columns: Mapping[str, str]) -> Iterator[Problem]:
    for role in ("text", "title", "id"):
        name = columns.get(role, role)
        value = row.cells.get(name)
        where = f"row {row.number}: column {name!r}"
        if role == "text" and name not in row.cells:
            remedy = f'Its keys: {", ".join(row.cells) or "none"}. A row without text says null or "".'
            yield Problem(f"{where} is not there", table.path, row.line, remedy)
        elif role == "id" and name in table.columns and (isinstance(value, bool) or not _named(value)):
            yield Problem(f"{where} holds no id: {value!r}", table.path, row.line, "Give each row an id of its own.")
        elif role != "id" and not isinstance(value, str | None):
            yield Problem(f"{where} holds {type(value).__name__}, not text", table.path, row.line)
        elif isinstance(value, str) and not _sendable(value):
            yield Problem(f"{where} holds half of a surrogate pair, which UTF-8 cannot carry", table.path, row.line)


def _named(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and bool(value.strip()))


def _sendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _document(row: Row, shown: str, columns: Mapping[str, str], known: tuple[str, ...]) -> Document:
    cells, named = row.cells, columns.get("id", "id")
    own = str(cells[named]) if named in known else f"{shown}:{row.number}"
    title = cells.get(columns.get("title", "title")) or ""
    return Document(own, cells[columns.get("text", "text")], " ".join(title.split()), shown, row.line)
