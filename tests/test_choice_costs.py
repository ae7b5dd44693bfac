"""What arms cost: totals at a volume, break-even points, dates; and the off-task probe."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from choice_world import arm
from hypothesis import given
from hypothesis import strategies as st

from promptlab.choice.arm import Serving, Setup, Tuning
from promptlab.choice.break_even import BreakEven, between, break_even, too_late, when
from promptlab.choice.collect import Paid, _setup, _update, picked
from promptlab.choice.costs import Use, lacking, per_call, served, total
from promptlab.choice.limits import Limits
from promptlab.choice.probe import loss
from promptlab.choice.rule import rule
from promptlab.choice.shutdown import shutdown
from promptlab.choice.table import columns, rows
from promptlab.records import Variant
from promptlab.write import write_csv

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
    found = [break_even(*each) for each in ((5100, 1, 0, 2), (0, 2, 100, 1), (0, 1, 1, 2), (1, 2, 0, 1))]
    assert [str(each) for each in found] == ["from 5,100", "until 100", "always", "never"]
    assert [each.against("rag") for each in found if each] == [
        "cheaper than rag from 5,100 calls on", "cheaper than rag up to 100 calls", "always cheaper than rag",
        "never cheaper than rag",
    ]  # fmt: skip


def test_the_date_follows_from_the_volume_and_never_passes_the_models_end() -> None:
    today = date(2026, 1, 1)
    found = BreakEven("from", 12_000)
    assert when(found, 1000, today) == date(2027, 1, 1)
    assert when(found, None, today) is None
    assert when(BreakEven("never"), 1000, today) is None
    assert when(found, 0.001, today) is None  # more than 100 years
    assert too_late(found, 1000, today, "2026-10-23")
    assert too_late(found, 0.001, today, "2027-06-01")
    assert not too_late(found, 1000, today, "2027-06-01T00:00:00Z")
    assert not too_late(found, 1000, today, "")
    assert not too_late(BreakEven("until", 12_000), 1000, today, "2026-10-23")


def test_hosting_and_changes_of_knowledge_are_in_the_break_even_point() -> None:
    """By hand: at 10,000 calls a month $20 of hosting are $.002 a call, two changes at $5 are $.001."""
    plain = arm("rag", np.ones(3), usd=0.005)
    tuned = arm(
        "fine-tuned",
        np.ones(3),
        setup=Setup(training=30.0),
        serving=Serving(usd=0.001, usd_per_month=20.0),
        update_usd=5.0,
    )
    use = Use(10_000, updates_per_month=2)
    assert per_call(tuned, use) == pytest.approx(0.004)
    assert between(tuned, replace(plain, update_usd=0.0), use) == BreakEven("from", pytest.approx(30_000))
    assert between(tuned, plain, Use(10_000)) == BreakEven("from", pytest.approx(15_000))
    assert between(tuned, plain, Use(2_000)) == BreakEven("never")  # hosting alone is a cent a call then
    assert between(tuned, plain, use) is None  # what a change of the other costs is not known
    assert between(tuned, plain, Use()) is None  # hosted by the hour, for nobody knows how many calls
    found = between(tuned, plain, Use(10_000))
    assert found is not None
    assert found.calls is not None
    at_par = Use(10_000, months=found.calls / 10_000)
    assert total(tuned, at_par) == pytest.approx(total(plain, at_par))


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
    assert per_call(one, Use()) is None  # hosted by the hour
    assert served(one, Use(1000)) == pytest.approx(0.051)
    assert per_call(arm("rag", np.ones(3), usd=0.001), Use()) == 0.001


def test_what_has_no_price_has_no_total() -> None:
    serving = Serving(usd=0.001)
    assert total(arm("rag", np.ones(3), setup=Setup(search=1.0), serving=Serving()), Use(1000)) is None
    assert total(arm("rag", np.ones(3), setup=Setup(labels=3.0, unpriced=("a",)), serving=serving), Use(1000)) is None
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
    assert shutdown("b", {}, {"b": {"shutdown_date": "soon"}}) == "", "no day"
    listed = {"b": {"id": "b", "shutdown_date": "2026-12-01"}, "base-1": {"shutdown_date": None}}
    assert shutdown("b", examined, listed) == "2026-12-01"
    assert shutdown("ft:base-1:org::x", examined, listed) == "2027-01-14"


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
    assert row["break_even_calls"] == 12000
    assert not row.get("break_even_date")
    assert row["reason"].endswith(
        "cheaper than prompt from 12,000 calls on, which is past the end of its model (2026-03-01)"
    )
    assert "break_even_calls" not in base
    assert set(row) | set(base) <= set(columns())
    _, living = rows(rule([cheap, replace(tuned, shutdown="")], "prompt", Limits(use=Use(1000))), date(2026, 1, 1))
    assert living["break_even_date"] == "2027-01-01"


def test_the_columns_of_break_even_are_numbers_and_dates_alone(tmp_path: Path) -> None:
    """What pandas reads as a column of objects cannot be sorted; the word for it stands in `reason`."""
    import pandas as pd

    right = (np.arange(4000) < 3200).astype(float)
    base = arm("prompt", right, 0.9, usd=0.003)
    others = [
        arm("rag", right, 0.8, setup=Setup(search=24.0), serving=Serving(usd=0.001)),
        arm("rag+demos", right, 0.8, setup=Setup(search=24.0), serving=Serving(usd=0.004)),
        arm("fine-tuned", right, 0.8, setup=Setup(search=-1.0), serving=Serving(usd=0.004)),
        arm("prompt+demos", right, 0.8, usd=0.001),
    ]
    made = rows(rule([base, *others], "prompt", Limits(use=Use(1000))), date(2026, 1, 1))
    write_csv(tmp_path / "c.csv", columns(), ([row.get(name) for name in columns()] for row in made))
    table = pd.read_csv(tmp_path / "c.csv")
    assert table["break_even_calls"].dropna().tolist() == [12000, 1000]
    assert pd.to_datetime(table["break_even_date"]).notna().sum() == 2
    ends = ["from 12,000 calls on", "never cheaper than prompt", "up to 1,000 calls", "always cheaper than prompt"]
    assert all(row["reason"].endswith(end) for row, end in zip(made[1:], ends, strict=True))


def test_a_total_follows_from_the_columns() -> None:
    """setup_usd + months x volume x usd_per_1k / 1000 + changes x update_usd: nothing else is in it."""
    right = (np.arange(4000) < 3200).astype(float)
    tuned = arm("fine-tuned", right, 0.9, setup=Setup(labels=4.0, training=3.0),
                serving=Serving(usd=0.001, usd_per_month=72.0), update_usd=2.5)  # fmt: skip
    choice = rule([tuned, arm("prompt", right, 0.8, usd=0.01, update_usd=0.0)], "fine-tuned",
                  Limits(use=Use(5000, 6, 2)))  # fmt: skip
    row = rows(choice, date(2026, 1, 1))[0]
    by_hand = row["setup_usd"] + 6 * 5000 * row["usd_per_1k"] / 1000 + 6 * 2 * row["update_usd"]
    assert choice.of("fine-tuned").total == pytest.approx(by_hand)
    assert f"${by_hand:,.2f} for 6 months at 5,000 calls a month" in row["reason"]


def test_what_lacks_a_price_is_named() -> None:
    none = arm("fine-tuned", np.ones(3), model="tuned-small-s1-n80",
               setup=Setup(unpriced=("`tune.price.train` is not given",)), update_usd=None)  # fmt: skip
    assert lacking(none, Use(1000, updates_per_month=1)) == [
        "the model tuned-small-s1-n80 has no price (`tune.price.input`, `tune.price.output`)",
        "`tune.price.train` is not given",
    ]
    assert lacking(replace(none, serving=Serving(usd=0.1)), Use()) == []  # a call has its price
    hosted = arm("fine-tuned", np.ones(3), serving=Serving(usd=0.1, usd_per_month=3.0), setup=Setup(training=1.0))
    assert lacking(hosted, Use()) == ["fine-tuned is hosted by the hour, and `choose.volume_per_month` is not given"]
    assert lacking(hosted, Use(10)) == []
    given = replace(none, serving=Serving(usd=0.1), setup=Setup(unpriced=("what its training cost is not known",)))
    assert lacking(given, Use(10, updates_per_month=1)) == ["what its training cost is not known"]
    rag = arm("rag", np.ones(3), usd=0.1)
    assert lacking(rag, Use(10, updates_per_month=1)) == ["one change of knowledge of rag has no price"]


def mined(folder: Path, slots: dict[str, Any], models: list[Any], method: str = "prompting", shelf: Any = None) -> Any:
    """A run as far as its costs look at it: 3 dev rows, 2 test rows, 40 cents of calls at list price."""
    (folder / "manifest.json").write_text('{"list_usd": 0.4}')
    variant = Variant("v", slots, method=method)  # type: ignore[arg-type]
    prepared = SimpleNamespace(
        experiment=SimpleNamespace(asked=models, models=models[:2]),
        rows=SimpleNamespace(dev=[1, 2, 3], test=[1, 2]),
        task=SimpleNamespace(bank=None),
    )
    search = SimpleNamespace(view=SimpleNamespace(variants=[variant]))
    findings = SimpleNamespace(search=search, choice=SimpleNamespace(pick=0), task=SimpleNamespace(shelf=shelf))
    return SimpleNamespace(folder=folder, prepared=prepared, findings=findings)


def test_setup_is_known_where_every_model_that_the_arm_asks_has_a_price(tmp_path: Path) -> None:
    priced, bare, judge = (
        SimpleNamespace(name=name, price=price) for name, price in (("a", 1), ("b", None), ("j", None))
    )
    run = mined(tmp_path, {"model": "a"}, [priced, bare])
    assert _setup(run, Paid(label_usd=0.1)).usd == pytest.approx(0.5 + 0.4)
    assert _setup(mined(tmp_path, {"model": "b"}, [priced, bare]), Paid()).unpriced == ("the model b has no price",)
    judged = mined(tmp_path, {"model": "a"}, [priced, bare, judge])
    assert _setup(judged, Paid()).unpriced == ("the model j has no price",)
    tuned = _setup(run, Paid(tuning=Tuning(80), tuned=True, label_usd=0.1))
    assert (tuned.usd, tuned.unpriced) == (None, ("`tune.price.train` is not given",))
    assert tuned.labels == pytest.approx(8.5)
    assert _setup(run, Paid(training_usd=3.0, tuned=True)).usd == pytest.approx(3.4)
    why = "what the training of t cost is not known"
    assert _setup(run, Paid(tuned=True, unknown=why)).unpriced == (why,)


def test_a_change_of_knowledge_is_a_passage_where_there_are_any_else_training_again(tmp_path: Path) -> None:
    paid = Paid(training_usd=3.0, tuned=True)
    shelf = SimpleNamespace(settings=SimpleNamespace(embedding=None))

    def update(method: str, paid: Paid) -> float | None:
        run = mined(tmp_path, {"model": "a"}, [], method, shelf)
        return _update(run, picked(run), paid)

    assert (update("fine-tuning", paid), update("rag+fine-tuning", paid)) == (3.0, 0.0)
    assert (update("prompting", Paid()), update("rag", Paid())) == (0.0, 0.0)
    assert update("fine-tuning", Paid(tuned=True)) is None
