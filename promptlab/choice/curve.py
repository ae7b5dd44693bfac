"""Learning curves: score against demos, training rows or passages. Points with intervals; a fit only where it has won.

The fit is err(n) = c + a·n^-b, c >= 0, a >= 0, b in (0, 2], an inverse power law (Figueroa et al. 2012). Some curves
are no such thing (Viering & Loog 2023), so that it is drawn only where it foretells two held-out sizes better than "it
stays as it is" does, in 95 % of paired bootstrap draws each. What lies beyond the last size is a range for the eye: it
feeds no choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlab.stats.paired import mean, paired, rate_interval
from promptlab.stats.sample import Array, Codes
from promptlab.unit import Unit

HELD = 2  # sizes that a fit has to foretell
BEFORE = 3  # sizes below them that it is made from, at least
DRAWS = 400
WON = 0.95
BEYOND = 2.0  # times the last size
EXPONENTS: Array = np.linspace(0.02, 2.0, 100)


@dataclass(frozen=True, slots=True)
class Point:
    """The mean score at one size, on ``n`` rows, with its 95 % interval."""

    x: float
    n: int
    score: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fit:
    """score(n) = 1 - c - a·n^-b. ``low``, ``high``: 90 % of the bootstrap's fits at ``beyond``, for the eye alone."""

    c: float
    a: float
    b: float
    beyond: float
    low: float
    high: float

    def __call__(self, n: float) -> float:
        """The fitted score at a size."""
        return 1 - self.c - self.a * float(n**-self.b)


@dataclass(frozen=True, slots=True)
class Curve:
    """Points in order of size. ``rising``: the last is above the one before, more than luck. ``note``: why no fit.

    ``which``: what the curve follows, where there is a choice of it. ``part``: sizes that were scored on some of the
    ``rows`` only, with how many; they are no points.
    """

    axis: str
    points: tuple[Point, ...]
    rising: bool = False
    fit: Fit | None = None
    note: str = ""
    which: str = ""
    part: tuple[tuple[float, int], ...] = ()
    rows: int = 0

    @property
    def name(self) -> str:
        """The axis, with what the curve follows."""
        return f"{self.axis} ({self.which})" if self.which else self.axis

    @property
    def left_out(self) -> str:
        """The sizes that are no points and why, as a sentence; empty where there are none."""
        said = [f"{x:g} (after {n:,} of {self.rows:,} dev rows)" for x, n in self.part]
        return f"Not scored in full, so not drawn: {', '.join(said)}." if said else ""

    def told(self, unit: Unit) -> str:
        """The points in one line."""
        return ", ".join(f"{each.x:g} → {unit.score(each.score)}" for each in self.points)


def curve(
    axis: str, sizes: Sequence[float], scores: npt.ArrayLike, seed: int = 0, groups: Codes | None = None
) -> Curve:
    """The curve of ``scores`` [sizes, rows], the same rows at every size; NaN = not scored."""
    order = np.argsort(sizes, kind="stable")
    values, xs = np.asarray(scores, float)[order], np.asarray(sizes, float)[order]
    points = tuple(_point(float(x), row, seed, groups) for x, row in zip(xs, values, strict=True))
    rising = len(xs) > 1 and bool(paired(values[-1], values[-2], seed, groups=groups).low > 0)
    fit, note = _fitted(xs, values, seed, groups)
    return Curve(axis, points, rising, fit, note, rows=values.shape[1])


def _point(x: float, row: Array, seed: int, groups: Codes | None) -> Point:
    interval = rate_interval(row, seed=seed, groups=groups)
    return Point(x, int(np.sum(~np.isnan(row))), mean(row), interval.low, interval.high)


def _fitted(xs: Array, values: Array, seed: int, groups: Codes | None) -> tuple[Fit | None, str]:
    """The fit where it has won; else why there is none. Sizes of 0 have no place on it."""
    values, xs = values[xs > 0], xs[xs > 0]
    whole = ~np.isnan(values).any(axis=0) if len(values) else np.zeros(0, bool)
    if len(xs) < BEFORE + HELD:
        sizes = f"{len(xs)} size{'s' * (len(xs) != 1)} above 0"
        return None, f"no fit: {sizes}, and {BEFORE + HELD} are the least that one can be tested on"
    values = values[:, whole]
    if values.shape[1] < 2 or values.min() < 0 or values.max() > 1:
        return None, "no fit: it is made for scores from 0 to 1 on the same rows"
    drawn = 1 - _drawn(values, seed, None if groups is None else groups[whole])
    for held in range(len(xs) - HELD, len(xs)):
        told = _at(law(xs[:held], drawn[:, :held]), xs[held])
        gain = np.abs(drawn[:, held - 1] - drawn[:, held]) - np.abs(told - drawn[:, held])
        if np.mean(gain > 0) < WON:
            return None, f"no fit: at {xs[held]:g} it foretells no better than the size before does"
    c, a, b = (float(each[0]) for each in law(xs, 1 - values.mean(axis=1)[None, :]))
    beyond = BEYOND * float(xs[-1])
    low, high = np.quantile(1 - _at(law(xs, drawn), beyond), [0.05, 0.95])
    return Fit(c, a, b, beyond, float(low), float(high)), ""


def _drawn(values: Array, seed: int, groups: Codes | None) -> Array:
    """Mean scores [draws, sizes] of rows (or groups of rows) drawn again, the same for every size."""
    rng = np.random.default_rng(seed)
    codes = np.arange(values.shape[1]) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(codes.max()) + 1
    counts = rng.multinomial(units, np.full(units, 1 / units), size=DRAWS).astype(float)[:, codes]
    return np.asarray(counts @ values.T / counts.sum(axis=1, keepdims=True))


def law(xs: Array, errors: Array) -> tuple[Array, Array, Array]:
    """c, a and b of the least squares through ``errors`` [draws, sizes]: for each b a line in n^-b, the best b wins."""
    best = np.full(len(errors), np.inf)
    c, a, b = np.zeros(len(errors)), np.zeros(len(errors)), np.full(len(errors), EXPONENTS[0])
    for exponent in EXPONENTS:
        x = xs**-exponent
        slope, level = _line(x, errors)
        miss = np.sum((errors - level[:, None] - slope[:, None] * x) ** 2, axis=1)
        better = miss < best - 1e-15
        best = np.where(better, miss, best)
        c, a, b = np.where(better, level, c), np.where(better, slope, a), np.where(better, exponent, b)
    return c, a, b


def _line(x: Array, errors: Array) -> tuple[Array, Array]:
    """Slope and level of the best lines with neither below 0."""
    apart = x - x.mean()
    slope = errors @ apart / max(float(apart @ apart), 1e-300)
    level = errors.mean(axis=1) - slope * x.mean()
    through = errors @ x / float(x @ x)  # level 0
    slope, level = np.where(level < 0, through, slope), np.maximum(level, 0)
    flat = slope < 0
    return np.where(flat, 0.0, slope), np.where(flat, errors.mean(axis=1), level)


def _at(law_: tuple[Array, Array, Array], x: float) -> Array:
    c, a, b = law_
    return np.asarray(c + a * x**-b)
