"""Rows out of files: csv, tsv, jsonl, json, parquet. Whatever is wrong with the rows is told at once, by line."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import decimal
import importlib
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem, nearest

SPELLED_OUT = 10  # problems of one kind that are spelled out; the rest are counted
_WIDEST_CELL = 2**31 - 1  # the csv module's limit is a C long, which has 32 bits on some systems


@dataclass(frozen=True, slots=True)
class Row:
    """One data row: its 1-based ``number``, the ``line`` of its file where it starts (0 = unknown), its cells."""

    number: int
    line: int
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """What a file holds: its columns in order of appearance, the rows that could be read, and what is wrong."""

    path: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()


def capped(problems: Sequence[Problem]) -> list[Problem]:
    """The first ten problems of one kind, and a count of the others where the first of those stands."""
    shown = list(problems[:SPELLED_OUT])
    if len(problems) > len(shown):
        rest = problems[len(shown)]
        shown.append(Problem(f"and {len(problems) - len(shown)} more rows like these", rest.path, rest.line))
    return shown


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file as dicts. csv and tsv: every cell is text; jsonl, json, parquet: types are kept.

    Raises BadInput with every problem of the file.
    """
    table = read_table(path)
    if table.problems:
        raise BadInput(table.problems)
    return [dict(row.cells) for row in table.rows]


def read_table(path: Path) -> Table:
    """The rows of a file with their lines. Raises BadInput if there is no such file or no text can be read from it.

    Problems of single rows are in ``Table.problems``, so that a caller can tell them together with its own.
    """
    data = _bytes(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(suffix.lstrip(".") for suffix in _READERS)
        raise BadInput(Problem(f"unknown kind of file {path.suffix!r}", str(path), remedy=f"Known: {known}."))
    return reader(data, str(path))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        folder = path.parent
        if folder.is_dir():
            near = nearest(path.name, (each.name for each in folder.iterdir() if each.is_file()))
            remedy = near or "Its folder holds no files."
        else:
            remedy = f"There is no folder {str(folder)!r} either."
        raise BadInput(Problem("no such file", str(path), remedy=remedy)) from None
    except OSError as error:
        raise BadInput(Problem(f"cannot be read: {error.strerror}", str(path))) from None


def _decode(data: bytes, path: str) -> str:
    """Text of UTF-8 bytes, without the byte order mark."""
    remedy = "Save it as UTF-8."
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadInput(Problem("is UTF-16, not UTF-8", path, 1, remedy))
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = error.start - data.rfind(b"\n", 0, error.start)
        message = f"byte 0x{data[error.start]:02X} (byte {place} of line {line}) is not UTF-8"
        raise BadInput(Problem(message, path, line, remedy)) from None


def _csv(data: bytes, path: str) -> Table:
    table = _delimited(_decode(data, path), path, ",")
    if len(table.columns) == 1 and ";" in table.columns[0] and "," not in table.columns[0]:
        remedy = "Save it with commas, or as .tsv with tabs."
        raise BadInput(Problem("the cells are separated by ;", path, 1, remedy))
    return table


def _tsv(data: bytes, path: str) -> Table:
    return _delimited(_decode(data, path), path, "\t")


def _delimited(text: str, path: str, delimiter: str) -> Table:
    limit = csv.field_size_limit(_WIDEST_CELL)
    try:
        problems: list[Problem] = []
        records = _records(text, path, delimiter, problems)
        header = next(records, (0, []))[1]
        rows: list[Row] = []
        for number, (line, cells) in enumerate(records, start=1):
            if len(cells) == len(header):
                rows.append(Row(number, line, dict(zip(header, cells, strict=True))))
            else:
                message = f"row {number} has {len(cells)} cells, the header has {len(header)}"
                problems.append(Problem(message, path, line, "Quote cells that hold the separator."))
    finally:
        csv.field_size_limit(limit)
    return Table(path, tuple(header), tuple(rows), (*_twice(header, path), *capped(problems)))


def _records(text: str, path: str, delimiter: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """(First line, cells) of each record that is not a blank line. A broken quote ends the reading: a problem."""
    # newline="" keeps line ends inside quoted cells as they are; strict refuses what would be read wrongly
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            remedy = 'Write a quote inside a quoted cell twice ("") and close every quote.'
            problems.append(Problem(f"the row that starts here cannot be read: {error}", path, line, remedy))
            return
        if cells is None:
            return
        if cells:
            yield line, cells
        line = reader.line_num + 1


def _twice(header: Iterable[str], path: str) -> list[Problem]:
    remedy = "Give each column its own name."
    return [
        Problem(f"{count} columns are called {name!r}", path, 1, remedy)
        for name, count in Counter(header).items()
        if count > 1
    ]


def _jsonl(data: bytes, path: str) -> Table:
    rows: list[Row] = []
    problems: list[Problem] = []
    number = 0
    for line, text in enumerate(_decode(data, path).split("\n"), start=1):
        if not text.strip():
            continue
        number += 1
        try:
            rows.append(Row(number, line, _object(parse_json(text))))
        except ValueError as error:
            problems.append(Problem(f"row {number}: {error}", path, line))
    return Table(path, _keys(rows), tuple(rows), tuple(capped(problems)))


def _json(data: bytes, path: str) -> Table:
    text = _decode(data, path)
    remedy = "A list of objects is needed; one object per line is called .jsonl."
    try:
        values = parse_json(text) if text.strip() else []
    except ValueError as error:
        raise BadInput(Problem(str(error), path, getattr(error.__cause__, "lineno", 0), remedy)) from None
    if not isinstance(values, list):
        raise BadInput(Problem(f"holds {_kind(values)}", path, 1, remedy))
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, value in enumerate(values, start=1):
        try:
            rows.append(Row(number, 0, _object(value)))
        except ValueError as error:
            problems.append(Problem(f"row {number}: {error}", path))
    return Table(path, _keys(rows), tuple(rows), tuple(capped(problems)))


def _keys(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for row in rows for key in row.cells))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f'a row is an object like {{"text": "…"}}, not {_kind(value)}')  # noqa: TRY004 - a parse error
    return value


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def parse_json(text: str) -> Any:
    """A JSON value. Raises ValueError in plain words: also on a key twice in one object, NaN and Infinity."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_number, parse_float=_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} (column {error.colno})") from error
    except RecursionError:
        raise ValueError("not usable: nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(values := dict(pairs)) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} comes more than once in one object")
    return values


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a JSON number: write null where there is none")
    return value


def _parquet(data: bytes, path: str) -> Table:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        remedy = 'Run: pip install "promptlab-workbench[parquet]"'
        raise BadInput(Problem("parquet files need pyarrow", path, remedy=remedy)) from None
    try:
        table = parquet.read_table(io.BytesIO(data))
        if problems := _twice(table.column_names, path):
            raise BadInput(problems)
        values = [_plain(value) for value in table.to_pylist()]
    except (OSError, ValueError) as error:
        raise BadInput(Problem(f"not a parquet file that can be used: {error}", path)) from None
    rows = tuple(Row(number, 0, value) for number, value in enumerate(values, start=1))
    return Table(path, tuple(table.column_names), rows)


def _plain(value: Any) -> Any:
    """A parquet value as JSON has it: dates and decimals become text, NaN becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | dt.timedelta):
        return str(value)
    raise ValueError(f"a cell holds {type(value).__name__}, which JSON cannot carry")


_READERS: Mapping[str, Callable[[bytes, str], Table]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
}
