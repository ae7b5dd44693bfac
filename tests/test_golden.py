"""The golden run: what was decided once is decided again, byte for byte."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from golden import HERE, replay

from promptlab.errors import PromptlabError

AGAIN = """the recorded search ends otherwise. If that is what a change is for (another rule, another column), make the
record again and look at what changed:    python tests/golden.py && git diff --stat tests/data/golden"""


def test_a_recorded_search_is_replayed_to_the_same_table_and_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With proposers that ask a model, a design block, a tie set and a test; nothing is sent, in any version."""
    monkeypatch.setattr("promptlab.prepare.__version__", "another")
    try:
        found = replay(tmp_path)
    except PromptlabError as error:
        pytest.fail(f"{AGAIN}\n{error}")
    for name, content in found.items():
        expected = (HERE / name).read_bytes().decode()
        first = next((n for n, each in enumerate(zip(content.split("\n"), expected.split("\n"), strict=False), 1)
                      if each[0] != each[1]), 0)  # fmt: skip
        assert content == expected, f"{AGAIN}\n{name}, from line {first}"


def test_the_record_is_worth_replaying() -> None:
    """A tie, dropped variants, texts that a model wrote, calls of both kinds; small enough to be read."""
    with (HERE / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    statuses = [row["status"] for row in rows]
    assert statuses.count("winner") + statuses.count("tied") >= 2
    assert statuses.count("dropped") > 5
    assert {"random", "reflect", "history", "evolve"} <= {row["origin"] for row in rows}
    purposes = [json.loads(line)[1] for line in (HERE / "calls.jsonl").read_text("utf-8").splitlines()]
    assert purposes.count("meta") > 5
    assert purposes.count("answer") > 250
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 200_000
