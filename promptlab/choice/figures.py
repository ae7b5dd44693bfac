"""Everything that was measured of the arms: a table with an arm a column, and on a small screen a card for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from markupsafe import Markup

from promptlab.choice.rule import Choice, Judged
from promptlab.report.marks import joined, tag, wide
from promptlab.unit import Unit

Row = Mapping[str, Any]
Told: TypeAlias = Callable[[Choice, Judged, Row], str]
Group: TypeAlias = tuple[str, list[tuple[str, list[str]]]]


def figures(choice: Choice, rows: Sequence[Row]) -> Markup:
    """Both; what no arm has is left out."""
    groups = list(_groups(choice, rows))
    names = [str(row["arm"]) for row in rows]
    head = tag("thead", tag("tr", tag("td"), joined(tag("th", name, scope="col") for name in names)))
    body = joined(_lines(group, len(names)) for group in groups)
    table = wide(tag("table", head, tag("tbody", body)), "Every figure")
    cards = joined(_card(choice, at, groups) for at in range(len(names)))
    return joined((table, tag("div", cards, class_="cards")))


def _lines(group: Group, columns: int) -> Markup:
    title, lines = group
    top = tag("tr", tag("th", title, scope="rowgroup", colspan=columns + 1))
    return joined(
        (
            top,
            *(
                tag("tr", tag("th", name, scope="row"), joined(tag("td", cell) for cell in cells))
                for name, cells in lines
            ),
        )
    )


def _card(choice: Choice, at: int, groups: Sequence[Group]) -> Markup:
    judged = choice.judged[at]
    score = "" if math.isnan(judged.score) else f" · {choice.unit.score(judged.score)}"
    head = tag("summary", judged.arm.name, tag("span", f" · {judged.verdict}{score}"))
    parts = []
    for title, lines in groups:
        known = [(name, cells[at]) for name, cells in lines if cells[at]]
        if known:
            parts.append(tag("dt", title, class_="group"))
            parts += [joined((tag("dt", name), tag("dd", cell))) for name, cell in known]
    return tag("details", head, tag("dl", joined(parts)))


def _groups(choice: Choice, rows: Sequence[Row]) -> Iterator[Group]:
    pairs = list(zip(choice.judged, rows, strict=True))
    for title, lines in _told(choice).items():
        made = [(name, [told(choice, *pair) for pair in pairs]) for name, told in lines.items()]
        known = [(name, cells) for name, cells in made if any(cells)]
        if known:
            yield title, known


def _told(choice: Choice) -> dict[str, dict[str, Told]]:
    """Groups of lines, what decides first; the units stand in the names."""
    unit = " (%)" if choice.unit.rate else ""
    points = " (points)" if choice.unit.rate else ""
    use = choice.limits.use
    return {
        "Score": {
            "verdict": lambda _, each, __: each.verdict,
            f"test score{unit} [95 %]": _score,
            f"difference to {choice.reference}{points} [bounds]": _gap,
            "p of worse by the margin, adjusted": _plain("p_adjusted", ".2g"),
            "eligible": lambda _, __, row: "yes" if row["eligible"] else "no",
            "test rows": _plain("test_n", ",d"),
            "answers not readable": _of_all("invalid"),
            "calls failed": _of_all("error"),
        },
        "Cost": {
            f"in all, {use.months:g} months ($)": lambda _, each, __: (
                "" if each.total is None else f"{each.total:,.2f}"
            ),
            "per 1,000 answers ($)": _plain("usd_per_1k", ".4g"),
            "setup: labels, search, training ($)": _plain("setup_usd", ",.2f"),
            "one change of knowledge ($)": _plain("update_usd", ".4g"),
            f"costs the same as {choice.reference} at (calls)": _plain("break_even_calls", ",d"),
            "that is on": _plain("break_even_date", ""),
        },
        "Time": {
            "p50 (ms)": _plain("latency_p50_ms", ",.0f"),
            "p95 (ms)": _plain("latency_p95_ms", ",.0f"),
        },
        "Tokens an answer": {
            "in": _plain("tokens_in", ",.0f"),
            "in, cached": _plain("tokens_cached", ",.0f"),
            "out": _plain("tokens_out", ",.1f"),
        },
        "Retrieval": {
            "right passage found (share of rows)": _plain("hit_at_k", ".2f"),
            f"score where found{unit}": _rated("score_hit"),
            f"score where not{unit}": _rated("score_miss"),
        },
        "Tuning": {
            "training rows": _plain("train_rows", ",d"),
            "training tokens": _plain("train_tokens", ",d"),
            "seeds": _seeds,
            f"standard deviation over seeds{points}": _spread,
            f"off task, after - before{points}": lambda choice, _, row: _signed(choice.unit, row.get("off_task_delta")),
            "model ends on": _plain("model_shutdown", ""),
        },
        "What it is": {"variant": _plain("variant", ""), "model": _plain("model", "")},
    }


def _plain(name: str, form: str) -> Told:
    def told(_: Choice, __: Judged, row: Row) -> str:
        value = row.get(name)
        return "" if value is None else format(value, form)

    return told


def _of_all(name: str) -> Told:
    """A count, of the answers of all seeds where there are several."""

    def told(_: Choice, each: Judged, row: Row) -> str:
        seeds = len(each.arm.seeds)
        return f"{row[name]:,d}" + (f" of {seeds * len(each.arm.scores):,d} (all seeds)" if seeds > 1 else "")

    return told


def _rated(name: str) -> Told:
    def told(choice: Choice, _: Judged, row: Row) -> str:
        value = row.get(name)
        return "" if value is None else choice.unit.score(value)

    return told


def _signed(unit: Unit, value: float | None) -> str:
    return "" if value is None else unit.gap(value)


def _score(choice: Choice, each: Judged, _: Row) -> str:
    low, high = each.interval.low, each.interval.high
    known = not (math.isnan(low) or math.isnan(high))
    return (
        ""
        if math.isnan(each.score)
        else choice.unit.score(each.score)
        + (f" [{choice.unit.bound(low)}, {choice.unit.bound(high)}]" if known else "")
    )


def _gap(choice: Choice, each: Judged, _: Row) -> str:
    if each.bound is None:
        return choice.best
    if math.isnan(each.bound.delta):
        return ""
    return choice.unit.gap(each.bound.delta) + choice.unit.span(each.bound.low, each.bound.high)


def _seeds(_: Choice, __: Judged, row: Row) -> str:
    count = row.get("seeds")
    return "" if count is None else "1" if count < 2 else f"mean of {count} seeds"


def _spread(choice: Choice, _: Judged, row: Row) -> str:
    value = row.get("seed_sd")
    return "" if value is None else choice.unit.gap(value)[1:]
