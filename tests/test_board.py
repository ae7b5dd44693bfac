"""What is printed: the leaderboard at every width, and progress with and without a terminal."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
import pytest
from findings import NAN, findings
from rich.console import Console

from promptlab.cli.board import distinct_names
from promptlab.cli.progress import progress
from promptlab.cli.show import leaderboard
from promptlab.findings import Findings
from promptlab.meter import Cost, Meter
from promptlab.records import Budget, Call, Completion, Price
from promptlab.results import fold
from promptlab.unit import Unit, unit_of
from promptlab.view import Plan


def printed(rows: list[dict[str, Any]], width: int, *, terminal: bool = True, most: int = 15) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=terminal, color_system=None, soft_wrap=not terminal)
    console.print(leaderboard(rows, most))
    return out.getvalue().splitlines()


def made(count: int = 6, **kwargs: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    dev, test = ((rng.random((count, 60)) < np.linspace(0.3, 0.8, count)[:, None]).astype(float) for _ in range(2))
    return fold(findings(dev, test, price=Price(1, 2), **kwargs))


def long(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "slot.instructions": f"take great care of case {at} " * 5} for at, row in enumerate(rows)]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_wider_than_the_terminal_and_every_variant_is_there(width: int) -> None:
    for rows in (made(), long(made())):
        lines = printed(rows, width)
        assert max(map(len, lines)) <= width
        for row in rows:
            [line] = [each for each in lines if row["variant"] in each]
            assert row["status"] in line
            assert f"{100 * row['dev_score']:.1f}" in line


@pytest.mark.parametrize(("width", "wide"), [(80, False), (100, True), (140, True)])
def test_intervals_of_scores_are_shown_where_there_is_room(width: int, wide: bool) -> None:
    head = printed(long(made()), width)[0]
    assert ("dev [95 %]" in head) == wide
    assert "Δ test [95 %]" in head
    assert "p" in head.split()


def test_on_a_pipe_every_variant_is_one_line_with_all_there_is() -> None:
    rows = long(made())
    lines = printed(rows, 140, terminal=False)
    assert len(lines) == 1 + len(rows)
    for row in rows:
        [line] = [each for each in lines if row["variant"] in each]
        assert row["slot.instructions"].strip() in line
    assert "$/1k" in lines[0]


def test_names_hold_only_what_the_shown_variants_differ_in() -> None:
    rows = made(4)
    assert distinct_names(rows) == [f"tone={row['slot.tone']}" for row in rows]
    other = [{**row, "template": f"t{at}", "slot.bank.k": NAN if at else 4} for at, row in enumerate(rows)]
    assert distinct_names(other)[:2] == [f"t0 tone={rows[0]['slot.tone']} k=4", f"t1 tone={rows[1]['slot.tone']}"]
    assert distinct_names(rows[:1]) == [rows[0]["name"]]


def test_columns_without_a_figure_are_left_out() -> None:
    rng = np.random.default_rng(1)
    rows = fold(findings((rng.random((3, 60)) < 0.5).astype(float)))
    head = printed(rows, 140)[0]
    assert "Δ dev [95 %]" in head
    for name in ("test", "p", "$/1k", "run"):
        assert name not in head.split()


def test_the_baseline_is_shown_wherever_it_stands_and_the_rest_is_counted() -> None:
    rows = made(12)
    lines = printed(rows, 140, most=3)
    shown = [row for row in rows if any(row["variant"] in line for line in lines)]
    assert [row["status"] for row in shown][-1] == "baseline"
    assert len(shown) == 4
    assert lines[-1] == "8 more in results.csv"


def test_scores_that_are_no_rates_keep_their_unit() -> None:
    dev = -np.array([[300.0] * 20, [250.5] * 20]) - np.arange(20)
    text = "\n".join(printed(fold(findings(dev, dev)), 140))
    assert "-260 [" in text
    assert "+49.5 [" in text
    assert "-26000" not in text


def test_text_from_data_moves_no_cursor_and_is_no_markup() -> None:
    rows = [{**row, "slot.tone": f"[red]a\x1b[2J\nb{at}", "status": "odd\x1b[0m"} for at, row in enumerate(made(3))]
    text = "\n".join(printed(rows, 140, terminal=False))
    assert "[red]a" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 4


@pytest.mark.parametrize(
    ("value", "rate", "other"), [(0.3351, "+33.5", "+0.3351"), (-0.0, "+0.0", "+0"), (-1e-9, "+0.0", "-1e-09")]
)
def test_differences_are_signed(value: float, rate: str, other: str) -> None:
    assert Unit().gap(value) == rate
    assert Unit(rate=False).gap(value) == other


def test_scores_are_rates_only_if_all_lie_from_0_to_1() -> None:
    assert unit_of([[0, NAN, 1], [0.5]]).rate
    assert unit_of([[NAN]]).rate
    assert not unit_of([[0.5], [1.5]]).rate
    assert not unit_of([[-0.1]]).rate


# Progress ------------------------------------------------------------------------------------------------------------


def play(found: Findings, out: Console) -> None:
    """A run of two rounds and a test, told to progress as a session does."""
    view, calls = found.search.view, [call for row in found.search.predictions for call in row.calls]
    with progress(out, Budget(calls=500)) as watch:
        watch.opened(view, Plan(want=5), Meter(Cost(math.inf, math.inf, math.inf)))
        watch.closed(view, Plan(want=5), [])
        plan = Plan(tuple((v, i) for v in range(len(view.variants)) for i in range(20)))
        watch.opened(view, plan, Meter(Cost(math.inf, math.inf, math.inf)))
        for call in calls:
            watch.landed(call)
        watch.closed(view, plan, found.search.predictions)
        watch.testing(found.choice, view, 60)
        watch.landed(Call("k", "answer", Completion("x"), usd=0.002, cached=True))


def test_without_a_terminal_every_round_is_a_plain_line() -> None:
    rng = np.random.default_rng(1)
    found = findings((rng.random((3, 20)) < 0.5).astype(float), (rng.random((3, 20)) < 0.5).astype(float))
    out = io.StringIO()
    play(found, Console(file=out, force_terminal=False, width=140, soft_wrap=True))
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("2 variants to try beside the baseline")
    assert "60 rows scored" in lines[1]
    assert "60 of 500 calls" in lines[1]
    assert "$0.06" in lines[1]
    assert re.search(r"best v\w+ [+-]\d+\.\d points \[", lines[1])
    assert lines[2] == "test: the baseline and 2 finalists · 60 rows to score"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out.getvalue())


def test_on_a_terminal_the_live_line_leaves_no_trace() -> None:
    rng = np.random.default_rng(1)
    found = findings((rng.random((3, 20)) < 0.5).astype(float))
    out = io.StringIO()
    play(found, Console(file=out, force_terminal=True, width=80))
    assert "\x1b[" in out.getvalue()
    assert "rows scored" not in out.getvalue()
