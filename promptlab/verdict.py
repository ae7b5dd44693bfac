"""What a run says, in sentences: the winner or that there is none, how sure, and what the numbers do not bear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from promptlab.metrics.classification import majority
from promptlab.power import smallest_difference
from promptlab.results import Findings, further_metrics, tested
from promptlab.stats import error_bounds
from promptlab.unit import Unit, unit_of

EMBEDDED = (
    "engine=embedded: the offline engine is no language model. These scores prove the path, never a prompt: "
    "point `endpoint` at a real one before you conclude anything."
)
NONE = "No variant beats the baseline"


def verdict(found: Findings, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sentences under a leaderboard."""
    lines = [*_winner(found, rows), *_further(found, rows), *_errors(found), *_ties(found), *_base_rate(found)]
    if "embedded" in found.engine.split():
        lines.append(EMBEDDED)
    return lines


def _unit(found: Findings) -> Unit:
    return unit_of([found.search.view.scores, *tested(found).scores.values()])


def _winner(found: Findings, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    view, choice, unit = found.search.view, found.choice, _unit(found)
    if choice.pick == 0:
        return [_no_pick(found)]
    row = next(each for each in rows if each["variant"] == view.variants[choice.pick].id)
    who = f"{row['variant']} ({row['name']})"
    if not found.test:
        gain = f"{unit.points(row['dev_delta'])} on {row['dev_n']} dev rows"
        return [f"Dev's pick is {who}: {gain}. Test was not read, so no winner is named."]
    if row.get("delta") is None:
        return [f"{NONE}: dev's pick {who} has no score on test."]
    p = "" if row.get("p_adjusted") is None else f", p = {row['p_adjusted']:.2g}"
    span = unit.span(row.get("delta_low"), row.get("delta_high"))
    evidence = f"{unit.points(row['delta'])}{span} on {row['test_n']} held-out rows{p}"
    if row["status"] == "winner":
        lines = [f"Winner: {who}: {evidence}."]
    else:
        lines = [f"{NONE}. Dev's pick {who}: {evidence}."]
        smallest = smallest_difference(row["test_n"], 0.2) if unit.rate else None
        if smallest:
            lines.append(f"(These {row['test_n']} rows show differences from about {100 * smallest:.0f} points up.)")
    return [*lines, _luck(unit, row["dev_delta"], row["delta"])]


def _further(found: Findings, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The further metrics of dev's pick and the baseline; they decide nothing."""
    view, split = found.search.view, "test" if found.test else "dev"
    by = {row["variant"]: row for row in rows}
    pick, base = (by[view.variants[v].id] for v in (found.choice.pick, 0))
    figures = [
        f"{name} {pick[f'{split}.{name}']:.3g} (baseline {base[f'{split}.{name}']:.3g})"
        for name in further_metrics(found.task)
        if pick.get(f"{split}.{name}") is not None and base.get(f"{split}.{name}") is not None
    ]
    return [f"On {split}, too: {', '.join(figures)}."] if figures and pick is not base else []


def _luck(unit: Unit, dev: float, test: float) -> str:
    gap = unit.points(dev - test)
    if gap.startswith("+0.0 "):
        return f"Dev said {unit.points(dev)}; test says as much."
    if gap[0] == "+":
        return f"Dev said {unit.points(dev)}; test says {gap[1:]} less: what dev says of its own pick is partly luck."
    return f"Dev said {unit.points(dev)}; test says {gap[1:]} more."


def _no_pick(found: Findings) -> str:
    if len(found.search.view.variants) == 1:
        return f"{NONE}: there is no other in the space."
    if not found.choice.finalists:
        return f"{NONE}: none was scored on all the rows that the baseline was. Raise the budget, or try fewer."
    return f"{NONE}: none is above it on dev. Keep the baseline."


def _ties(found: Findings) -> list[str]:
    view, tied = found.search.view, found.choice.tied
    if len(tied) < 2:
        return []
    place = {v: at for at, v in enumerate(view.ranking())}
    ids = [view.variants[v].id for v in sorted(tied, key=lambda v: place.get(v, len(place)))]
    shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
    scored = len({0, *found.choice.full})
    if len(ids) == scored:
        return [f"95 %: dev cannot tell the {scored} fully scored variants apart."]
    return [f"95 %: the best of the {scored} fully scored variants is among these {len(ids)}: {shown}."]


def _errors(found: Findings) -> list[str]:
    """Where calls failed: the pick's difference with every missing row counted as 0, and as 1."""
    pick, test = found.choice.pick, tested(found)
    if pick not in test.gaps:
        return []
    one, base = test.scores[pick], test.scores[0]
    missing = int(np.isnan(one - base).sum())
    if not missing:
        return []
    unit = _unit(found)
    low, high = sorted(error_bounds(one, base, test.weights))
    word = "undecided, for its sign depends on them" if low <= 0 <= high else "its sign does not depend on them"
    rows = f"{missing} test row{'s are' if missing > 1 else ' is'} missing (errors)"
    return [f"{rows}: the difference is {unit.gap(low)} to {unit.gap(high)} with them; {word}."]


def _base_rate(found: Findings) -> list[str]:
    if not found.task.labels:
        return []
    rows = found.test_rows or found.search.view.dev
    label, share = majority([example.answers[0] for example in rows if example.answers])
    return [] if label is None else [f"Always answering {label!r} would be right on {100 * share:.1f} % of these rows."]
