"""What arms cost: totals at a volume, break-even points, dates; and the off-task probe."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from choice_world import arm
from hypothesis import given
from hypothesis import strategies as st

from promptlab.choice.arm import Serving, Setup
from promptlab.choice.break_even import BreakEven, break_even, when
from promptlab.choice.costs import Use, monthly, per_call, total
from promptlab.choice.limits import Limits
from promptlab.choice.probe import loss
from promptlab.choice.rule import rule
from promptlab.choice.shutdown import shutdown
from promptlab.choice.table import columns, rows

USD = st.floats(0, 1000).map(lambda x: round(x, 3))


@given(USD, USD, USD, USD)
def test_at_the_break_even_point_both_cost_the_same(setup: float, call: float, other: float, other_call: float) -> None:
    found = break_even(setup, call, other, other_call)
    if found is None:
        assert (setup, call) == (other, other_call)
    elif found.calls is not None:
        assert setup + found.calls * call == pytest.approx(other + found.calls * other_call, rel=1e-6, abs=1e-6)
        later = 2 * found.calls + 1
        cheaper = setup + later * call < other + later * other_call
        assert cheaper == (found.kind == "from")
    else:
        assert found.kind == ("always" if setup <= other and call <= other_call else "never")


def test_break_even_is_said_as_calls_or_a_word() -> None:
    said = [str(break_even(*each)) for each in ((100, 1, 0, 2), (0, 2, 100, 1), (0, 1, 1, 2), (1, 2, 0, 1))]
    assert said == ["100", "until 100", "always", "never"]


def test_the_date_follows_from_the_volume_and_never_passes_the_models_end() -> None:
    today = date(2026, 1, 1)
    found = BreakEven("from", 12_000)
    assert when(found, 1000, today) == "2027-01-01"
    assert when(found, None, today) == ""
    assert when(BreakEven("never"), 1000, today) == ""
    assert when(found, 1000, today, "2026-10-23") == "exceeds model_shutdown_date"
    assert when(found, 1000, today, "2027-06-01T00:00:00Z") == "2027-01-01"
    assert when(found, 0.001, today) == "in more than 100 years"


def test_total_is_setup_and_every_call_with_hosting_and_updates() -> None:
    one = arm(
        "fine-tuned",
        np.ones(3),
        setup=Setup(labels=10, search=2, training=30),
        serving=Serving(usd=0.001, usd_per_month=50),
        update_usd=5.0,
    )
    assert total(one, Use(1000)) == pytest.approx(42 + 12 * (1 + 50))
    assert total(one, Use(1000, months=1, updates_per_month=2)) == pytest.approx(42 + 1 + 50 + 10)
    assert monthly(one, Use(1000)) == pytest.approx(51)
    assert per_call(one, Use()) == 0.001


def test_what_has_no_price_has_no_total() -> None:
    serving = Serving(usd=0.001)
    assert total(arm("rag", np.ones(3), setup=Setup(search=1.0), serving=Serving()), Use(1000)) is None
    assert total(arm("rag", np.ones(3), setup=Setup(labels=3.0, unpriced=True), serving=serving), Use(1000)) is None
    assert total(arm("rag", np.ones(3), setup=Setup(search=1.0), serving=serving), Use()) is None
    unknown = arm("rag", np.ones(3), setup=Setup(search=1.0), serving=serving, update_usd=None)
    assert total(unknown, Use(1000, updates_per_month=1)) is None


def test_a_loss_off_task_is_bounded_by_rows_not_by_its_mean() -> None:
    """An unchanged answer on 40 rows bounds nothing by two points; on 400 it does."""
    few, many = loss(np.ones(40), np.ones(40)), loss(np.ones(400), np.ones(400))
    assert (few.delta, few.bounded, many.bounded) == (0.0, False, True)
    worse = np.ones(400)
    worse[:20] = 0
    assert not loss(worse, np.ones(400)).bounded
    assert loss(np.ones(400), worse).worst == 0.0


def test_a_models_end_is_what_doctor_was_told_and_a_tuned_one_ends_with_its_base() -> None:
    examined = {
        "http://h/v1": {"base-1": {"facts": {"model": {"shutdown_date": "2027-01-14T00:00"}}}, "b": {"facts": {}}}
    }
    assert shutdown("base-1", examined) == "2027-01-14"
    assert shutdown("ft:base-1:org::x", examined) == "2027-01-14"
    assert shutdown("b", examined) == shutdown("unknown", {}) == ""


def test_the_table_says_from_how_many_calls_an_arm_is_cheaper_and_never_past_its_models_end() -> None:
    right = (np.arange(4000) < 3200).astype(float)
    cheap = arm("prompt", right, 0.9, usd=0.003)
    tuned = arm(
        "fine-tuned",
        right,
        0.8,
        setup=Setup(training=24.0, search=0.0),
        serving=Serving(usd=0.001),
        shutdown="2026-03-01",
    )
    choice = rule([cheap, tuned], "prompt", Limits(use=Use(1000)))
    base, row = rows(choice, date(2026, 1, 1))
    assert row["break_even_calls"] == "12000"
    assert row["break_even_date"] == "exceeds model_shutdown_date"
    assert "break_even_calls" not in base
    assert set(row) | set(base) <= set(columns())
