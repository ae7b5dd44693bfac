"""How scores are said: rates from 0 to 1 in per cent and points, any other measure in its own unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Unit:
    """Whether scores are rates; how a score, an end of its interval and a difference are written."""

    rate: bool = True

    def score(self, value: float) -> str:
        """A score: 46.5 for .465."""
        return f"{100 * value:.1f}" if self.rate else f"{value:.4g}"

    def bound(self, value: float) -> str:
        """An end of an interval, a digit shorter."""
        return f"{100 * value:.0f}" if self.rate else f"{value:.3g}"

    def gap(self, value: float) -> str:
        """A difference, signed; -0.0 has the sign +."""
        if self.rate:
            return f"{round(100 * value, 1) + 0.0:+.1f}"
        return f"{value + 0.0:+.4g}"

    def points(self, value: float) -> str:
        """A difference with its word."""
        return self.gap(value) + (" points" if self.rate else "")

    def span(self, low: float | None, high: float | None) -> str:
        """The interval of a difference behind a space; empty where there is none."""
        if low is None or high is None or low != low or high != high:  # noqa: PLR0124 - NaN
            return ""
        return f" [{self.gap(low)}, {self.gap(high)}]"


def unit_of(scores: Iterable[npt.ArrayLike]) -> Unit:
    """Rates if every known score lies from 0 to 1."""
    known = [np.asarray(each, float).ravel() for each in scores]
    whole = np.concatenate([each[~np.isnan(each)] for each in known]) if known else np.empty(0)
    return Unit(bool(((whole >= 0) & (whole <= 1)).all()))
