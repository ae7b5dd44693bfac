"""Groups across splits that files or a column give: told, and an error that names the rows where train is taught."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from project import project

from promptlab.dataset.across import across
from promptlab.errors import BadInput
from promptlab.prepare import opened
from promptlab.records import Example
from promptlab.tune.plan import plan
from promptlab.tune.settings import TuneSettings


def some(name: str, group: str, row: int) -> Example:
    return Example(name, {"message": name}, "a", group, row=row)


def test_a_group_in_several_splits_is_named_with_a_row_of_each() -> None:
    parts = {"dev": [some("d", "g1", 7), some("e", "", 8)], "train": [some("a", "g1", 3), some("b", "g2", 4)],
             "test": [some("t", "g1", 5), some("u", "", 6), some("v", "g3", 9)]}  # fmt: skip
    (problem,) = across(parts, {"t": ("te.jsonl", 5)}, "customer")  # type: ignore[arg-type]
    assert (
        problem.message
        == "the group 'g1' (customer) is in three splits: row 3 of train, row 7 of dev and row 5 of test"
    )
    assert (problem.path, problem.line) == ("te.jsonl", 5)
    assert "leave the group out" in problem.remedy
    assert across({"train": parts["train"], "test": [some("u", "", 6)]}, {}, "customer") == []


def test_of_many_groups_the_first_are_named_and_the_others_counted() -> None:
    sides = [[some(f"{side}{k}", f"g{k}", k) for k in range(30)] for side in "ab"]
    assert across({"dev": sides[0], "test": sides[1]}, {}, "g") == [], "nothing is trained on these"
    told = across({"train": sides[0], "test": sides[1]}, {}, "g")
    assert len(told) == 11
    assert "20 more" in told[-1].message


def write(folder: Path, rows: list[dict[str, Any]], **data: Any) -> Path:
    """A project of these rows, in a file for each split that they name, or in one."""
    path = project(folder, 6, data={"inputs": ["message"], "label": "topic", "id": "id", **data})
    for name in ("all", "train", "dev", "test"):
        own = [each for each in rows if name in ("all", each["fold"])]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in own), encoding="utf-8")
    return path


@pytest.mark.parametrize("files", [True, False])
def test_groups_that_files_or_a_column_tear_apart_are_told_and_nothing_is_trained_on_them(
    tmp_path: Path, files: bool
) -> None:
    topics = ("billing", "delivery", "access")
    rows = [
        {"id": f"m{k}", "message": f"message {chr(97 + k)} {k * 37}", "topic": topics[k % 3], "customer": f"c{k // 3}",
         "fold": ("train", "dev", "test")[k // 6 % 3]} for k in range(18)
    ]  # fmt: skip
    data: dict[str, Any] = (
        {"path": {each: f"{each}.jsonl" for each in ("train", "dev", "test")}, "split": {"group": "customer"}}
        if files
        else {"path": "all.jsonl", "split": {"column": "fold", "group": "customer"}}
    )
    assert len(opened(write(tmp_path / "whole", rows, **data)).rows.test) == 6
    rows[17]["customer"] = "c0"
    torn = opened(write(tmp_path / "torn", rows, **data))
    said = "1 group of `customer` with rows in several splits, like 'c0' (row 1 of train and row "
    assert any(each.startswith(said) for each in torn.rows.notes), "a split by time, say: it is told, and mined"
    with pytest.raises(BadInput) as caught:
        plan(torn, TuneSettings(sizes=(2,)))
    (problem,) = [each for each in caught.value.problems if "group" in each.message]
    assert "the group 'c0' (customer) is in two splits: row 1 of train and row " in problem.message
    assert problem.path.endswith("test.jsonl" if files else "all.jsonl")
    assert problem.line == (6 if files else 18)


def test_rows_that_splits_csv_remembers_stay_where_they_are(tmp_path: Path) -> None:
    topics = ("billing", "delivery", "access")
    rows = [{"id": f"m{k}", "message": f"message {chr(97 + k)} {k * 37}", "topic": topics[k % 3], "fold": "",
             "customer": f"c{k // 9}"} for k in range(18)]  # fmt: skip
    split = {"dev": 0.5, "test": 0.5, "group": "customer"}
    path = write(tmp_path, rows, path="all.jsonl", split=split)
    lines = [f"m{k},{'dev' if k % 2 else 'test'}\n" for k in range(18)]
    (tmp_path / "splits.csv").write_text("id,split\n" + "".join(lines), encoding="utf-8")
    assert len(opened(path).rows.test) == 9
