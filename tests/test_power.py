"""What a number of rows can resolve: against the published figures, and back again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.stats.power import effective_rows, grouped_rows, rows_needed, smallest_difference

NAN = math.nan


@pytest.mark.parametrize(
    ("delta", "psi", "rows"),
    [(0.02, 0.05, 979), (0.02, 0.3, 5885), (0.05, 0.1, 312), (0.05, 0.2, 626), (0.1, 0.1, 77), (0.01, 0.2, 15696)],
)
def test_rows_needed_are_those_of_the_published_formula(delta: float, psi: float, rows: int) -> None:
    assert rows_needed(delta, psi) == rows_needed(-delta, psi) == pytest.approx(rows, rel=0.002, abs=1)


@pytest.mark.parametrize(
    ("n", "points"),
    [(100, (8.8, 12.4, 15.2)), (500, (4.0, 5.6, 6.8)), (1000, (2.8, 4.0, 4.8)), (5000, (1.3, 1.8, 2.2))],
)
def test_smallest_differences_are_those_of_the_published_table(n: int, points: tuple[float, ...]) -> None:
    found = [100 * (smallest_difference(n, psi) or NAN) for psi in (0.1, 0.2, 0.3)]
    assert found == pytest.approx(points, abs=0.06)


@settings(deadline=None)
@given(st.integers(1, 200_000), st.floats(0.005, 1))
def test_rows_needed_undoes_smallest_difference(n: int, psi: float) -> None:
    delta = smallest_difference(n, psi)
    if delta is None:
        assert rows_needed(psi, psi) > n, "not even the largest possible difference"
    else:
        assert 0 < delta <= psi
        assert abs(rows_needed(delta, psi) - n) <= 1
        assert rows_needed(delta * 0.9, psi) > n


def test_differences_that_no_rows_resolve() -> None:
    """Too few rows: None. No disagreement: None. Delta 0 or above 1: an error; psi below delta is raised to it."""
    assert smallest_difference(10, 0.1) is smallest_difference(0, 0.5) is smallest_difference(100, 0.0) is None
    assert rows_needed(0.2, 0.1) == rows_needed(0.2, 0.2)
    for delta, psi in ((0.0, 0.1), (1.5, 1.0), (0.1, 1.5)):
        with pytest.raises(ValueError, match="no number of rows"):
            rows_needed(delta, psi)


def test_rows_in_groups_are_worth_less() -> None:
    assert effective_rows(500, 10, 0.5) == pytest.approx(500 / 5.5)
    assert effective_rows(500, 1, 0.9) == effective_rows(500, 10, 0.0) == 500


def test_in_groups_of_unlike_sizes_the_large_ones_weigh() -> None:
    """Ten rows in one group and ten alone are not worth what twenty in pairs are, though both have a mean of 2."""
    assert grouped_rows([2] * 10, 0.5) == pytest.approx(20 / 1.5)
    assert grouped_rows([10, *[1] * 10], 0.5) == pytest.approx(20 / (1 + 4.5 * 0.5))
    assert grouped_rows([1] * 20, 0.5) == 20
    assert grouped_rows([], 0.5) == 0
