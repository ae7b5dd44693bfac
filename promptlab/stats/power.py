"""What a number of rows can resolve, before anything is spent.

``psi`` is the share of rows on which two variants disagree, ``delta`` the difference of their accuracies (0.05 = 5
points); delta cannot exceed psi. All for a two-sided paired test at 5 % with 80 % power (Connor 1987; Miller 2024,
arXiv 2411.00640, for evaluations of language models).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z_TEST, Z_POWER = 1.96, 0.84


def smallest_difference(n: float, psi: float) -> float | None:
    """The smallest difference that ``n`` rows resolve; None = not even the largest possible one (psi itself)."""
    if n <= 0 or not 0 < psi <= 1 or _rows(psi, psi) > n:
        return None
    # _rows(delta, psi) = n, squared, is quadratic in delta; the smaller root has the other sign of sqrt(psi - delta^2)
    root = math.sqrt(max(0.0, Z_TEST**2 * n - (n + Z_POWER**2) * (Z_TEST**2 - Z_POWER**2)))
    return min(psi, math.sqrt(psi) * (Z_TEST * math.sqrt(n) + root) / (n + Z_POWER**2))


def rows_needed(delta: float, psi: float) -> int:
    """The rows that resolve a difference of ``delta`` (its sign does not matter).

    A psi below ``delta`` is raised to it: variants that differ by delta disagree on at least that share of rows.
    Raises ValueError unless 0 < |delta| <= 1 and psi <= 1.
    """
    size = abs(delta)
    if not 0 < size <= 1 or psi > 1:
        raise ValueError(f"no number of rows resolves a difference of {delta} at a disagreement of {psi}")
    return math.ceil(_rows(size, max(psi, size)) - 1e-9)


def effective_rows(n: float, mean_group: float, icc: float) -> float:
    """What ``n`` rows in groups are worth: n / (1 + (m - 1)·ICC), m rows a group on average (Kish's design effect)."""
    return n / (1 + (mean_group - 1) * icc)


def grouped_rows(sizes: Sequence[int], icc: float) -> float:
    """What rows in groups of these ``sizes`` are worth, m weighed by the rows that a group holds (Kish 1965)."""
    n = sum(sizes)
    return effective_rows(n, sum(size**2 for size in sizes) / n, icc) if n else 0.0


def _rows(delta: float, psi: float) -> float:
    """The rows at which the test has its power: they fall as delta grows, on (0, psi]."""
    return (Z_TEST * math.sqrt(psi) + Z_POWER * math.sqrt(max(0.0, psi - delta**2))) ** 2 / delta**2
