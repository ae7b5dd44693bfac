"""choice.html: the choice and its reason, the arms side by side, their bounds and learning curves drawn; no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from promptlab.choice.curve import Curve
from promptlab.choice.rule import Choice
from promptlab.report.marks import joined, tag, text, wide
from promptlab.report.page import asset
from promptlab.report.svg import Scale, line, scale, words

Row = Mapping[str, Any]
WIDTH, ROW, LEFT, EDGE = 720, 26, 150, 20  # pixels
FORMS: Mapping[str, str] = {
    "tokens_in": ",.0f", "tokens_cached": ",.0f", "tokens_out": ",.1f", "usd_per_1k": ".4g", "setup_usd": ",.2f",
    "latency_p50_ms": ",.0f", "latency_p95_ms": ",.0f", "hit_at_k": ".2f", "p_adjusted": ".2g", "seed_sd": ".3f",
    "update_usd": ".4g",
}  # fmt: skip
SCORES = ("test_score", "test_low", "test_high", "score_hit", "score_miss")
GAPS = ("delta", "delta_low", "delta_high", "off_task_delta")


def page(
    name: str,
    choice: Choice,
    rows: Sequence[Row],
    said: Sequence[str],
    advice: Sequence[str],
    curves: Mapping[str, Sequence[Curve]],
    left_out: Mapping[str, str],
) -> str:
    """The page as HTML. ``said``: the choice in sentences, ``left_out``: arms and why."""
    style = asset("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = (
        Markup('<meta charset="utf-8">'),
        Markup('<meta http-equiv="Content-Security-Policy" content="{}">').format(policy),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        tag("title", f"{name} · choice"),
        tag("style", Markup(style)),  # noqa: S704 - our own file, and its digest stands in the policy
    )
    sections = [
        _section("choice", "Choice", [tag("p", each, class_=None if at else "first") for at, each in enumerate(said)]),
        *([_section("advice", "What to mend", [tag("p", each) for each in advice])] if advice else []),
        _section("arms", "The arms", [_table(choice, rows), *_forest(choice)]),
        *_drawn_curves(curves),
        *(
            [_section("left-out", "Left out", [tag("p", f"{arm}: {why}.") for arm, why in left_out.items()])]
            if left_out
            else []
        ),
    ]
    top = tag("header", tag("div", tag("h1", name), tag("p", "prompting, retrieval or fine-tuning", class_="sub")))
    body = tag("body", top, tag("main", joined(sections), id="main"))
    return f"<!DOCTYPE html>\n{tag('html', tag('head', joined(head)), body, lang='en')}\n"


def _section(key: str, title: str, parts: Sequence[Markup]) -> Markup:
    return tag("section", tag("h2", title, id=f"{key}-title"), joined(parts), id=key, aria_labelledby=f"{key}-title")


def _table(choice: Choice, rows: Sequence[Row]) -> Markup:
    """The arms as columns: what any of them has as rows."""
    names = [name for name in rows[0] if name != "arm" and any(row.get(name) not in (None, "") for row in rows)]
    order = ["verdict", "reason", *(name for name in names if name not in ("verdict", "reason"))]
    head = tag("thead", tag("tr", tag("td"), joined(tag("th", row["arm"], scope="col") for row in rows)))
    body = (
        tag(
            "tr",
            tag("th", name.replace("_", " "), scope="row"),
            joined(tag("td", _said(choice, name, row)) for row in rows),
        )
        for name in order
    )
    caption = "One column per arm; deltas are against the best on dev, bounds one-sided at 95 % and all together"
    return wide(tag("table", tag("caption", caption), head, tag("tbody", joined(body))), caption)


def _said(choice: Choice, name: str, row: Row) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if name in SCORES:
        return choice.unit.score(value)
    if name in GAPS:
        return choice.unit.gap(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, FORMS[name]) if name in FORMS else str(value)


def _forest(choice: Choice) -> Iterator[Markup]:
    """How much worse and how much better each arm may be than the best on dev, and the margin."""
    shown = [each for each in choice.judged if each.bound is not None and each.bound.low == each.bound.low]
    if not shown:
        return
    margin, unit = choice.limits.margin, choice.unit
    ends = [end for each in shown if each.bound for end in (each.bound.low, each.bound.high)]
    across = scale([*ends, 0.0, -margin], LEFT, WIDTH - EDGE)
    height = ROW * (len(shown) + 2)
    ends_at = height - ROW
    parts = [
        line(across(0.0), 0, across(0.0), ends_at, "axis"),
        tag("line", x1=across(-margin), y1=0, x2=across(-margin), y2=ends_at, class_="axis", stroke_dasharray="4 3"),
    ]
    parts += [words(across(at), height - 8, unit.gap(at), at="middle") for at in across.ticks()]
    for at, each in enumerate(shown):
        y = ROW * (at + 1.0)
        parts.append(words(LEFT - 10, y + 4, each.arm.name, at="end", kind="label"))
        if each.bound:
            parts.append(line(across(each.bound.low), y, across(each.bound.high), y, "axis"))
            parts.append(tag("circle", cx=across(each.bound.delta), cy=y, r=5, class_="mark tied"))
    told = "; ".join(
        f"{each.arm.name} {unit.gap(each.bound.delta)}{unit.span(each.bound.low, each.bound.high)}"
        for each in shown
        if each.bound
    )
    caption = (
        f"Against {choice.reference}, the best on dev. An arm is as good where its whole line is right of the margin "
        f"({unit.gap(-margin)})."
    )
    yield _figure(parts, height, "Differences and their bounds", told, caption)


def _drawn_curves(curves: Mapping[str, Sequence[Curve]]) -> Iterator[Markup]:
    parts = [_curve(arm, each) for arm, every in curves.items() for each in every]
    if parts:
        yield _section("curves", "How much data", parts)


def _curve(arm: str, curve: Curve) -> Markup:
    """Points with their intervals; the fit, where there is one, up to the last size, and beyond as a range."""
    height = 220
    ends = [end for each in curve.points for end in (each.low, each.high)]
    beyond = [curve.fit.beyond] if curve.fit else []
    across = scale([*(each.x for each in curve.points), *beyond], 60, WIDTH - EDGE)
    up = scale(ends, height - 40, 10)
    parts = [words(52, up(at) + 4, f"{100 * at:.0f}", at="end") for at in up.ticks()]
    parts += [words(across(each.x), height - 20, f"{each.x:g}", at="middle") for each in curve.points]
    parts.append(words(WIDTH - EDGE, height - 4, curve.axis, at="end"))
    for each in curve.points:
        parts.append(line(across(each.x), up(each.low), across(each.x), up(each.high), "axis"))
        parts.append(tag("circle", cx=across(each.x), cy=up(each.score), r=4, class_="mark tied"))
    parts += _law(curve, across, up)
    told = "; ".join(
        f"{each.x:g}: {100 * each.score:.1f} [{100 * each.low:.0f}, {100 * each.high:.0f}]" for each in curve.points
    )
    fit, extra = curve.fit, ""
    if fit:
        span = f"{100 * fit.low:.0f} to {100 * fit.high:.0f}"
        extra = f" Beyond the last size a range, for the eye alone: {span} at {fit.beyond:g}."
    return _figure(
        parts, height, f"{arm}: score by {curve.axis}", told, f"{arm}, on dev: {told}. {curve.note}{extra}".rstrip()
    )


def _law(curve: Curve, across: Scale, up: Scale) -> Iterator[Markup]:
    if curve.fit is None:
        return
    xs = [each.x for each in curve.points if each.x > 0]
    steps = [xs[0] + (xs[-1] - xs[0]) * k / 40 for k in range(41)]
    path = "M" + "L".join(f"{across(x):.1f} {up(curve.fit(x)):.1f}" for x in steps)
    yield tag("path", d=path, class_="grid", fill="none")
    far = across(curve.fit.beyond)
    yield line(far, up(curve.fit.low), far, up(curve.fit.high), "grid")


def _figure(parts: Sequence[Markup], height: int, title: str, told: str, caption: str) -> Markup:
    inside = joined((tag("title", title), tag("desc", told), *parts))
    svg = tag(
        "svg",
        inside,
        viewBox=f"0 0 {WIDTH} {height}",
        width=WIDTH,
        height=height,
        role="img",
        aria_label=f"{title}. {told}",
    )
    return tag("figure", wide(svg, title), tag("figcaption", text(caption)))
