"""The only writer of tables: UTF-8 CSV that no spreadsheet runs as a formula, whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from promptlab.errors import BadInput, Problem

# What a spreadsheet may take for the start of a formula: a sign, ASCII or one of its wider and smaller forms, also
# behind anything that is not seen. A cell that starts with a tab or a line break is suspect as it stands.
_UNSEEN = r"[\s\x00-\x20\x7f-\xa0\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
_SIGN = "[=+\\-@|%\uff1d\uff0b\uff0d\uff20\uff5c\uff05\ufe66\ufe62\ufe63\ufe6b\ufe6a\u2212]"
_FORMULA = re.compile(rf"'*(?:[\t\r\n]|{_UNSEEN}*{_SIGN})")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_NUL, _PICTURE = "\0", "\N{SYMBOL FOR NULL}"


def safe(value: Any) -> Any:
    """A cell that no spreadsheet runs: text like a formula gets an apostrophe in front, plain numbers stay.

    Text that already is apostrophes before a formula gets one more, so that ``unguarded`` gives back every text.
    NUL, which no CSV reader is sure to survive, becomes its picture. None and NaN are empty: not measured.
    """
    if isinstance(value, str):
        if _NUL in value:
            value = value.replace(_NUL, _PICTURE)
        if not value or value[0].isalnum():
            return value
        return "'" + value if _suspect(value) else value
    if value is None or value != value:  # noqa: PLR0124 - NaN, of any kind of float
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else value


def unguarded(text: str) -> str:
    """The text that ``safe`` guarded, without its apostrophe; other text as it is."""
    return text[1:] if text.startswith("'") and _suspect(text[1:]) else text


def _suspect(text: str) -> bool:
    return _FORMULA.match(text) is not None and _NUMBER.match(text) is None


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write all rows, then put the file in its place; a reader never sees half a table.

    Raises BadInput where the file cannot be written.
    """
    with _replacing(path) as file:
        out = csv.writer(file, lineterminator="\n")
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the other leaves a lone \r bare
        out.writerow([safe(name) for name in columns])
        for row in rows:
            cells = [safe(value) for value in row]
            bare = any("\r" in each for each in cells if isinstance(each, str))
            (quoted if bare else out).writerow(cells)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all. Raises BadInput where it cannot be written."""
    with _replacing(path) as file:
        file.write(text)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A file beside ``path`` that takes its place when all is written; on failure the old one stays."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8", errors="replace", newline="") as file:
            yield file
        os.replace(partial, path)  # noqa: PTH105 - atomic
    except OSError as error:
        remedy = "Close it where it is open and see that there is room; the same command then goes on: nothing is lost."
        raise BadInput(Problem(f"cannot write the file: {error.strerror}", str(path), remedy=remedy)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
