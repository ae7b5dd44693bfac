"""A model is never scored on what it was taught: found by id and by what rows say, before anything is spent."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import project
from test_skew import BOTH, DATA, NAME, TUNE, asked, older

from promptlab.embedded.tuned import SHELF
from promptlab.errors import BadInput
from promptlab.forecast import forecast
from promptlab.prepare import opened
from promptlab.records import Example
from promptlab.run import load_run, mine
from promptlab.tune.learned import Learned, learned, mark, sketch
from promptlab.tune.plan import plan
from promptlab.tune.tune import tune


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project of rows that are not alike, and its tuned model."""
    folder = tmp_path_factory.mktemp("trained")
    path = project(folder, 80, data=DATA, tune=TUNE)
    rows = [json.loads(line) for line in (folder / "data.jsonl").read_text(encoding="utf-8").splitlines()]
    for k, row in enumerate(rows):
        rng = random.Random(k)
        row["message"] = " ".join(["kettle", *("".join(rng.choices("abcdefghijklmnop", k=5)) for _ in range(8))])
    write(path, rows)
    ready = opened(path)
    assert ready.experiment.tune is not None
    tune(ready, ready.experiment.tune, yes=True)
    mine(opened(path, [BOTH]))
    yield path
    SHELF.clear()


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """The same in a folder that a test may change."""
    return shutil.copytree(trained.parent, tmp_path / "own") / trained.name


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(each) + "\n" for each in rows)
    (path.parent / "data.jsonl").write_text(lines, encoding="utf-8")


def changed(path: Path, change: Callable[[int, dict[str, Any]], dict[str, Any]]) -> None:
    """The data with every row changed, split anew."""
    lines = (path.parent / "data.jsonl").read_text(encoding="utf-8").splitlines()
    write(path, [change(k, json.loads(line)) for k, line in enumerate(lines)])
    (path.parent / "splits.csv").unlink(missing_ok=True)


AGAIN = [BOTH, "data.split.seed=8"]


def refused(path: Path, sets: list[str] = AGAIN) -> str:
    with pytest.raises(BadInput) as caught:
        forecast(opened(path, sets))
    (problem,) = caught.value.problems
    return str(problem)


def test_rows_that_were_taught_and_are_dev_or_test_now_are_named_and_nothing_is_spent(own: Path) -> None:
    before = asked(own)
    changed(own, lambda _, row: row)
    ready = opened(own, AGAIN)
    (kept,) = own.parent.glob("runs/tune/*/taught.json")
    ids = set(json.loads(kept.read_text(encoding="utf-8"))["examples"])
    counts = [sum(each.id in ids for each in part) for part in (ready.rows.dev, ready.rows.test)]
    assert min(counts) > 0
    with pytest.raises(BadInput) as caught:
        mine(ready)
    (problem,) = caught.value.problems
    assert f"{NAME} was taught {counts[0]} of 20 dev rows (row" in problem.message
    assert f" and {counts[1]} of 20 test rows (row" in problem.message
    first = min(each.row for each in ready.rows.test if each.id in ids)
    assert f"test rows (rows {first}, " in problem.message
    assert "memory test" in problem.remedy
    assert "Bring back the split" in problem.remedy
    assert f"promptlab tune {own}" in problem.remedy
    assert asked(own) == before
    assert opened(own, ["data.split.seed=8"]).skewed == [], "nobody asks the model"


def test_it_is_found_where_no_training_row_is_left_and_training_again_mends_it(own: Path) -> None:
    changed(own, lambda _, row: row)
    assert "was taught" in refused(own, [BOTH, "data.split={dev: 0.5, test: 0.5}"])
    ready = opened(own, AGAIN)
    assert ready.experiment.tune is not None
    tune(ready, ready.experiment.tune, yes=True)
    assert forecast(opened(own, AGAIN)).search_calls > 0


