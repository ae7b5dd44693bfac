"""Drawings as wide as their table cell: places across are per cents, so that no text or mark is stretched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from promptlab.report.marks import joined, tag
from promptlab.report.svg import Scale, line, point, scale, words

EDGE = 7.0  # per cent left free on both sides: half of a tick's text
HIGH = 26  # pixels


def across(values: Iterable[float | None]) -> Scale:
    """A scale for a strip."""
    return scale(values, EDGE, 100 - EDGE, room=0.02)


def strip(parts: Sequence[Markup], high: int = HIGH) -> Markup:
    """The drawing; its figures stand beside it as text."""
    return tag("svg", joined(parts), class_="strip", height=high, aria_hidden="true")


def axis(along: Scale, told: Callable[[float], Any], ticks: int = 4) -> Markup:
    """The ticks of a strip's scale, for the head of its column."""
    marks = (
        joined((line(_at(along, t), 18, _at(along, t), 24, "axis"), words(_at(along, t), 14, told(t), at="middle")))
        for t in along.ticks(ticks)
    )
    return strip([*marks], 24)


def upright(along: Scale, value: float, top: float = 0, bottom: float = HIGH) -> Markup:
    """A line across the strip at a value: nothing, or the baseline."""
    return line(_at(along, value), top, _at(along, value), bottom, "zero")


def whisker(along: Scale, row: Mapping[str, Any], names: tuple[str, str, str], y: float, looks: str) -> list[Markup]:
    """A value and its interval, under the names that the row has for them. ``looks``: "kind of line, shape"."""
    value, low, high = (row.get(name) for name in names)
    if value is None:
        return []
    kind, shape = looks.split(", ")
    known = low is not None and high is not None
    ends = [line(_at(along, low), y, _at(along, high), y, f"whisker {kind}")] if known else []
    return [*ends, tag("svg", point(0, 0, shape, size=3.5), x=_at(along, value), y=y, overflow="visible")]


def _at(along: Scale, value: Any) -> str:
    return f"{along(value):.2f}%"
