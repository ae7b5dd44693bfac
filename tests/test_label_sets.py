"""Rows with several labels: how sets are read from data and answers, and how they are scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from project import project

from promptlab.answer import parse, parser
from promptlab.dataset import Columns, load
from promptlab.errors import BadInput
from promptlab.metrics import classification
from promptlab.metrics import load as load_metric
from promptlab.metrics.label_sets import MicroF1
from promptlab.metrics.macro_f1 import MacroF1
from promptlab.prepare import opened
from promptlab.records import Completion, Example

LABELS = ("billing", "login", "slow")
SETS = st.lists(st.sampled_from(LABELS), unique=True).map(sorted)
PAIRS = st.lists(st.tuples(SETS, st.none() | SETS), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("billing, login", ["billing", "login"]), ("Login; Billing", ["billing", "login"]),
        ('["slow","billing"]', ["billing", "slow"]), ("```json\n[]\n```", []), ("none", []), ("Answer: none.", []),
        ("- billing\n- login", ["billing", "login"]), ("1. billing\n2) slow", ["billing", "slow"]),
        ("It hangs.\nbilling | slow", ["billing", "slow"]), ("**Billing**, slow.", ["billing", "slow"]),
        ("billing, billing", ["billing"]), ("billing, cheap", None), ("billing and slow", None), ("", None),
        ('["billing", 3]', None), ('{"a": 1}', None),
    ],
)  # fmt: skip
def test_labels_are_read_from_a_list_in_which_every_part_is_one(text: str, answer: Any) -> None:
    assert parse(Completion(text), parser("labels"), LABELS) == (answer, "invalid" if answer is None else "ok")


def test_what_a_label_holds_separates_none_and_a_cut_off_list_is_none() -> None:
    assert parse(Completion("a, b; c"), parser("labels"), ("a, b", "c"))[0] == ["a, b", "c"]
    assert parse(Completion("none"), parser("labels"), ("none", "c"))[0] == ["none"]
    assert parse(Completion("billing,", "length"), parser("labels"), LABELS) == (None, "truncated")


@given(SETS)
def test_every_set_reads_back(labels: list[str]) -> None:
    for text in (json.dumps(labels), ", ".join(labels) or "none", "\n".join(labels) or "[]"):
        assert parse(Completion(text), parser("labels"), LABELS) == (labels, "ok")


def scored(metric: Any, expected: Any, answer: Any) -> float:
    return float(metric(Example("a", {}, expected), Completion("", answer=answer)))


def test_a_row_is_scored_by_its_set() -> None:
    exact, f1 = load_metric("exact_set"), load_metric("set_f1")
    assert [scored(exact, ["a", "b"], each) for each in (["b", "a"], ["a"], "a", [])] == [1, 0, 0, 0]
    assert scored(exact, [], []) == scored(f1, [], []) == 1
    assert scored(exact, ["a"], "a") == 1
    assert scored(f1, ["a", "b"], ["a", "c"]) == 0.5
    assert scored(f1, ["a", "b"], None) == 0
    assert scored(load_metric("macro_f1"), ["a", "b"], ["a"]) == pytest.approx(2 / 3)


def test_micro_and_macro_f1_are_those_of_the_literature() -> None:
    """Micro: 2 tp / (2 tp + fp + fn) over all labels; macro: the mean of that over the labels."""
    pairs: list[tuple[Any, Any]] = [(["a", "b"], ["a"]), (["b"], ["a", "b"]), (["c"], None), ([], [])]
    assert MicroF1().aggregate(pairs) == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert MacroF1().aggregate(pairs, ("a", "b", "c", "d")) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)


@given(PAIRS)
def test_leaving_each_row_out_equals_doing_it(pairs: Sequence[tuple[Any, Any]]) -> None:
    for metric in (MicroF1(), MacroF1()):
        without = [metric.aggregate([*pairs[:k], *pairs[k + 1 :]], LABELS) for k in range(len(pairs))]
        assert metric.leave_one_out(pairs, LABELS) == pytest.approx(without, nan_ok=True)


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1))
def test_sets_of_one_have_the_macro_f1_of_single_labels(pairs: list[tuple[str, str]]) -> None:
    alone = classification.macro_f1([want for want, _ in pairs], [got for _, got in pairs], LABELS)
    assert MacroF1().aggregate([([want], [got]) for want, got in pairs], LABELS) == pytest.approx(alone)


def test_sets_in_a_file_are_sorted_and_an_empty_one_is_said(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    columns = Columns(inputs={"text": "text"}, label="tags", many="all")
    path.write_text('text,tags\na,slow|billing|slow\nb,"[""login""]"\nc,[]\n')
    assert [each.label for each in load(path, columns).examples] == [["billing", "slow"], ["login"], []]
    path.write_text("text,tags\na,slow\nb,\n")
    with pytest.raises(BadInput, match=r"d.csv:3: row 2: the labels in column 'tags' are empty. Write \[\] where none"):
        load(path, columns)
    path = tmp_path / "d.jsonl"
    path.write_text('{"text": "a", "tags": ["b", {"c": 1}]}\n')
    with pytest.raises(BadInput, match="a label in column 'tags' is"):
        load(path, columns)


def test_an_experiment_with_sets_of_labels_reads_answers_as_sets(tmp_path: Path) -> None:
    data = {"path": "data.jsonl", "inputs": ["message"], "id": "id", "split": {"dev": 0.5, "test": 0.5},
            "label": {"column": "topic", "many": "all"}, "labels": ["billing", "delivery", "access"]}  # fmt: skip
    path = project(tmp_path, data=data, metrics={"main": "set_f1", "micro": "micro_f1"})
    text = path.read_text().replace('"answer": "label",', "")
    path.write_text(text)
    prepared = opened(path)
    assert prepared.task.parser == "labels"
    assert {len(each.label) for each in prepared.rows.dev} == {1}
    path.write_text(text.replace('"access"', '"excess"'))
    with pytest.raises(BadInput, match=r"the label 'access' of rows .* is not in `data.labels`. Did you mean 'excess'"):
        opened(path)
