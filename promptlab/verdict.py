"""What a run says, in sentences: the winner or that there is none, how sure, and what the numbers do not bear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from promptlab.final import won_on_dev
from promptlab.luck import selection_luck
from promptlab.metrics.classification import majority
from promptlab.pareto import COSTS, front_rows
from promptlab.power import smallest_difference
from promptlab.results import Findings, further_metrics, tested
from promptlab.stats import error_bounds
from promptlab.unit import Unit, unit_of

EMBEDDED = (
    "engine=embedded: the offline engine is no language model. These scores prove the path, never a prompt: "
    "point `endpoint` at a real one before you conclude anything."
)
NONE = "No variant beats the baseline"
DEV_ALPHA = 0.025  # one-sided, where dev is all there is (EVIDENCE 2)


def verdict(
    found: Findings, rows: Sequence[Mapping[str, Any]], *, claims: Sequence[str] = (), costs: Sequence[str] = ()
) -> list[str]:
    """The sentences under a leaderboard.

    ``claims``: what the allocator may say of the variants it kept, on dev. ``costs``: those of the objective.
    """
    lines = [*_winner(found, rows), *_further(found, rows), *_errors(found), *claims, *_ties(found)]
    lines += [*_front(found, rows, costs), *_base_rate(found)]
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
        return _untested(found, row, who)
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
    return [*lines, _gap(unit, row["dev_delta"], row["delta"], _luck(found))]


def _untested(found: Findings, row: Mapping[str, Any], who: str) -> list[str]:
    """What dev alone bears: a claim where nothing was adapted and nobody fell, else what to expect of the pick."""
    view, unit, luck = found.search.view, _unit(found), _luck(found)
    gain = f"{unit.points(row['dev_delta'])} on {row['dev_n']} dev rows"
    lines = [f"Dev's pick is {who}: {gain}. Test was not read, so no winner is named."]
    if luck is not None and unit.points(luck)[1:] != unit.points(0.0)[1:]:
        lines.append(
            f"Dev flatters the pick by about {unit.points(luck)[1:]}: expect {unit.points(row['dev_delta'] - luck)}."
        )
    p = won_on_dev(view, found.choice, found.seed)
    if p is not None:
        word = "is above the baseline on dev by more than luck" if p < DEV_ALPHA else "may be above it by luck alone"
        lines.append(f"All {len(view.variants) - 1} variants counted, the pick {word} (one-sided p = {p:.2g}).")
    return lines


def _luck(found: Findings) -> float | None:
    """What the choice among the fully scored variants adds to dev's word on the pick; None where it cannot be told."""
    view, choice = found.search.view, found.choice
    if choice.pick == 0:
        return None
    among = [0, *(v for v in choice.full if v != 0)]
    luck = selection_luck(view.scores[among], found.seed, view.weights)
    return None if math.isnan(luck) else luck


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


def _gap(unit: Unit, dev: float, test: float, luck: float | None) -> str:
    """Dev's word on its pick beside test's."""
    gap = unit.points(dev - test)
    told = unit.points(luck) if luck is not None else unit.points(0.0)
    expected = "" if told == unit.points(0.0) else f" (having been picked there is worth about {told[1:]})"
    if gap.startswith("+0.0 "):
        return f"Dev said {unit.points(dev)}{expected}; test says as much."
    if gap[0] == "+":
        return f"Dev said {unit.points(dev)}{expected}; test says {gap[1:]} less: dev flatters its own pick."
    return f"Dev said {unit.points(dev)}{expected}; test says {gap[1:]} more."


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


def _front(found: Findings, rows: Sequence[Mapping[str, Any]], costs: Sequence[str]) -> list[str]:
    """Which fully scored variants are not beaten in score and costs at once, cheapest first."""
    if not costs:
        return []
    unit, best = _unit(found), front_rows(rows, costs)
    if not best:
        return [f"No front of score and {' and '.join(costs)}: it needs models with a price."]
    shown = ", ".join(_on_front(row, unit, costs) for row in best[:8])
    more = f" and {len(best) - 8} more" if len(best) > 8 else ""
    return [f"On the front of score and cost (dev): {shown}{more}."]


def _on_front(row: Mapping[str, Any], unit: Unit, costs: Sequence[str]) -> str:
    words = {"usd": "${:,.4g} per 1,000 answers", "tokens": "{:,.0f} prompt tokens"}
    spent = ", ".join(words[cost].format(row[COSTS[cost]]) for cost in costs)
    if row["status"] == "baseline":
        return f"{row['variant']} (the baseline, {spent})"
    span = unit.span(row.get("dev_delta_low"), row.get("dev_delta_high"))
    return f"{row['variant']} ({unit.points(row['dev_delta'])}{span}, {spent})"


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
