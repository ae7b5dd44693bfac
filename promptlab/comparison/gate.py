"""Whether a changed prompt may pass: better, as good within a margin, worse, or not to be told from these rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from promptlab.stats.paired import Paired, error_bounds, paired
from promptlab.stats.sample import FEWEST_GROUPS, Sample, sample_of
from promptlab.unit import Unit, unit_of

Verdict = Literal["passed", "regressed", "undecided"]
WORDS = {"regressed": "is worse", "passed": "is not worse by the margin"}
LEVEL = 0.90  # of the two-sided interval whose ends are one-sided bounds at 95 %


@dataclass(frozen=True, slots=True)
class Gate:
    """A change against what was, on the ``n`` rows that both have a score on.

    ``low`` and ``high`` are one-sided bounds of ``delta``, each at 95 %. ``chance`` is how likely a prompt that did not
    change at all passes with this many rows, if they differ as these do. NaN = could not be computed.
    """

    verdict: Verdict
    delta: float
    low: float
    high: float
    n: int
    chance: float
    reason: str


def gate(
    new: npt.ArrayLike,
    old: npt.ArrayLike,
    margin: float = 0.02,
    *,
    weights: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Gate:
    """Compare the scores of a change with those of the main branch, row by row; NaN = the call failed.

    ``regressed``: worse for sure (upper bound below 0). ``passed``: worse by less than ``margin`` for sure (lower bound
    above -margin). Else ``undecided``, as where the rows that failed could turn the verdict. An unchanged prompt
    regresses in at most 5 %. ``margin`` is in the unit of the scores. Raises ValueError unless margin >= 0.
    """
    if not margin >= 0:
        raise ValueError(f"a margin is 0 or more: {margin!r}")
    one, other = np.asarray(new, float), np.asarray(old, float)
    unit = unit_of([one, other])
    found = paired(one, other, seed, weights, groups=groups, level=LEVEL)
    sample = sample_of(one - other, weights, groups)
    if math.isnan(found.low) or (sample.groups is not None and sample.units < FEWEST_GROUPS):
        return Gate("undecided", found.delta, math.nan, math.nan, found.n, math.nan, _too_few(sample))
    decided: Verdict = "regressed" if found.high < 0 else "passed" if found.low > -margin else "undecided"
    chance = _chance(sample, margin)
    missing = int(np.sum(np.isnan(one - other)))
    if missing and _turns(decided, error_bounds(one, other, weights), margin):
        rows = f"{missing} more row{'s' * (missing > 1)} failed (errors)"
        reason = f"{_figures(found, unit)}, but {rows} and could turn it: without them it {WORDS[decided]}"
        return Gate("undecided", found.delta, found.low, found.high, found.n, chance, reason)
    return Gate(
        decided, found.delta, found.low, found.high, found.n, chance, _reason(decided, found, margin, chance, unit)
    )


def _turns(decided: Verdict, bounds: tuple[float, float], margin: float) -> bool:
    """Whether rows without a score could turn the verdict."""
    if decided == "regressed":
        return max(bounds) >= 0
    return decided == "passed" and min(bounds) <= -margin


def _chance(sample: Sample, margin: float) -> float:
    """How likely the lower bound of a true 0 is above -margin, at this standard error."""
    from scipy.special import stdtr, stdtrit

    freedom = sample.freedom
    return float(stdtr(freedom, margin / sample.standard_error() - float(stdtrit(freedom, 0.95))))


def _too_few(sample: Sample) -> str:
    if sample.groups is not None:
        return f"{sample.units} groups of rows are too few to tell anything: {FEWEST_GROUPS} are the least"
    count = len(sample.rows)
    return f"{count or 'no'} row{'s' * (count != 1)} with a score of both: too few to tell anything"


def _figures(found: Paired, unit: Unit) -> str:
    bounds = f"one-sided 95 % bounds {unit.gap(found.low)} and {unit.gap(found.high)}"
    return f"{unit.points(found.delta)} on {found.n:,} rows, {bounds}"


def _reason(decided: Verdict, found: Paired, margin: float, chance: float, unit: Unit) -> str:
    allowed = unit.points(margin)[1:]
    told = {
        "regressed": "it is worse by more than luck",
        "passed": f"it is not worse by {allowed} or more" if margin else "it is not worse",
        "undecided": f"it may be as good, and it may be worse by {allowed} or more" if margin else "it may be worse",
    }[decided]
    small = ", though by less than the margin" if decided == "regressed" and found.low > -margin else ""
    power = f"an unchanged prompt passes in {100 * chance:.0f} % of such comparisons"
    more = "; more rows would tell" if decided == "undecided" else ""
    return f"{_figures(found, unit)}, margin {allowed}: {told}{small} ({power}{more})"
