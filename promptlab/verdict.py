"""What a run says, in sentences: the winner or that there is none, how sure, and what the numbers do not bear."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from promptlab import caveats
from promptlab.chance import FLOOR, p_said
from promptlab.final import won_on_dev
from promptlab.findings import Findings
from promptlab.jury import judged
from promptlab.measured import by_variant, metric_of
from promptlab.pareto import COSTS, front_rows
from promptlab.results import as_measured, further_metrics
from promptlab.stats.luck import selection_luck
from promptlab.stats.paired import paired
from promptlab.stats.sample import codes_of
from promptlab.tested import DEV_ALPHA, Tested, alone_p, borne_out, tested
from promptlab.unit import Unit, unit_of

EMBEDDED = (
    "engine=embedded: the offline engine is no language model. These scores prove the path, never a prompt: "
    "point `endpoint` at a real one before you conclude anything."
)
NONE = "No variant beats the baseline"


def verdict(
    found: Findings, rows: Sequence[Mapping[str, Any]], *, claims: Sequence[str] = (), costs: Sequence[str] = ()
) -> list[str]:
    """The sentences under a leaderboard.

    ``claims``: what the allocator may say of the variants it kept, on dev. ``costs``: those of the objective.
    """
    unit = unit_of([found.search.view.scores, [row.score for row in found.test]])
    found, test = as_measured(found), tested(found)
    lines = judged.lines(judged.court_of(found), found.seed)
    lines += [*_winner(found, rows, test, unit), *_further(found, rows), *caveats.reads(found, test)]
    lines += [*caveats.errors(found, test, unit), *caveats.groups(found), *claims, *_ties(found)]
    lines += [*_front(rows, costs, unit), *caveats.base_rate(found)]
    if "embedded" in found.engine.split():
        lines.append(EMBEDDED)
    return lines


def _winner(found: Findings, rows: Sequence[Mapping[str, Any]], test: Tested, unit: Unit) -> list[str]:
    view, choice = found.search.view, found.choice
    if choice.pick == 0:
        return [_no_pick(found)]
    row = next(each for each in rows if each["variant"] == view.variants[choice.pick].id)
    who = f"{row['variant']} ({row['name']})"
    if not found.test:
        return _alone(found, row, who, unit, test) if found.alone else _untested(found, row, who, unit)
    if row.get("delta") is None:
        return [f"{NONE}: dev's pick {who} has no score on test."]
    p = "" if row.get("p_adjusted") is None else f", {p_said(row['p_adjusted'])}"
    span = span_of(unit, row.get("delta_low"), row.get("delta_high"))
    evidence = f"{unit.points(row['delta'])}{span} on {row['test_n']} held-out rows{p}"
    if borne_out(found, test, view):
        people = judged.on_pick(found)
        lines = [f"{judged.word(found.task, people)}: {who}: {evidence}.", *filter(None, [judged.why(people)])]
    else:
        lines = [f"{NONE}. Dev's pick {who}: {evidence}."]
        lines += caveats.resolves(found, test, unit)
    return [*lines, _gap(unit, row, _luck(found))]


def _alone(found: Findings, row: Mapping[str, Any], who: str, unit: Unit, test: Tested) -> list[str]:
    """Where there is no test split: dev's word on its own pick, by a test that counts all that were tried."""
    luck, tried = _luck(found), len(found.search.view.variants) - 1
    span = span_of(unit, row.get("dev_delta_low"), row.get("dev_delta_high"))
    p = alone_p(found, found.search.view)
    if p is None:
        why = "new variants were made from the scores, variants fell on the way, or the groups are too few"
        gain = f"{unit.points(row['dev_delta'])} on {row['dev_n']} rows"
        return [f"Dev's pick is {who}: {gain}. Without a test split no winner can be named here: {why}."]
    evidence = f"{unit.points(row['dev_delta'])}{span} on {row['dev_n']} rows, {p_said(min(1.0, 2 * p), 2 * FLOOR)}"
    people = judged.on_pick(found)
    above = borne_out(found, test, found.search.view)
    won = f"{judged.word(found.task, people)}: {who}" if above else f"{NONE}. Dev's pick {who}"
    lines = [f"{won}: {evidence}, counting all {tried} variants tried."]
    lines += filter(None, [judged.why(people) if above else ""])
    if luck is not None and unit.points(luck)[1:] != unit.points(0.0)[1:]:
        flattered = f"the same rows picked it, which is worth about {unit.points(luck)[1:]}"
        lines.append(f"There is no test split: {flattered}; expect {unit.points(row['dev_delta'] - luck)}.")
    return lines


