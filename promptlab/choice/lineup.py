"""The arms in a row each: verdict and why, score, difference, what it costs and how long it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from promptlab.choice.reason import legend
from promptlab.choice.rule import Choice, Judged
from promptlab.report.marks import joined, tag, wide

SHAPES = {"chosen": "◆", "until then": "◇", "eligible": "●", "open": "◌", "worse": "○", "outside": "✕"}
"""A shape beside every verdict, so that no colour has to be told apart."""


def lineup(choice: Choice, rows: Sequence[Mapping[str, Any]], links: Mapping[str, str]) -> Markup:
    """The table; ``rows`` are those of choice.csv, in the order of the arms; ``links`` the pages of their runs."""
    pairs = list(zip(choice.judged, rows, strict=True))
    months = choice.limits.use.months
    columns: dict[str, list[Any]] = {
        "test score [95 %]": [_score(choice, each) for each, _ in pairs],
        f"difference to {choice.reference} [bounds]": [_gap(choice, each) for each, _ in pairs],
        f"$, {months:g} month{'s' * (months != 1)}": [_money(each.total) for each, _ in pairs],
        "$ per 1,000": [_plain(row.get("usd_per_1k"), ".4g") for _, row in pairs],
        "p95 ms": [_plain(row.get("latency_p95_ms"), ",.0f") for _, row in pairs],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    head = joined(
        tag("th", name, scope="col", class_=kind or None)
        for name, kind in (("arm", ""), ("verdict", ""), *((name, "num") for name in shown))
    )
    body = joined(
        tag("tr", _arm(each, row, links), _verdict(each), joined(_cell(*cell) for cell in _of(shown, at)),
            class_="chosen" if each.verdict in ("chosen", "until then") else None)
        for at, (each, row) in enumerate(pairs)
    )  # fmt: skip
    caption = (
        f"Differences are to {choice.reference}, {choice.best}; their bounds are one-sided at 95 % and hold for all "
        "arms together."
    )
    made = tag("table", tag("caption", caption), tag("thead", tag("tr", head)), tag("tbody", body), class_="board")
    return joined((_legend(choice), wide(made, "The arms")))


def _of(shown: Mapping[str, Sequence[Any]], at: int) -> list[tuple[str, Any]]:
    return [(name, cells[at]) for name, cells in shown.items()]


def _legend(choice: Choice) -> Markup:
    parts = []
    for each in legend(choice):
        verdict, _, meaning = each.partition(" = ")
        parts.append(tag("span", _shape(verdict), f" {verdict}: {meaning}"))
    return tag("p", joined(parts), class_="legend") if parts else Markup("")


def _shape(verdict: str) -> Markup:
    return tag("span", SHAPES[verdict], class_=f"shape {verdict.split(maxsplit=1)[0]}", aria_hidden="true")


def _arm(each: Judged, row: Mapping[str, Any], links: Mapping[str, str]) -> Markup:
    name = each.arm.name
    seeds = len(each.arm.seeds)
    of = [each.arm.model, each.arm.variant, *([f"mean of {seeds} seeds"] if seeds > 1 else [])]
    title = tag("a", name, href=links[name], class_="arm") if name in links else tag("span", name, class_="arm")
    small = tag("span", " · ".join(said for said in of if said), class_="name")
    return tag("td", title, small, tag("span", row["reason"], class_="why"), class_="who")


def _verdict(each: Judged) -> Markup:
    return tag("td", _shape(each.verdict), f" {each.verdict}", class_="status")


def _cell(name: str, value: Any) -> Markup:
    return tag("td", value, class_="num" if value else "num none", data_said=name)


def _score(choice: Choice, each: Judged) -> Markup:
    unit, low, high = choice.unit, each.interval.low, each.interval.high
    span = "" if math.isnan(low) or math.isnan(high) else f" [{unit.bound(low)}, {unit.bound(high)}]"
    score = "" if math.isnan(each.score) else unit.score(each.score)
    return joined((score, tag("span", span, class_="span")))


def _gap(choice: Choice, each: Judged) -> Markup | str:
    if each.bound is None:
        return choice.best
    if math.isnan(each.bound.delta):
        return ""
    span = choice.unit.span(each.bound.low, each.bound.high)
    return joined((choice.unit.gap(each.bound.delta), tag("span", span, class_="span")))


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _plain(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)
