"""metrics/classification.py and macro_f1: the figures for labels, against their definitions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.metrics import load
from promptlab.metrics.classification import confusion, leave_one_out, macro_f1, majority, per_class

QUICK = settings(deadline=None, max_examples=60)
NAN = float("nan")


LABELS = ("a", "b", "c", "d")
ANSWERS = st.sampled_from([*LABELS, "elsewhere", None])
ROWS = st.lists(st.tuples(st.sampled_from(LABELS[:3]), ANSWERS), min_size=1, max_size=40)


def oracle(rows: list[tuple[str, str | None]]) -> Fraction:
    """Macro-F1 from its definition, class by class and row by row, in exact fractions."""
    values = []
    for label in LABELS:
        right = sum(want == label == got for want, got in rows)
        claimed, support = sum(got == label for _, got in rows), sum(want == label for want, _ in rows)
        if claimed + support:
            precision = Fraction(right, claimed) if claimed else Fraction(0)
            recall = Fraction(right, support) if support else Fraction(0)
            values.append(2 * precision * recall / (precision + recall) if right else Fraction(0))
    return sum(values, Fraction(0)) / len(values)


@QUICK
@given(ROWS)
def test_macro_f1_is_the_mean_over_the_classes_that_occur(rows: list[tuple[str, str | None]]) -> None:
    expected, answered = zip(*rows, strict=True)
    assert macro_f1(expected, answered, LABELS) == pytest.approx(float(oracle(rows)))
    assert load("macro_f1").aggregate(rows, LABELS) == pytest.approx(float(oracle(rows)))


@QUICK
@given(ROWS)
def test_leaving_one_out_equals_computing_again_without_it(rows: list[tuple[str, str | None]]) -> None:
    again = [load("macro_f1").aggregate(rows[:at] + rows[at + 1 :], LABELS) for at in range(len(rows))]
    quick = load("macro_f1").leave_one_out(rows, LABELS)
    assert quick == pytest.approx(again, nan_ok=True)


@QUICK
@given(ROWS)
def test_confusion_counts_every_row_once_and_per_class_adds_up(rows: list[tuple[str, str | None]]) -> None:
    expected, answered = zip(*rows, strict=True)
    table = np.array(confusion(expected, answered, LABELS))
    assert table.shape == (4, 5)
    assert table.sum() == len(rows)
    assert table[:, -1].sum() == sum(got not in LABELS for got in answered)
    figures = per_class(expected, answered, LABELS)
    assert [each.support for each in figures] == table.sum(axis=1).tolist()
    right = sum(each.recall * each.support for each in figures if each.support)
    assert right == pytest.approx(sum(want == got for want, got in rows))


def test_what_cannot_be_computed_is_not_zero() -> None:
    never, absent = per_class(["a", "a"], ["b", None], ["a", "b", "c"])[0::2]
    assert math.isnan(never.precision)
    assert (never.recall, never.f1, never.support) == (0, 0, 2)
    assert math.isnan(absent.precision)
    assert math.isnan(absent.recall)
    assert math.isnan(absent.f1)
    assert math.isnan(macro_f1([], [], ["a"]))


def test_labels_are_told_apart_by_their_text_and_unlabelled_rows_are_left_out() -> None:
    assert confusion([3, "3", None], ["3", 3, "3"], ["3"]) == [[2, 0]]
    assert leave_one_out([3, None], ["3", "x"], [3]) == pytest.approx([NAN, 1], nan_ok=True)


def test_an_expected_label_outside_the_list_is_an_error() -> None:
    with pytest.raises(ValueError, match="'z' is not one of the labels"):
        confusion(["z"], ["a"], ["a", "b"])


def test_macro_f1_of_rows_with_several_accepted_answers_and_no_list_of_labels() -> None:
    assert load("macro_f1").aggregate([(("a", "b"), "b"), (("a", "b"), None), ("b", "b")]) == pytest.approx(0.5)


def test_the_majority_baseline() -> None:
    assert majority(["b", "a", "b", None]) == ("b", pytest.approx(2 / 3))
    assert majority([2, 1]) == (1, 0.5)
    label, share = majority([])
    assert label is None
    assert math.isnan(share)
