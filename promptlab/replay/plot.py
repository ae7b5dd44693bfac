"""The curves of a replay as one SVG: the regret share against calls per variant, a line for each allocator.

Colours are those of Okabe and Ito, which colour-blind people tell apart; each line has a shape of its own as well, and
its name stands at its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 180, 56, 56
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MARKS = ("circle", "square", "triangle", "diamond")
APART = 17  # pixels between two names
LONGEST = 22  # characters of a name that are drawn
BELOW = "best minus chosen, as a share of best minus median (lower is better)"
UNDER = "calls per variant (log scale)"

Curves = Mapping[str, Sequence[tuple[float, float]]]


def curves(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Of each allocator (calls per variant, regret share), means over matrices; without a budget, calls as used."""
    found: dict[str, dict[Any, list[tuple[float, float]]]] = {}
    for row in rows:
        if row["regret_share"] is not None:
            calls = row["calls_used"] if row["budget"] == "all" else row["budget"]
            found.setdefault(row["allocator"], {}).setdefault(row["budget"], []).append((calls, row["regret_share"]))
    return {
        name: sorted(_mean(points) for points in budgets.values() if _mean(points)[0] > 0)
        for name, budgets in found.items()
    }


def _mean(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def plot(drawn: Curves, matrices: int) -> str:
    """The drawing, a whole file."""
    calls = [x for points in drawn.values() for x, _ in points] or [1.0]
    most = max([y for points in drawn.values() for _, y in points], default=0.0)
    step = next(each for each in (0.02, 0.05, 0.1, 0.2, 0.5, math.ceil(most) or 1) if most <= 6 * each or each >= 1)
    high = step * max(1, math.ceil(most / step - 1e-9))
    low, top = math.log(min(calls)), math.log(max(calls))

    def across(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((math.log(x) - low) / (top - low) if top > low else 0.5)

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / high

    said = "; ".join(f"{name}: " + ", ".join(f"{y:.2f} at {x:.3g}" for x, y in drawn[name]) for name in drawn)
    title = f"Regret by calls per variant, {matrices} score table{'s' * (matrices != 1)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"',
        ' role="img" aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="13" fill="#222">',
        f'<title id="title">{escape(title)}</title><desc id="desc">{escape(said)}</desc>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
        f'<text x="{LEFT}" y="42" fill="#555">{BELOW}</text>',
        *(_across(high * k / round(high / step), down, step) for k in range(round(high / step) + 1)),
        *(_down(x, across) for x in _ticks(sorted({x for points in drawn.values() for x, _ in points}), across)),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{UNDER}</text>',
    ]
    ends = _apart({name: down(points[-1][1]) for name, points in drawn.items() if points})
    for at, (name, points) in enumerate(drawn.items()):
        if points:
            parts += _line(at, [(across(x), down(y)) for x, y in points], ends[name], name)
    return "\n".join([*parts, "</svg>", ""])


def _across(value: float, down: Any, step: float) -> str:
    y = down(value)
    digits = 2 if step < 0.1 else 1
    return (
        f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.{digits}f}</text>'
    )


def _ticks(calls: Sequence[float], across: Any) -> list[float]:
    """The budgets whose numbers do not stand on one another."""
    kept: list[float] = []
    for x in calls:
        if not kept or across(x) - across(kept[-1]) >= 32:
            kept.append(x)
    return kept


def _down(x: float, across: Any) -> str:
    at = across(x)
    return (
        f'<path d="M{at:.1f} {HEIGHT - BOTTOM}v5" stroke="#222"/>'
        f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{x:.4g}</text>'
    )


def _apart(places: Mapping[str, float]) -> dict[str, float]:
    """The names' heights, pushed down where they would stand on one another, all of them inside."""
    found: dict[str, float] = {}
    last = float(TOP - APART)
    for name in sorted(places, key=lambda each: places[each]):
        last = found[name] = max(places[name], last + APART)
    over = max(0.0, last - (HEIGHT - 8.0))
    return {name: y - over for name, y in found.items()}


def _line(at: int, points: Sequence[tuple[float, float]], end: float, name: str) -> list[str]:
    colour, mark = COLOURS[at % len(COLOURS)], MARKS[at % len(MARKS)]
    dash = f' stroke-dasharray="{6 + 2 * at} 4"' if at >= len(MARKS) else ""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    x, y = points[-1]
    short = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    lead = f'<path d="M{x + 6:.1f} {y:.1f}L{WIDTH - RIGHT + 14} {end:.1f}" stroke="{colour}" stroke-width=".7"/>'
    return [
        f'<g fill="{colour}"><title>{escape(name)}</title>',
        f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>',
        *(_mark(mark, *each) for each in points),
        lead,
        _mark(mark, WIDTH - RIGHT + 20, end),
        f'<text x="{WIDTH - RIGHT + 30}" y="{end + 4:.1f}" fill="#222">{escape(short)}</text></g>',
    ]


def _mark(shape: str, x: float, y: float) -> str:
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    if shape == "square":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    if shape == "triangle":
        return f'<path d="M{x - 5:.1f} {y + 4:.1f}h10l-5 -9z"/>'
    return f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>'
