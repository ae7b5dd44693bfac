"""How much worse and how much better each arm may be than the reference, drawn beside the margin."""

from __future__ import annotations

from markupsafe import Markup

from promptlab.choice.rule import Choice, Judged
from promptlab.report.marks import joined, tag, wide
from promptlab.report.strip import HIGH, across, axis, strip, upright, whisker
from promptlab.report.svg import Scale, line


def forest(choice: Choice) -> Markup:
    """A row for every arm whose bounds are known; nothing where there is none."""
    shown = [each for each in choice.judged if each.bound is not None and each.bound.low == each.bound.low]
    if not shown:
        return Markup("")
    margin, unit = choice.limits.margin, choice.unit
    ends = [end for each in shown if each.bound for end in (each.bound.low, each.bound.high)]
    along = across([*ends, 0.0, -margin])
    plot = tag("th", axis(along, unit.gap, 3), scope="col", class_="drawn", aria_label="drawn")
    head = tag("tr", tag("th", "arm", scope="col"), tag("th", "difference", scope="col", class_="num"), plot)
    body = joined(_row(choice, each, along) for each in shown)
    inner = tag("table", tag("caption", _caption(choice)), tag("thead", head), tag("tbody", body), class_="effects")
    return wide(inner, "Differences and their bounds")


def _row(choice: Choice, each: Judged, along: Scale) -> Markup:
    bound, unit = each.bound, choice.unit
    if bound is None:
        return Markup("")
    row = {"delta": bound.delta, "low": bound.low, "high": bound.high}
    clear = bound.low > -choice.limits.margin
    at = f"{along(-choice.limits.margin):.2f}%"
    edge = line(at, 0, at, HIGH, "margin")
    mark = whisker(along, row, ("delta", "low", "high"), HIGH / 2, "delta, tied" if clear else "dev, beaten")
    figures = unit.gap(bound.delta), " ", tag("span", unit.span(bound.low, bound.high).strip(), class_="span")
    drawn = strip([upright(along, 0.0), edge, *mark])
    cells = tag("td", *figures, class_="num"), tag("td", drawn, class_="drawn")
    return tag("tr", tag("th", each.arm.name, scope="row"), *cells)


def _caption(choice: Choice) -> str:
    unit, margin = choice.unit, choice.limits.margin
    points = " (points)" if unit.rate else ""
    return (
        f"Differences on test to {choice.reference}{points}. An arm is shown to be as good (a full dot) where its "
        f"whole line is right of the broken line at the margin, {unit.gap(-margin)}; the dotted line is no difference."
    )