def _untested(found: Findings, row: Mapping[str, Any], who: str, unit: Unit) -> list[str]:
    """What dev alone bears: a claim where nothing was adapted and nobody fell, else what to expect of the pick."""
    view, luck = found.search.view, _luck(found)
    gain = f"{unit.points(row['dev_delta'])} on {row['dev_n']} dev rows"
    lines = [f"Dev's pick is {who}: {gain}. Test was not read, so no winner is named."]
    if luck is not None and unit.points(luck)[1:] != unit.points(0.0)[1:]:
        lines.append(
            f"Dev flatters the pick by about {unit.points(luck)[1:]}: expect {unit.points(row['dev_delta'] - luck)}."
        )
    p = won_on_dev(view, found.choice, found.seed)
    if p is not None:
        word = "is above the baseline on dev by more than luck" if p < DEV_ALPHA else "may be above it by luck alone"
        lines.append(f"All {len(view.variants) - 1} variants counted, the pick {word} (one-sided {p_said(p)}).")
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
    """The further metrics of dev's pick and the baseline, with intervals of the difference; they decide nothing."""
    view, split = found.search.view, "test" if found.test else "dev"
    by = {row["variant"]: row for row in rows}
    pick, base = (by[view.variants[v].id] for v in (found.choice.pick, 0))
    if pick is base:
        return []
    figures = [
        f"{name} {pick[f'{split}.{name}']:.3g} (baseline {base[f'{split}.{name}']:.3g}{_differs(found, name)})"
        for name in further_metrics(found.task)
        if pick.get(f"{split}.{name}") is not None and base.get(f"{split}.{name}") is not None
    ]
    return [f"On {split}, too: {', '.join(figures)}."] if figures else []


def _differs(found: Findings, name: str) -> str:
    """The pick's difference in a further metric, with its interval where all rows were scored."""
    view, pick = found.search.view, found.choice.pick
    predictions, examples = (found.test, found.test_rows) if found.test else (found.search.predictions, view.dev)
    if not found.test and pick not in found.choice.full:
        return ""
    rows = by_variant(predictions)
    one, base = (metric_of(found.task, name, rows.get(view.variants[v].id, ()), examples) for v in (pick, 0))
    seed = None if hasattr(found.task.metrics[name], "aggregate") else found.seed
    weights = np.array([example.weight for example in examples])
    gap = paired(one, base, seed, weights, groups=codes_of([example.group for example in examples]))
    if math.isnan(gap.low):
        return ""
    return f", {gap.delta + 0.0:+.3g} [{gap.low + 0.0:+.3g}, {gap.high + 0.0:+.3g}]"


def _gap(unit: Unit, row: Mapping[str, Any], luck: float | None) -> str:
    """Dev's word on its pick beside test's; they say the same where luck alone sets such means apart."""
    dev, test = float(row["dev_delta"]), float(row["delta"])
    gap = unit.points(dev - test)
    told = unit.points(luck) if luck is not None else unit.points(0.0)
    expected = "" if told == unit.points(0.0) else f" (having been picked there is worth about {told[1:]})"
    said = f"Dev said {unit.points(dev)}{expected}; test says"
    if gap.startswith("+0.0 "):
        return f"{said} as much."
    more = f"{gap[1:]} {'less' if gap[0] == '+' else 'more'}"
    if not abs(dev - test) > _apart(row):
        return f"{said} about as much: {more}, which luck alone can do."
    return f"{said} {more}{': dev flatters its own pick' if gap[0] == '+' else ''}."


def _apart(row: Mapping[str, Any]) -> float:
    """How far luck sets dev's and test's differences of one variant apart, at 95 %; NaN where it is not known."""
    ends = [row.get(name) for name in ("dev_delta_low", "dev_delta_high", "delta_low", "delta_high")]
    low, high, test_low, test_high = (math.nan if each is None else float(each) for each in ends)
    return math.hypot(high - low, test_high - test_low) / 2


def span_of(unit: Unit, low: float | None, high: float | None) -> str:
    """An interval, with a digit more where an end beside 0 would be shown as 0."""
    ends = [each for each in (low, high) if each is not None and not math.isnan(each)]
    if unit.rate and len(ends) == 2 and any(each and abs(each) < 0.0005 for each in ends):
        return " [" + ", ".join(f"{100 * each:+.2g}" if abs(each) < 0.0005 else unit.gap(each) for each in ends) + "]"
    return unit.span(low, high)


def _no_pick(found: Findings) -> str:
    if len(found.search.view.variants) == 1:
        refused = "nothing that was proposed got in; see above"
        return f"{NONE}: {refused if found.search.refused else 'there is no other in the space'}."
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


def _front(rows: Sequence[Mapping[str, Any]], costs: Sequence[str], unit: Unit) -> list[str]:
    """Which fully scored variants are not beaten in score and costs at once, cheapest first."""
    if not costs:
        return []
    best = front_rows(rows, costs)
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
