"""What the drawings share: scales with round ticks, the frame of a figure, labels that do not cover each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from promptlab.report.marks import joined, tag, wide

STATUS = {
    "winner": ("◆", "winner"),
    "tied": ("●", "tied"),
    "beaten": ("○", "beaten"),
    "alive": ("◌", "alive"),
    "dropped": ("✕", "dropped"),
    "baseline": ("■", "baseline"),
    "failed": ("!", "failed"),
}
"""A shape beside every status, so that no colour has to be told apart."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers from ``low`` to ``high`` onto pixels from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value stands; values outside stand at the edge."""
        span = self.high - self.low or 1.0
        share = min(1.0, max(0.0, (value - self.low) / span))
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """About ``count`` round values inside."""
        step = _step((self.high - self.low) / max(1, count))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def scale(values: Iterable[float | None], start: float, end: float, *, room: float = 0.06) -> Scale:
    """A scale that holds the known values, with some room on both sides."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    pad = room * (high - low)
    return Scale(low - pad, high + pad, start, end)


def figure(
    drawings: Sequence[tuple[Sequence[Markup], tuple[int, int]]], title: str, description: str, caption: str = ""
) -> Markup:
    """A drawing with a name and a description for those who do not see it.

    ``drawings`` with their sizes: one, or one for a broad window and one for a narrow one, of which one is shown.
    """
    alt = f"{title}. {description}"
    kinds = ("broad", "narrow") if len(drawings) == 2 else (None,)
    shown = []
    for (parts, (width, height)), kind in zip(drawings, kinds, strict=True):
        inside = joined((tag("title", title), tag("desc", description), *parts))
        box = f"0 0 {width} {height}"
        shown.append(
            tag("svg", inside, viewBox=box, width=width, height=height, role="img", aria_label=alt, class_=kind)
        )
    under = tag("figcaption", caption) if caption else Markup("")
    return tag("figure", wide(joined(shown), title), under)


def words(
    x: float | str, y: float, said: Any, *, at: str = "start", kind: str = "tick", turn: str | None = None
) -> Markup:
    """Text at a place; ``at`` start, middle or end of it."""
    return tag("text", said, x=x, y=y, text_anchor=at, class_=kind, transform=turn)


def line(x1: float | str, y1: float, x2: float | str, y2: float, kind: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def point(x: float, y: float, status: str, tip: str = "", size: float = 5.0) -> Markup:
    """A mark whose shape says the status."""
    name = tag("title", tip) if tip else Markup("")
    kind = f"mark {status}"
    if status == "winner":
        s = size * 1.35
        path = f"M{x:.1f} {y - s:.1f}l{s:.1f} {s:.1f}l{-s:.1f} {s:.1f}l{-s:.1f} {-s:.1f}z"
        return tag("path", name, d=path, class_=kind)
    if status == "baseline":
        s = size * 0.85
        return tag("rect", name, x=x - s, y=y - s, width=2 * s, height=2 * s, class_=kind)
    if status in ("dropped", "failed"):
        s = size * 0.7
        path = f"M{x - s:.1f} {y - s:.1f}l{2 * s:.1f} {2 * s:.1f}m0 {-2 * s:.1f}l{-2 * s:.1f} {2 * s:.1f}"
        return tag("path", name, d=path, class_=kind)
    return tag("circle", name, cx=x, cy=y, r=size, class_=kind)


class Labels:
    """Labels beside points, none on another: each takes the first free side, or is left out."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.taken: list[tuple[float, float, float, float]] = []

    def block(self, x: float, y: float, size: float = 6.0) -> None:
        """Keep a point free."""
        self.taken.append((x - size, y - size, x + size, y + size))

    def put(self, x: float, y: float, said: str) -> Markup:
        """The label, or nothing where there is no room."""
        long, high = 6.4 * len(said), 12.0
        sides = [(9, -9), (-9, -9), (9, 17), (-9, 17), (10, 4), (-10, 4), (-9, -22), (-9, 30)]
        for right, down in sides:
            left, base, at = x + right, y + down, "start" if right > 0 else "end"
            start = left if at == "start" else left - long
            box = (start, base - high, start + long, base + 2)
            inside = box[0] >= 0 and box[2] <= self.width and box[1] >= 0
            if inside and not any(_meet(box, other) for other in self.taken):
                self.taken.append(box)
                return words(left, base, said, at=at, kind="label")
        return Markup("")


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _step(rough: float) -> float:
    """The round number nearest above: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return float(next(power * k for k in (1, 2, 5, 10) if power * k >= rough * 0.999))
