"""What qualifies a run's numbers, in sentences: missing rows, groups, rows read again, what so many rows can show."""

from __future__ import annotations

import numpy as np

from promptlab.findings import Findings
from promptlab.measured import whole
from promptlab.metrics.classification import majority
from promptlab.metrics.label_sets import is_many
from promptlab.reads import MOST_READS, penalty
from promptlab.stats.paired import error_bounds
from promptlab.stats.power import Z_POWER, Z_TEST, smallest_difference
from promptlab.stats.sample import FEWEST_GROUPS, Sample, codes_of, sample_of
from promptlab.tested import Tested
from promptlab.unit import Unit


def errors(found: Findings, test: Tested, unit: Unit) -> list[str]:
    """Where calls failed: the pick's difference with every missing row counted as 0, and as 1."""
    pick = found.choice.pick
    if pick not in test.gaps:
        return []
    one, base = test.scores[pick], test.scores[0]
    missing = int(np.isnan(one - base).sum())
    if not missing:
        return []
    low, high = sorted(error_bounds(one, base, test.weights, test.fills))
    word = "undecided, for its sign depends on them" if low <= 0 <= high else "its sign does not depend on them"
    rows = f"{missing} test row{'s are' if missing > 1 else ' is'} missing (errors)"
    return [f"{rows}: the difference is {unit.gap(low)} to {unit.gap(high)} with them; {word}."]


def groups(found: Findings) -> list[str]:
    """Of rows that belong together: how many groups there are, and that few of them bear no p."""
    split, rows = ("test", found.test_rows) if found.test else ("dev", found.search.view.dev)
    codes = codes_of([example.group for example in rows])
    if codes is None:
        return []
    count = len(np.unique(codes))
    few = f": fewer than {FEWEST_GROUPS} bear no p, so no winner is named" if count < FEWEST_GROUPS else ""
    return [f"The {len(rows)} {split} rows come in {count} groups; intervals and tests go by group{few}."]


def reads(found: Findings, test: Tested) -> list[str]:
    """That these test rows were read before, and what it costs, where there is a p to pay with."""
    return reread(found.reads) if any(p == p for p in test.p.values()) else []  # noqa: PLR0124 - NaN


def reread(count: int, run: str = "") -> list[str]:
    """That ``count`` runs, the named one the last of them, have read the same test rows; nothing of a first one."""
    if count < 2:
        return []
    who = f"{run}: " * bool(run)
    more = " Bring new test rows." if count > MOST_READS else ""
    cost = f"p is multiplied by {penalty(count):.3g}, for each reading makes a false winner likelier"
    return [f"{who}{count} runs have read these test rows by now: {cost}.{more}"]


def resolves(found: Findings, test: Tested, unit: Unit) -> list[str]:
    """The smallest difference that the test rows show four times in five, by how they turned out to differ."""
    pick = found.choice.pick
    gap = test.scores[pick] - test.scores[0]
    sample = sample_of(gap, test.weights, test.groups)
    if sample.units < 2:
        return []
    binary = unit.rate and test.gaps[pick].flips is not None and not whole(found.task)
    smallest = _of_flips(sample) if binary else (Z_TEST + Z_POWER) * sample.standard_error(bare=True)
    differ = f", {100 * sample.average((sample.rows != 0).astype(float)):.0f} % of them answered differently," * binary
    if smallest is None:
        return [f"(These {len(sample.rows)} rows{differ} cannot show any difference between such variants.)"]
    least = f"{100 * smallest:.0f} points" if unit.rate else f"{smallest:.2g}"
    return [f"(These {len(sample.rows)} rows{differ} show differences from about {least} up.)"]


def _of_flips(sample: Sample) -> float | None:
    """The smallest difference at the share of rows that differ: of one row at least, for none may be luck."""
    differ = sample.average((sample.rows != 0).astype(float))
    return smallest_difference(sample.worth, max(differ, 1 / len(sample.rows)))


def base_rate(found: Findings) -> list[str]:
    """What answering blindly would score."""
    if not found.task.labels:
        return []
    rows = found.test_rows or found.search.view.dev
    answers = [example.answers[0] for example in rows if example.answers]
    if is_many(answers):  # sets of labels: none of them is a class
        return []
    label, share = majority(answers)
    return [] if label is None else [f"Always answering {label!r} would be right on {100 * share:.1f} % of these rows."]
