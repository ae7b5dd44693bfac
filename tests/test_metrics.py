"""metrics/: what each built-in scores, how one's own is loaded, and the figures for labels."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.errors import BadInput
from promptlab.metrics import JUDGES, METRICS, load, scored, unscorable
from promptlab.metrics.accepted import equal
from promptlab.metrics.normalised import folded
from promptlab.metrics.token_f1 import overlap
from promptlab.records import Completion, Example, Score

QUICK = settings(deadline=None, max_examples=60)
NAN = float("nan")


def score(name: str, label: Any, answer: Any, text: str | None = None, **options: Any) -> float:
    """The score of one answer on a row with this label; the output is the answer unless it is given."""
    if text is None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
    metric = load(name, options)
    return scored(metric(Example("e1", {}, label), Completion(text, answer=answer))).value


@pytest.mark.parametrize("name", ["exact", "accuracy", "normalised", "token_f1", "numeric", "json_fields", "macro_f1"])
def test_no_answer_scores_nothing_and_no_label_is_not_scored(name: str) -> None:
    assert score(name, "x", None) == 0
    assert math.isnan(score(name, None, "x"))


@pytest.mark.parametrize(
    ("label", "answer", "value"),
    [
        ("billing", "billing", 1),
        ("billing", "Billing", 0),
        (("a", "b"), "b", 1),
        ("01", "1", 0),
        ("12", 12, 1),
        ("12.50", 12.5, 1),
        (12, 12.0, 1),
        (12, "12.0", 1),
        ("1e3", 1000.0, 1),
        ("1_000", 1000, 0),
        (10**17 + 1, 10**17, 0),
        ("true", True, 1),
        (1, True, 0),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, 1),
        ('{"a": 1}', {"a": 1}, 1),
    ],
)
def test_exact_compares_texts_as_text_and_numbers_as_numbers(label: Any, answer: Any, value: float) -> None:
    assert score("exact", label, answer) == value
    assert score("accuracy", label, answer) == value


@QUICK
@given(st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.lists(st.integers()))
def test_every_value_equals_itself(value: Any) -> None:
    assert equal(value, value)


@QUICK
@given(st.text() | st.integers() | st.booleans(), st.text() | st.integers() | st.booleans())
def test_being_equal_is_mutual(left: Any, right: Any) -> None:
    assert equal(left, right) == equal(right, left)


@pytest.mark.parametrize(
    ("label", "answer", "value"),
    [
        ("The Eiffel Tower", "eiffel  tower.", 1),
        ("U.S.", "us", 1),
        ("1,000", "1000", 1),
        ("3.5", "35", 0),
        ("-5", "5", 0),
        ("−5", "-5", 1),  # noqa: RUF001
        ("the", "a", 0),
        ("!", "?", 0),
        ("Straße", "STRASSE", 1),
        ("C", "C++", 1),
    ],
)
def test_normalised_folds_case_punctuation_articles_and_space(label: str, answer: str, value: float) -> None:
    assert score("normalised", label, answer) == value


@QUICK
@given(st.text())
def test_folding_keeps_something_of_every_text_that_holds_something(text: str) -> None:
    assert bool(folded(text)) == bool(folded(text + " "))
    assert bool(folded(text)) >= any(each.isalnum() for each in text)


@pytest.mark.parametrize(
    ("label", "text", "value"),
    [
        ("Paris", "It is paris, of course", 1),
        ("art", "a cartoon", 0),
        ("art", "cartoon art", 1),
        ("New\nYork", "new  york.", 1),
        ("C++", "c++!", 1),
        ("東京", "答えは東京です", 1),
        (("x", "y"), "only y", 1),
        ("", "anything", 0),
    ],
)
def test_contains_finds_whole_words(label: Any, text: str, value: float) -> None:
    assert score("contains", label, None, text) == value


def test_contains_over_scores_as_its_documentation_says() -> None:
    assert score("contains", "billing", None, "not billing") == 1
    assert "over-scores" in (inspect.getmodule(load("contains")).__doc__ or "")


def test_regex_takes_its_pattern_from_the_name_or_from_the_label() -> None:
    assert score(r"regex:^\d{4}$", None, None, " 2024\n") == 1
    assert score(r"regex:a:b", None, None, "a:b") == 1
    assert score("regex", None, None, "x 5", pattern=r"\d") == 1
    assert score("regex", ("^yes", "^ja"), None, "ja!") == 1
    assert score("regex", "^yes", None, "oh yes") == 0
    assert score("regex", "(", None, "(") == 0
    assert math.isnan(score("regex", None, None, "x"))


@pytest.mark.parametrize(
    ("name", "label", "answer", "value"),
    [
        ("numeric", 0.3, 0.1 + 0.2, 1),
        ("numeric", "5", 5, 1),
        ("numeric", "5", "It is $5.", 1),
        ("numeric", 5, 5.01, 0),
        ("numeric:0.01", 5, 5.01, 1),
        ("numeric:0.01", 5, 5.011, 0),
        ("numeric:1%", 200, 202, 1),
        ("numeric:1%", -200, -203, 0),
        ("numeric:1%", 0, 0.001, 0),
        ("numeric", "none", "none", 0),
        ("numeric", (1, 2), 2, 1),
        ("numeric", 1, True, 0),
        ("numeric", 1, 10**400, 0),
    ],
)
def test_numeric_takes_an_absolute_or_a_relative_tolerance(name: str, label: Any, answer: Any, value: float) -> None:
    assert score(name, label, answer, "") == value


@pytest.mark.parametrize("tolerance", ["-1", "x", "%", "nan", "inf", ""])
def test_a_tolerance_must_be_a_number_or_a_percentage(tolerance: str) -> None:
    with pytest.raises(BadInput, match="neither a number"):
        load("numeric", {"tolerance": tolerance})


def test_token_f1_is_squads() -> None:
    assert score("token_f1", "the cat sat", "a cat sat down") == pytest.approx(0.8)
    assert score("token_f1", ("dog", "cat"), "cat") == 1
    assert score("token_f1", "東京都", "東京") == pytest.approx(0.8)
    assert score("token_f1", "x", "y") == 0


@QUICK
@given(st.text(alphabet="ab the.,東"), st.text(alphabet="ab the.,東"))
def test_token_f1_is_symmetric_within_bounds_and_one_on_itself(left: str, right: str) -> None:
    assert 0 <= overlap(left, right) <= 1
    assert overlap(left, right) == overlap(right, left)
    assert overlap(left, left) == 1


def test_json_valid_asks_for_json_and_then_for_the_schema(tmp_path: Path) -> None:
    schema = {"$ref": "#/$defs/row", "$defs": {"row": {"type": "object", "required": ["a"]}}}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    plain = load("json_valid")
    strict = load("json_valid:schema.json", base=tmp_path)
    outputs = ['{"a": 1}', 'ok:\n```json\n{"a": 2}\n```', "{}", "null", "{'a': 1}", "", '{"a": 1} and more']
    example = Example("e1", {})
    assert [plain(example, Completion(each)) for each in outputs] == [1, 1, 1, 1, 0, 0, 0]
    assert [strict(example, Completion(each)) for each in outputs] == [1, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "is an object"),
        ('{"type": "objekt"}', "not a JSON Schema"),
        ('{"$ref": "https://example.org/s.json"}', "leaves the schema"),
        ('{"properties": {"a": {"$ref": "#/$defs/x"}}}', "leads nowhere"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_when_it_is_loaded(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "s.json").write_text(content)
    with pytest.raises(BadInput, match=message):
        load("json_valid", {"schema": "s.json"}, tmp_path)


def test_json_fields_gives_the_share_of_the_labels_fields() -> None:
    label = {"a": 1, "b": "x", "c": None}
    assert score("json_fields", label, {"a": 1, "b": "y", "c": None, "d": 4}) == pytest.approx(2 / 3)
    assert score("json_fields", json.dumps(label), json.dumps(label)) == 1
    assert score("json_fields:a,b", label, {"a": "1.0"}) == pytest.approx(1 / 2)
    assert score("json_fields", label, {"a": 1, "b": "x", "d": 1}, fields=["b", "d", "e"]) == pytest.approx(2 / 3)
    assert score("json_fields", label, "no object") == 0
    assert score("json_fields", ({"a": 2}, {"a": 1}), {"a": 1}) == 1


def test_rows_that_a_metric_cannot_score_are_named_before_anything_is_spent() -> None:
    rows = [Example("e1", {}, "5", row=1), Example("e2", {}, "five", row=2), Example("e3", {}, ("1", "("))]
    assert [str(each) for each in unscorable(load("numeric"), rows, "d.csv")] == [
        "d.csv: row 2: label 'five' is not a number",
        "d.csv: row e3: label '(' is not a number",
    ]
    assert [each.message.split(":")[0] for each in unscorable(load("regex"), rows)] == ["row e3"]
    assert len(unscorable(load("json_fields"), rows)) == 3
    assert unscorable(load("exact"), rows) == []


@pytest.mark.parametrize(
    ("outcome", "value"),
    [
        (True, 1),
        (0.25, 0.25),
        (3, 3),
        ((0.5, "half"), 0.5),
        (Score(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.bool_(1), 1),
    ],
)
def test_an_outcome_becomes_a_score(outcome: Any, value: float) -> None:
    assert scored(outcome).value == value
    assert type(scored(outcome).value) is float


def test_an_outcome_may_be_not_scored_and_may_explain_itself() -> None:
    assert math.isnan(scored(NAN).value)
    assert scored((1, "because")).explanation == "because"
    assert scored(Score(1, "x", "why")) == Score(1.0, "x", "why")


@pytest.mark.parametrize("outcome", [None, "0.5", [1], (1, 2), math.inf, Score(-math.inf), {}, object()])
def test_any_other_outcome_is_a_type_error_that_says_what_came(outcome: Any) -> None:
    with pytest.raises(TypeError, match=r"a metric returned .* must return a finite number"):
        scored(outcome)


def test_every_built_in_loads_by_its_name() -> None:
    for name in METRICS:
        if name in JUDGES:
            with pytest.raises(BadInput, match=f"metric '{name}' needs a rubric, and a model to ask"):
                load(name)
        elif name not in ("rouge_l", "chrf"):  # of an extra: test_text_metrics
            assert callable(load(name))
