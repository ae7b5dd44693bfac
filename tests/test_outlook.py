"""What the plan says beyond the calls: how many rows would tell more, and what the budget buys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from project import project

from promptlab.experiment import Experiment
from promptlab.forecast import FORESEEN, Forecast, forecast
from promptlab.outlook import buys, more_rows, outlook
from promptlab.prepare import prepare
from promptlab.stats.power import rows_needed

SEARCH = {"propose": ["grid"], "allocate": "full", "budget": {"calls": 400}, "finalists": 2}
WRITER = """
from promptlab.records import Endpoint, Model, Request

MODEL = Model("m", Endpoint("embedded@1"), "small")

def writer(n, view, rng):
    yield Request(MODEL, "/chat/completions", {"model": "small", "messages": []}, purpose="meta")
    return ()
"""


def plan(folder: Path, rows: int = 60, **changes: Any) -> Forecast:
    return forecast(prepare(Experiment.load(project(folder, rows, search={**SEARCH, **changes}))))


def test_the_rows_that_would_show_2_and_5_points_are_told(tmp_path: Path) -> None:
    found = plan(tmp_path)
    few, many = rows_needed(0.05, 0.1), rows_needed(0.05, 0.3)
    assert found.needed[0.05][0.1] == few
    said = more_rows(found)
    assert said.startswith("test rows that show a difference, if 10 % to 30 % of answers differ: 2 points: ")
    assert f"5 points: {few:,} to {many:,} rows ({few - 30:,} to {many - 30:,} more)" in said


def test_enough_rows_are_said_to_be_enough(tmp_path: Path) -> None:
    found = plan(tmp_path, rows=3000, budget={"calls": 50_000})
    assert "5 points: these are enough" in more_rows(found)
    assert f"2 points: {rows_needed(0.02, 0.1):,} to" in more_rows(found)


def test_what_the_budget_buys_is_told_where_there_is_one(tmp_path: Path) -> None:
    """400 calls less 3 x 30 of the test: 10 variants on 30 rows, the baseline one of them."""
    found = plan(tmp_path / "a")
    assert (found.complete, found.carries, found.meta_calls) == (9, FORESEEN, 0)
    [line] = buys(found)
    assert (
        "scores 9 variants in full (all 30 dev rows); with early dropping there is room for any number, and 5 are tried"
        in line
    )
    assert outlook(found) == [more_rows(found), line]
    free = plan(tmp_path / "b", budget={"minutes": 5})
    assert buys(free) == []
    halving = plan(tmp_path / "c", allocate="halving")
    assert halving.carries is not None
    assert 9 < halving.carries < FORESEEN


@pytest.mark.parametrize("allocate", ["full", "halving"])
def test_variants_that_a_model_would_write_are_planned_for(tmp_path: Path, allocate: str) -> None:
    """One call to write each, and those to score it: never past the budget, and it ends."""
    path = project(tmp_path, search={**SEARCH, "propose": ["grid", "writers:writer"], "allocate": allocate})
    (tmp_path / "writers.py").write_text(WRITER, encoding="utf-8")
    found = forecast(prepare(Experiment.load(path)))
    assert found.meta_calls > 0
    assert found.variants > 6 - 1
    assert found.search_calls + found.test_calls <= 400
    assert f"at least {found.meta_calls:,} write new variants" in buys(found)[0]
