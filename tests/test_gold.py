"""`data.gold`: which passages or documents hold a row's answer, as ids, lists of them, or texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rag_project import write

from promptlab.dataset import Columns, load
from promptlab.dataset.cells import CellError, read_gold
from promptlab.dataset.file import Row
from promptlab.errors import BadInput
from promptlab.experiment import Experiment, canonical
from promptlab.prepare import opened

COLUMNS = Columns(label="answer", gold="gold")


def gold_of(value: Any) -> tuple[str, ...]:
    return read_gold(Row(1, 1, {"gold": value}), "gold")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("p7", ("p7",)),
        (["p7", "p9"], ("p7", "p9")),
        ('["p7", 9]', ("p7", "9")),
        ([7, "7", " 8 "], ("7", "8")),
        (12, ("12",)),
        ("It weighs 100 grams.", ("It weighs 100 grams.",)),
        ("[sic] it weighs", ("[sic] it weighs",)),
        ("", ()),
        (None, ()),
        ([], ()),
        ("[]", ()),
        (["", None, "a"], ("a",)),
    ],
)
def test_a_cell_names_one_or_several_or_none(value: Any, names: tuple[str, ...]) -> None:
    assert gold_of(value) == names


@pytest.mark.parametrize("value", [True, {"id": "p7"}, [["p7"]], [True], '[{"id": 1}]', "\ud800"])
def test_what_is_no_id_and_no_text_is_refused(value: Any) -> None:
    with pytest.raises(CellError):
        gold_of(value)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), min_size=1).filter(str.strip), max_size=4))
def test_a_list_is_read_alike_as_a_list_and_as_json(names: list[str]) -> None:
    assert gold_of(names) == gold_of(json.dumps(names))
    assert set(gold_of(names)) == {each.strip() for each in names}


def test_gold_is_no_input_and_a_wrong_cell_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"question": "a?", "answer": "1", "gold": "p1"}, {"question": "b?", "answer": "2"}]
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    found = load(path, COLUMNS)
    assert [each.gold for each in found.examples] == [("p1",), ()]
    assert [dict(each.inputs) for each in found.examples] == [{"question": "a?"}, {"question": "b?"}]
    path.write_text(json.dumps({**rows[0], "gold": {"id": 3}}) + "\n")
    with pytest.raises(BadInput, match=r"rows.jsonl:1: row 1: column 'gold' holds .*'id': 3"):
        load(path, COLUMNS)
    with pytest.raises(BadInput, match="no column 'golden'"):
        load(path, Columns(label="answer", gold="golden"))


def test_gold_is_part_of_what_a_run_is_where_there_is_any(tmp_path: Path) -> None:
    path = write(tmp_path, retriever="[bm25]", k="[1]")
    before = opened(path).identity
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text().replace('"corpus/elm.md"', '"corpus/fir.md"'))
    assert opened(path).identity != before
    assert canonical(Experiment.load(path))["data"]["columns"]["gold"] == "gold"
    path.write_text(path.read_text().replace(", gold: gold", ""))
    assert "gold" not in canonical(Experiment.load(path))["data"]["columns"]
