"""Packed predictions are the predictions: nothing is lost, whatever an answer is made of."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from fault_server import FaultServer
from hypothesis import given
from hypothesis import strategies as st
from small_project import answer, tables, write

from promptlab import kept
from promptlab.api import Experiment
from promptlab.kept import Predictions, keep, looked_at
from promptlab.predict import Label
from promptlab.records import Call, Completion, Prediction, Usage

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_nan=False)
answers = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
completions = st.builds(
    Completion, texts, texts, st.builds(Usage, st.integers(0), st.integers(0), st.integers(0)), texts, texts, texts
)
calls = st.builds(
    Call,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.sampled_from(["answer", "judge"]),
    st.none() | completions,
    numbers,
    numbers,
    st.integers(1, 9),
    texts,
    st.booleans(),
)
rows = st.builds(
    Prediction,
    texts,
    texts,
    st.integers(0, 9),
    st.just("dev"),
    st.just("search"),
    st.sampled_from(["ok", "invalid", "error"]),
    answers,
    numbers,
    st.dictionaries(texts, numbers, max_size=3),
    texts,
    texts,
    texts,
    st.integers(0),
    explanation=texts,
    passages=st.lists(texts, max_size=3).map(tuple),
    measures=st.dictionaries(texts, st.floats(allow_nan=False), max_size=3),
)


@given(rows, st.lists(calls, max_size=3).map(tuple))
def test_a_packed_prediction_is_the_prediction(row: Prediction, took: tuple[Call, ...]) -> None:
    plain, packed = keep(0, row, took), keep(kept.PLAIN, row, took)
    assert isinstance(plain, Prediction)
    assert isinstance(packed, bytes) == (row.status != "error")
    assert looked_at(packed) == plain
    assert plain.calls == took


def test_a_label_becomes_text_and_an_answer_of_ones_own_kind_stays_what_it_is() -> None:
    made = Prediction("v", "e", 0, "dev", "search", "ok", Label("card", "of plastic"))
    assert type(looked_at(keep(kept.PLAIN, made, ())).answer) is str
    mine = object()
    assert looked_at(keep(kept.PLAIN, Prediction("v", "e", 0, "dev", "search", "ok", mine), ())).answer is mine


def test_a_score_that_is_missing_stays_missing() -> None:
    again = looked_at(keep(kept.PLAIN, Prediction("v", "e", 0, "dev", "search", "ok"), ()))
    assert math.isnan(again.score)


def test_they_are_a_sequence_and_know_whose_they_are() -> None:
    made = [Prediction(f"v{n % 3}", f"e{n}", 0, "dev", "search", "ok", score=float(n)) for n in range(9)]
    rows = Predictions(keep(kept.PLAIN * (n % 2), row, ()) for n, row in enumerate(made))
    assert list(rows) == made
    assert rows[4] == made[4]
    assert list(rows[2:5]) == made[2:5]
    assert {name: list(part) for name, part in rows.by_variant().items()} == {f"v{n}": made[n::3] for n in range(3)}


def test_a_run_writes_the_same_tables_packed_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer() as server:
        server.default = answer
        plain = write(tmp_path / "plain", server.url)
        Experiment.load(plain).mine()
        monkeypatch.setattr(kept, "PLAIN", 0)
        packed = write(tmp_path / "packed", server.url)
        Experiment.load(packed).mine()
    assert tables(packed) == tables(plain)
