"""Learning curves: points with honest intervals, a fit only where it has foretold held-out sizes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from promptlab.choice.curve import curve, law
from promptlab.stats.sample import Array

SIZES = (20, 40, 80, 160, 320, 640)


def drawn(errors: Array, rows: int, seed: int = 0) -> Array:
    """Scores [sizes, rows] with these error rates; a row that is right at a size stays right with less error."""
    luck = np.random.default_rng(seed).random(rows)
    return (luck[None, :] >= np.asarray(errors)[:, None]).astype(float)


def power(xs: Array, c: float = 0.05, a: float = 2.0, b: float = 0.5) -> Array:
    return c + a * xs**-b


def test_points_stand_in_order_of_size_with_the_interval_of_a_rate() -> None:
    scores = drawn(np.array([0.2, 0.4]), 100)
    found = curve("demos", [8, 4], scores)
    assert [point.x for point in found.points] == [4, 8]
    assert found.points[0].score == pytest.approx(scores[1].mean())
    assert found.points[0].low < found.points[0].score < found.points[0].high
    assert found.rising


def test_rising_needs_more_than_luck() -> None:
    scores = np.array([[1.0] * 50 + [0.0] * 50, [1.0] * 51 + [0.0] * 49])
    assert not curve("demos", [4, 8], scores).rising


def test_the_law_is_found_as_scipy_finds_it() -> None:
    xs = np.array(SIZES, float)
    errors = power(xs, 0.1, 1.5, 0.6) + np.array([0.004, -0.003, 0.002, -0.002, 0.001, 0.0])
    [c], [a], [b] = law(xs, errors[None, :])
    oracle, _ = curve_fit(lambda n, c, a, b: c + a * n**-b, xs, errors, p0=(0.1, 1.0, 0.5), bounds=(0, [1, 10, 2]))
    ours, theirs = c + a * xs**-b, oracle[0] + oracle[1] * xs ** -oracle[2]
    assert np.sum((ours - errors) ** 2) <= np.sum((theirs - errors) ** 2) * 1.05
    assert np.abs(ours - theirs).max() < 0.002


@pytest.mark.parametrize(
    "errors", [[0.5, 0.4, 0.3, 0.2], [0.2, 0.3, 0.4, 0.5], [0.3, 0.3, 0.3, 0.3], [0.9, 0.1, 0.0, 0.0]]
)
def test_no_part_of_the_law_falls_below_zero(errors: list[float]) -> None:
    c, a, b = law(np.array([10.0, 20, 40, 80]), np.array([errors]))
    assert c[0] >= 0
    assert a[0] >= 0
    assert 0 < b[0] <= 2


def test_a_steep_curve_on_many_rows_gets_a_fit_and_beyond_the_last_size_only_a_range() -> None:
    xs = np.array(SIZES, float)
    found = curve("training rows", SIZES, drawn(power(xs), 4000))
    assert found.fit is not None
    assert found.fit(640) == pytest.approx(1 - power(np.array([640.0]))[0], abs=0.03)
    assert found.fit.beyond == 1280
    assert found.fit.low <= 1 - power(np.array([1280.0]))[0] <= found.fit.high


def test_a_plateau_gets_no_fit_for_the_last_value_foretells_as_well() -> None:
    found = curve("training rows", SIZES, drawn(np.full(6, 0.3), 1000))
    assert found.fit is None
    assert "foretells no better" in found.note


def test_a_curve_of_no_such_law_gets_none() -> None:
    """Flat, then a fall at the end: what came before says nothing of it."""
    found = curve("training rows", SIZES, drawn(np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.2]), 1000))
    assert found.fit is None


def test_noise_alone_is_fitted_in_few_of_many_curves() -> None:
    """Few rows, a true plateau with every size's luck its own."""
    rng = np.random.default_rng(8)
    fitted = sum(
        curve("demos", SIZES, (rng.random((6, 60)) < 0.7).astype(float), seed).fit is not None for seed in range(30)
    )
    assert fitted <= 2


def test_under_five_sizes_there_is_nothing_to_test_a_fit_on() -> None:
    xs = np.array([0.0, 20, 40, 80, 160])
    found = curve("demos", xs.tolist(), drawn(np.array([0.9, *power(xs[1:])]), 1000))
    assert found.fit is None
    assert "4 sizes above 0" in found.note
    assert len(found.points) == 5


def test_the_same_seed_draws_the_same_range() -> None:
    scores = drawn(power(np.array(SIZES, float)), 2000)
    assert curve("training rows", SIZES, scores, 3) == curve("training rows", SIZES, scores, 3)
