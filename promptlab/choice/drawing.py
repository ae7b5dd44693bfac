"""Learning curves, drawn small and side by side: points with intervals, and a fit where it has won."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from promptlab.choice.curve import Curve
from promptlab.report.marks import joined, tag
from promptlab.report.svg import Scale, line, scale, words
from promptlab.unit import Unit

WIDTH, HEIGHT, LEFT, RIGHT, TOP, LOW = 340, 200, 44, 14, 12, 42  # pixels; LOW below the drawing, for sizes and axis
APART = 26  # pixels between two sizes that are both written


def drawings(curves: Mapping[str, Sequence[Curve]], unit: Unit) -> Markup:
    """A figure for every curve of every arm."""
    made = [_figure(arm, each, unit) for arm, every in curves.items() for each in every]
    if not made:
        return Markup("")
    told = tag(
        "p", "Scores on dev by size, with 95 % intervals; nothing else of the arm's pick differs.", class_="hint"
    )
    return joined((told, tag("div", joined(made), class_="curves")))


def _figure(arm: str, curve: Curve, unit: Unit) -> Markup:
    title = f"{arm}: {curve.name}"
    figures = "; ".join(f"{each.x:g}: {_said(each.score, each.low, each.high, unit)}" for each in curve.points)
    notes = [f"{figures}.", curve.left_out, f"{_capital(curve.note)}." if curve.note else "", _beyond(curve, unit)]
    caption = tag("figcaption", " ".join(note for note in notes if note))
    return tag(
        "figure", tag("h3", title), *([_drawn(curve, unit, title, figures)] if len(curve.points) > 1 else []), caption
    )


def _drawn(curve: Curve, unit: Unit, title: str, figures: str) -> Markup:
    ends = [end for each in curve.points for end in (each.low, each.high)]
    far = [curve.fit.beyond] if curve.fit else []
    across = scale([*(each.x for each in curve.points), *far], LEFT, WIDTH - RIGHT)
    up = scale(ends, HEIGHT - LOW, TOP)
    parts: list[Markup] = []
    for at in up.ticks(4):
        parts.append(line(LEFT, up(at), WIDTH - RIGHT, up(at), "grid"))
        parts.append(words(LEFT - 6, up(at) + 4, unit.bound(at), at="end"))
    parts += _sizes([each.x for each in curve.points] + far, across)
    parts.append(words(WIDTH - RIGHT, HEIGHT - 6, curve.axis, at="end", kind="label"))
    path = "M" + "L".join(f"{across(each.x):.1f} {up(each.score):.1f}" for each in curve.points)
    parts += [tag("path", d=path, class_="curve"), *_law(curve, across, up)]
    for each in curve.points:
        parts.append(line(across(each.x), up(each.low), across(each.x), up(each.high), "whisker"))
        parts.append(tag("circle", cx=across(each.x), cy=up(each.score), r=4, class_="mark tied"))
    inside = joined((tag("title", title), tag("desc", figures), *parts))
    box = f"0 0 {WIDTH} {HEIGHT}"
    return tag("svg", inside, viewBox=box, width=WIDTH, height=HEIGHT, role="img", aria_label=f"{title}. {figures}")


def _sizes(xs: Sequence[float], across: Scale) -> Iterator[Markup]:
    """The sizes below the drawing; of two that would cover each other the larger."""
    taken = float("inf")
    for x in sorted(xs, reverse=True):
        if taken - across(x) >= APART:
            taken = across(x)
            yield words(taken, HEIGHT - LOW + 15, f"{x:g}", at="middle")


def _law(curve: Curve, across: Scale, up: Scale) -> Iterator[Markup]:
    """The fit from the first size to the last, and where it leads as a range."""
    if curve.fit is None:
        return
    xs = [each.x for each in curve.points if each.x > 0]
    steps = [xs[0] + (xs[-1] - xs[0]) * k / 40 for k in range(41)]
    yield tag("path", d="M" + "L".join(f"{across(x):.1f} {up(curve.fit(x)):.1f}" for x in steps), class_="fit")
    far = across(curve.fit.beyond)
    yield line(far, up(curve.fit.low), far, up(curve.fit.high), "beyond")


def _said(score: float, low: float, high: float, unit: Unit) -> str:
    span = "" if low != low or high != high else f" [{unit.bound(low)}, {unit.bound(high)}]"  # noqa: PLR0124 - NaN
    return f"{unit.score(score)}{span}"


def _beyond(curve: Curve, unit: Unit) -> str:
    if curve.fit is None:
        return ""
    span = f"{unit.bound(curve.fit.low)} to {unit.bound(curve.fit.high)}"
    return f"Beyond the last size a range, for the eye alone: {span} at {curve.fit.beyond:g}."


def _capital(said: str) -> str:
    return said[:1].upper() + said[1:]
