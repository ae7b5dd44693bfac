"""What a run says, in sentences: the winner or that there is none, how sure, and what the numbers do not bear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.metrics.classification import majority
from promptlab.power import smallest_difference
from promptlab.results import Findings, scores_of
from promptlab.stats import error_bounds

EMBEDDED = (
    "engine=embedded: the offline engine is no language model. These scores prove the path, never a prompt: "
    "point `endpoint` at a real one before you conclude anything."
)


def verdict(found: Findings, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sentences under a leaderboard."""
    lines = [*_winner(found, rows), *_ties(found), *_errors(found), *_base_rate(found)]
    if "embedded" in found.engine.split():
        lines.append(EMBEDDED)
    return lines


def points(value: float) -> str:
    """A difference of scores in points, signed."""
    return f"{100 * value:+.1f}"


def _winner(found: Findings, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    view, choice = found.search.view, found.choice
    if choice.pick == 0:
        return ["No variant is above the baseline on dev: keep the baseline."]
    row = next(each for each in rows if each["variant"] == view.variants[choice.pick].id)
    if not found.test:
        gain = f"{points(row['dev_delta'])} points on {row['dev_n']} dev rows"
        return [f"Dev's pick is {row['variant']} ({row['name']}), {gain}. Test was not read, so no winner is named."]
    span = f"{points(row['delta'])} points [{points(row['delta_low'])}, {points(row['delta_high'])}]"
    evidence = f"{span} on {row['test_n']} held-out rows, p = {row['p_adjusted']:.2g}"
    luck = row["dev_delta"] - row["delta"]
    lines = []
    if row["status"] == "winner":
        lines.append(f"Winner: {row['variant']} ({row['name']}): {evidence}.")
    else:
        lines.append(f"No variant beats the baseline. Dev's pick {row['variant']} ({row['name']}): {evidence}.")
        smallest = smallest_difference(row["test_n"], 0.2)
        if smallest:
            lines.append(f"(These {row['test_n']} rows show differences from about {100 * smallest:.0f} points up.)")
    lines.append(f"Dev said {points(row['dev_delta'])}; the difference to test, {points(luck)}, is selection luck.")
    return lines


def _ties(found: Findings) -> list[str]:
    view, tied = found.search.view, found.choice.tied
    if len(tied) < 2:
        return []
    ids = [view.variants[v].id for v in sorted(tied, key=lambda v: view.ranking().index(v))]
    shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    scored = len(found.choice.full)
    return [f"95 %: the best of the {scored} fully scored variants is among these {len(ids)}: {shown}."]


def _errors(found: Findings) -> list[str]:
    """Where calls failed: the pick's difference with every missing row counted against it, and for it."""
    pick, view = found.choice.pick, found.search.view
    if pick == 0 or not found.test:
        return []
    by = {v: [p for p in found.test if p.variant == view.variants[v].id] for v in (0, pick)}
    one, base = (scores_of(by[v], found.test_rows) for v in (pick, 0))
    missing = sum(math.isnan(a) or math.isnan(b) for a, b in zip(one, base, strict=True))
    if not missing:
        return []
    low, high = error_bounds(one, base)
    word = "undecided: the sign depends on them" if low < 0 < high else "the sign does not depend on them"
    span = f"{points(low)} to {points(high)}"
    return [f"{missing} test rows are missing (errors): with them the difference is {span}, {word}."]


def _base_rate(found: Findings) -> list[str]:
    if not found.task.labels:
        return []
    rows = found.test_rows or found.search.view.dev
    label, share = majority([example.answers[0] for example in rows if example.answers])
    return [f"Always answering {label!r} would score {100 * share:.1f} % here."]
