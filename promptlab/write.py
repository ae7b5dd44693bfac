"""The only writer of tables: UTF-8 CSV that no spreadsheet runs as a formula, whole or not at all."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem

_FORMULA = re.compile(r"\s*[=+\-@\t\r\n|%＝＋－＠]")  # noqa: RUF001 - full-width signs start formulas, too
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")


def safe(value: Any) -> Any:
    """A cell that no spreadsheet runs: text like a formula gets an apostrophe in front. NUL becomes its picture."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return ("true" if value else "false") if isinstance(value, bool) else value
    if "\0" in value:
        value = value.replace("\0", "\N{SYMBOL FOR NULL}")
    if value and value[0] in _SUSPECT and _FORMULA.match(value) and not _NUMBER.match(value):
        return "'" + value
    return value


_SUSPECT = frozenset("=+-@\t\r\n|%＝＋－＠ \u00a0\u3000\ufeff")  # noqa: RUF001


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write all rows, then put the file in its place; a reader never sees half a table."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", errors="replace", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the other leaves a lone \\r bare
            out.writerow(columns)
            for row in rows:
                cells = [safe(value) for value in row]
                (quoted if any("\r" in each for each in cells if isinstance(each, str)) else out).writerow(cells)
        os.replace(partial, path)  # noqa: PTH105 - atomic
    except OSError as error:
        remedy = "Close the file if a spreadsheet holds it, and run the same command: nothing is lost."
        raise BadInput(Problem(f"cannot write the table: {error.strerror}", str(path), remedy=remedy)) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(text, encoding="utf-8", errors="replace")
    os.replace(partial, path)  # noqa: PTH105 - atomic
