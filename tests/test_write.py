"""Tables as files: no cell is a formula, every text comes back, a reader never sees half."""

from __future__ import annotations

import csv
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from promptlab.errors import BadInput
from promptlab.write import safe, unguarded, write_csv, write_text

SIGNS = "=+-@|%＝＋－＠｜％﹦﹢﹣﹫﹪−"  # noqa: RUF001 - full-width and small signs start formulas, too
UNSEEN = " \t\r\n\v\f\x00\x01\x1f\x7f\x85\xa0\u2003\u2028\u3000\ufeff\u200b\u200e\u202e\u2060"
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
TEXTS = st.one_of(
    st.text(alphabet=st.sampled_from([*SIGNS, *UNSEEN, "'", '"', ",", "a", "1", ".", "e", "A", "(", ")"])),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)


def read_back(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def harmless(cell: str) -> bool:
    """By what spreadsheets do, said apart from the code: nothing unseen, then a sign, unless it is a plain number."""
    seen = cell.lstrip(UNSEEN)
    starts = cell[:1] in ("\t", "\r", "\n") or (seen != "" and seen[0] in SIGNS)
    return not cell or not starts or NUMBER.fullmatch(cell) is not None


@given(TEXTS)
@example("=1+1")
@example("'=1+1")
@example("''@x")
@example("-5")
@example("-5+3")
@example("\ufeff=1")
@example(" \n=cmd|'/c calc'!A1")
@example("-\u0663")
@settings(max_examples=500)
def test_no_cell_starts_a_formula_and_every_text_comes_back(text: str) -> None:
    cell = safe(text)
    assert harmless(cell), cell
    assert unguarded(cell) == text.replace("\0", "␀")
    assert cell in (text.replace("\0", "␀"), "'" + text.replace("\0", "␀"))


@pytest.mark.parametrize("text", ["", "plain", "-1.5", "+3", "1e-7", "-.5e+10", "a=b", "'tis", "it's", "(=1)", '"=1"'])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


@pytest.mark.parametrize(
    ("value", "cell"), [(None, ""), (math.nan, ""), (True, "true"), (False, "false"), (0, 0), (-1.5, -1.5)]
)
def test_nothing_is_empty_and_booleans_are_words(value: Any, cell: Any) -> None:
    assert safe(value) == cell


@given(st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_table_reads_back_cell_by_cell_and_pandas_sees_as_many_rows(tmp_path_factory: Any, rows: list[Any]) -> None:
    """Quotes, commas, line breaks of every kind, NUL, invisible characters."""
    path = tmp_path_factory.mktemp("t") / "t.csv"
    write_csv(path, ["run", "b", "c"], [["r", *row[1:]] for row in rows])
    found = read_back(path)
    assert found[0] == ["run", "b", "c"]
    assert [[unguarded(cell) for cell in row] for row in found[1:]] == [
        ["r", *(cell.replace("\0", "␀") for cell in row[1:])] for row in rows
    ]
    assert len(pd.read_csv(path)) == len(rows)


def test_large_cells_and_lone_surrogates_are_written_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    large = "ü\r\n" * 300_000
    write_csv(path, ["a"], [[large], ["\ud800x"]])
    assert path.read_bytes().decode("utf-8")
    frame = pd.read_csv(path)
    assert frame["a"][0] == large
    assert frame["a"][1] == "?x"


def test_column_names_are_guarded_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["=x", "y"], [])
    assert read_back(tmp_path / "t.csv") == [["'=x", "y"]]


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, ["a"], [["old"]])

    def rows() -> Any:
        yield ["new"]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_csv(path, ["a"], rows())
    assert read_back(path) == [["a"], ["old"]]
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (lambda p: write_csv(p, ["a"], []), lambda p: write_text(p, "x")):
        with pytest.raises(BadInput, match=re.escape(str(tmp_path / "file" / "t"))):
            write(tmp_path / "file" / "t")


def test_text_is_written_byte_for_byte(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "t.md", "a\r\nb\rc\n")
    assert (tmp_path / "deep" / "t.md").read_bytes() == b"a\r\nb\rc\n"


def test_a_reader_never_sees_half_a_table_and_a_kill_leaves_the_old_one(tmp_path: Path) -> None:
    """A process rewrites a table again and again; readers see 50 whole rows each time, and after kill -9, too."""
    path = tmp_path / "t.csv"
    write_csv(path, ["n"], [[0]] * 50)
    code = (
        "import sys; from pathlib import Path; from promptlab.write import write_csv\n"
        "for n in range(10**6): write_csv(Path(sys.argv[1]), ['n'], [[n, 'x' * 2000]] * 50)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parent.parent)
    try:
        end, seen = time.monotonic() + 30, set()
        while len(seen) < 20 and time.monotonic() < end:
            rows = [line.split(",")[0] for line in path.read_text(encoding="utf-8").splitlines()[1:]]
            assert len(rows) == 50
            assert len(set(rows)) == 1
            seen.add(rows[0])
        assert len(seen) == 20
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    rows = read_back(path)[1:]
    assert len(rows) == 50
    assert len({row[0] for row in rows}) == 1
