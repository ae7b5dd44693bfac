"""Several goals: the front of score and cost, what the file may say, and who gets a seat on test."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from findings import findings
from hypothesis import given
from hypothesis import strategies as st

from promptlab.final import choose
from promptlab.kept import Predictions
from promptlab.pareto import front, front_rows, read_goals, served
from promptlab.records import Prediction, Price
from promptlab.results import fold
from promptlab.verdict import verdict

NAN = math.nan
PRICE = Price(1.0, 2.0)
TABLES = st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, NAN])] * 2), min_size=1, max_size=12)


def beats(one: Any, other: Any) -> bool:
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))


@given(TABLES)
def test_the_front_is_those_that_nobody_beats(table: list[tuple[float, float]]) -> None:
    on = front(table)
    known = [row for row in table if not any(map(math.isnan, row))]
    for row, stays in zip(table, on, strict=True):
        assert stays == (row in known and not any(beats(other, row) for other in known))
    assert on.any() == bool(known)


@pytest.mark.parametrize(
    ("listed", "costs", "wrong"),
    [
        (["main", "-usd"], ("usd",), []),
        (["main", "-usd", "-tokens"], ("usd", "tokens"), []),
        (["mian", "-usd"], ("usd",), ["there is no metric 'mian'"]),
        (["main", "usd"], ("usd",), ["'usd' is no cost to keep low"]),
        (["main", "-latency"], ("latency",), ["'-latency' is no cost to keep low"]),
        (["main", "-usd", "-usd"], ("usd", "usd"), ["'-usd' is there twice"]),
        (["main"], (), ["a list of goals needs a cost behind the metric"]),
        (["main", 3], ("3",), ["3 is no cost to keep low"]),
        ([], (), ["there is no metric ''", "a list of goals needs a cost behind the metric"]),
    ],
)
def test_what_a_list_of_goals_may_hold(listed: list[Any], costs: tuple[str, ...], wrong: list[str]) -> None:
    main, found, problems = read_goals(listed, ["main", "f1"])
    assert found == costs
    assert [message for _, message, _ in problems] == wrong
    assert not listed or main == listed[0]
    assert all(remedy for _, _, remedy in problems)


def priced(dev: Any, dollars: list[float], **changes: Any) -> Any:
    """Findings whose variants cost so much a call."""
    found = findings(dev, None, price=PRICE, **changes)
    cost = {variant.id: usd for variant, usd in zip(found.search.view.variants, dollars, strict=True)}

    def at(row: Prediction) -> Prediction:
        return replace(row, calls=tuple(replace(call, usd=cost[row.variant]) for call in row.calls))

    search = replace(found.search, predictions=tuple(map(at, found.search.predictions)))
    return replace(found, search=search)


def scored(*rates: float, rows: int = 40) -> np.ndarray:
    return (np.arange(rows) < np.array(rates)[:, None] * rows).astype(float)


def test_the_front_is_told_cheapest_first_with_the_baseline_on_it_if_none_beats_it() -> None:
    found = priced(scored(0.5, 0.75, 0.6, 0.6, 0.9), [0.001, 0.004, 0.002, 0.003, 0.008])
    ids = [variant.id for variant in found.search.view.variants]
    rows = fold(found)
    assert [row["variant"] for row in front_rows(rows, ("usd",))] == [ids[0], ids[2], ids[1], ids[4]]
    [line] = [each for each in verdict(found, rows, costs=("usd",)) if "front" in each]
    assert line.startswith(
        f"On the front of score and cost (dev): {ids[0]} (the baseline, $1 per 1,000 answers), {ids[2]}"
    )
    assert f"{ids[1]} (+25.0 points [" in line
    assert ids[3] not in line, "as good as a cheaper one"
    assert not any("front" in each for each in verdict(found, rows)), "nobody asked for it"


def test_a_baseline_that_is_beaten_in_both_is_not_on_the_front() -> None:
    found = priced(scored(0.5, 0.75), [0.004, 0.001])
    assert len(front_rows(fold(found), ("usd",))) == 1


def test_raced_variants_and_those_without_a_price_are_on_no_front() -> None:
    asked = np.ones((3, 40), bool)
    asked[2, 8:] = False
    found = priced(scored(0.5, 0.75, 1.0), [0.003, 0.002, 0.001], asked=asked, fell={2: 1})
    assert [row["status"] for row in front_rows(fold(found), ("usd",))] != []
    assert found.search.view.variants[2].id not in {row["variant"] for row in front_rows(fold(found), ("usd",))}
    free = findings(scored(0.5, 0.75))
    assert front_rows(fold(free), ("usd",)) == []
    assert any("needs models with a price" in each for each in verdict(free, fold(free), costs=("usd",)))


def test_what_serving_costs_is_at_list_price_and_unknown_without_one() -> None:
    found = priced(scored(0.5, 0.75), [0.004, 0.001])
    view, models = found.search.view, found.task.models
    rows = Predictions(
        replace(row, calls=tuple(replace(c, cached=True) for c in row.calls)) for row in found.search.predictions
    )
    assert served(view.variants, rows, models, ("usd", "tokens")).tolist() == [[4.0, 100.0], [1.0, 100.0]]
    free = {"m": replace(models["m"], price=None)}
    assert np.isnan(served(view.variants, rows, free, ("usd",))).all()
    assert np.isnan(served(view.variants, Predictions(), models, ("usd",))).all(), "nothing was asked"


def test_seats_that_the_pick_leaves_go_to_the_front_first() -> None:
    view = findings(scored(0.5, 0.9, 0.85, 0.8, 0.6), finalists=3).search.view
    costs = np.array([[5.0], [9.0], [9.5], [9.7], [1.0]])
    assert choose(view, 1).finalists == (1, 2, 3)
    with_costs = choose(view, 1, costs)
    assert with_costs.finalists == (1, 4, 2)
    assert with_costs.pick == 1, "the score alone picks"
    assert choose(view, 1, np.full((5, 1), np.nan)).finalists == (1, 2, 3)
    cheap = choose(view, 1, np.array([[1.0], [9.0], [9.5], [9.7], [2.0]]))
    assert cheap.finalists == (1, 4, 2)


def test_the_pick_keeps_its_seat_whatever_it_costs() -> None:
    view = findings(scored(0.5, 0.9, 0.85), finalists=1).search.view
    unknown = np.array([[1.0], [np.nan], [2.0]])
    assert choose(view, 1, unknown).finalists == (1,)


def test_what_the_baseline_beats_in_score_and_cost_gets_no_seat_of_the_front() -> None:
    view = findings(scored(0.5, 0.9, 0.85, 0.5), finalists=2).search.view
    costs = np.array([[1.0], [9.0], [9.5], [2.0]])
    assert choose(view, 1, costs).finalists == (1, 2)