def test_rows_with_new_ids_are_found_by_what_they_say_and_mended_rows_by_their_ids(own: Path) -> None:
    changed(own, lambda k, row: row | {"id": f"new{k}", "message": row["message"].upper() + "!"})
    assert "was taught" in refused(own)
    changed(own, lambda k, row: row | {"id": f"m{k}", "message": row["message"].lower().replace("kettle", "pot")})
    assert "was taught" in refused(own)


def test_other_rows_that_merely_have_the_ids_are_not_what_was_taught(own: Path) -> None:
    changed(
        own, lambda k, row: row | {"message": " ".join("other" + chr(97 + k % 26) * n * (k + 1) for n in range(1, 10))}
    )
    assert opened(own, AGAIN).skewed == []


def test_rows_of_one_pattern_that_have_the_ids_are_not_what_was_taught() -> None:
    """A new file numbered from 1 on: its rows are as like to each training row as to any other."""

    def rows(word: str) -> list[Example]:
        return [
            Example(str(k), {"m": f"please book a flight for {word}{k} from {word}{k}a to paris"}) for k in range(9)
        ]

    taught, new = rows("ann"), rows("bob")
    known = Learned({each.id: sketch(each) for each in taught}, frozenset(map(mark, taught)))
    assert known.among(new), "each is like its own number"
    assert not known.numbers(new)
    assert known.among(new, numbered=False) == []
    assert known.numbers(taught)
    assert known.numbers([*taught[:5], *new[5:]]), "most are what they were"


def test_an_older_file_without_marks_goes_by_ids_alone_and_a_damaged_one_is_nobodys(own: Path) -> None:
    changed(own, lambda _, row: row)
    (kept,) = own.parent.glob("runs/tune/*/taught.json")
    older(kept)
    assert "was taught" in refused(own)
    changed(own, lambda k, row: row | {"id": f"new{k}"})
    assert opened(own, AGAIN).skewed == []
    value = json.loads(kept.read_text(encoding="utf-8"))
    for damage in ({"examples": 3}, {"examples": None}, {"marks": 1}, {"sketches": "ab"}):
        kept.write_text(json.dumps(value | damage), encoding="utf-8")
        assert opened(own, AGAIN).skewed == []
    kept.unlink()
    assert any("and whether on rows that it was trained on" in each for each in opened(own, AGAIN).rows.notes)


def test_a_run_that_was_made_is_computed_again_from_its_log_alone(own: Path) -> None:
    (log,) = own.parent.glob("runs/*/run.sqlite")
    changed(own, lambda _, row: row)
    shutil.rmtree(own.parent / "runs/tune")
    assert load_run(log.parent).prepared.skewed == []


def test_what_is_noted_beside_the_training_rows_changes_no_recipe(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = opened(own)
    assert ready.experiment.tune is not None
    wanted = plan(ready, ready.experiment.tune).jobs[0]
    assert {"marks", "sketches"} <= set(json.loads(wanted.texts["taught.json"]))
    monkeypatch.setattr("promptlab.tune.skew.content", lambda *_: b"{}")
    assert plan(ready, ready.experiment.tune).jobs[0].recipe == wanted.recipe


@given(st.lists(st.text(min_size=1), min_size=1, max_size=6))
def test_a_row_is_always_found_again_and_an_empty_one_never(texts: list[str]) -> None:
    rows = [Example(f"e{k}", {"text": text}) for k, text in enumerate(texts)]
    known = Learned({each.id: sketch(each) for each in rows}, frozenset(filter(None, map(mark, rows))))
    others = [replace(each, id=f"x{k}") for k, each in enumerate(rows)]
    assert known.among(others) == [each for each in others if mark(each)]
    assert known.among([Example("x", {"text": " "})]) == []
    value = {"examples": [*known.ids], "marks": [*map(mark, rows)], "sketches": [*known.ids.values()]}
    assert learned(json.loads(json.dumps(value))) == known


def test_numbers_make_other_rows() -> None:
    one, other = (Example("", {"text": f"what is {k} times 23 in words"}) for k in (17, 18))
    assert mark(one) != mark(other)
    assert mark(one) == mark(Example("", {"text": "What is 17 times 23, in words?"}))
