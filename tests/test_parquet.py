"""Parquet in and out, by the extra: types are kept, and without it the CSV holds everything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from project import project

from promptlab import artifacts
from promptlab.prepare import opened
from promptlab.run import mine


def as_parquet(folder: Path) -> Path:
    """The small project with its rows in a parquet file, one column of them numbers."""
    data = {"path": "data.parquet", "inputs": ["message", "number"], "label": "topic", "id": "id",
            "split": {"dev": 0.5, "test": 0.5}}  # fmt: skip
    path = project(folder, data=data, rows=20)
    rows = pd.read_json(folder / "data.jsonl", lines=True)
    rows.assign(number=range(20)).to_parquet(folder / "data.parquet")
    return path


def test_rows_come_from_parquet_with_their_types_and_predictions_go_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    monkeypatch.setattr(artifacts, "MANY", 5)
    run = mine(opened(as_parquet(tmp_path)))
    assert {type(each.inputs["number"]) for each in run.examples.values()} == {int}
    written: Any = pd.read_parquet(run.folder / "predictions.parquet")
    pd.testing.assert_frame_equal(written[["example", "score", "usd"]], run.predictions[["example", "score", "usd"]],
                                  check_dtype=False)  # fmt: skip
    assert list(written.columns) == list(run.predictions.columns)
    assert len(pd.read_csv(run.folder / "predictions.csv")) == len(written)


def test_without_pyarrow_the_tables_are_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "MANY", 5)
    for name in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, name, None)
    run = mine(opened(project(tmp_path, rows=20)))
    assert (run.folder / "predictions.csv").exists()
    assert not (run.folder / "predictions.parquet").exists()
