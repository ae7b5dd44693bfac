"""Score against cost: what each variant gains over the baseline, and what serving it takes; the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from promptlab.pareto import COSTS, front_rows
from promptlab.report.marks import tag
from promptlab.report.svg import Labels, Scale, figure, line, point, scale, words
from promptlab.unit import Unit

BROAD, NARROW = (1140, 320), (360, 270)  # pixels of the drawing, as there is room
Row = Mapping[str, Any]
_TITLES = {"usd": "US dollars per 1,000 answers", "tokens": "prompt tokens"}


def cost(rows: Sequence[Row], unit: Unit) -> Markup | None:
    """The drawing, by dollars where models have a price, else by the prompt's length; None if all cost one."""
    kind = "usd" if any(row.get("usd_per_1k") for row in rows) else "tokens"
    # means over unequal rows are no gains: who was dropped on the way has no place here
    full = [row for row in rows if row.get(COSTS[kind]) is not None and _full(row)]
    if len({row[COSTS[kind]] for row in full}) < 2:
        return None
    front = front_rows(full, (kind,))
    drawings = [(_drawn(full, front, kind, unit, size), size) for size in (BROAD, NARROW)]
    names = ", ".join(f"{row['variant']} ({unit.gap(_gain(row) or 0.0)}, {_cost(row, kind)})" for row in front)
    said = f"On the front, cheapest first: {names}."
    caption = (
        f"Gain over the baseline on dev against {_TITLES[kind]}, of the {len(full)} variants scored in full. {said}"
    )
    return figure(drawings, "Score against cost", said, caption)


def _drawn(full: Sequence[Row], front: Sequence[Row], kind: str, unit: Unit, size: tuple[int, int]) -> list[Markup]:
    width, height = size
    across = scale((row[COSTS[kind]] for row in full), 64, width - 20)
    up = scale((_gain(row) for row in full), height - 48, 20, room=0.12)
    labels = Labels(width)
    parts = [*_frame(across, up, _TITLES[kind], unit)]
    for row in full:
        x, y = across(row[COSTS[kind]]), up(_gain(row) or 0.0)
        labels.block(x, y)
        parts.append(point(x, y, row["status"], _tip(row, unit, kind)))
    steps = [(across(row[COSTS[kind]]), up(_gain(row) or 0.0)) for row in front]
    parts.insert(0, _steps(steps))
    best_first = list(zip(front, steps, strict=True))[::-1]  # where there is little room, the best has its name
    return parts + [labels.put(x, y, str(row["variant"])) for row, (x, y) in best_first]


def _gain(row: Row) -> float | None:
    return 0.0 if row["status"] == "baseline" else row.get("dev_delta")


def _full(row: Row) -> bool:
    return row["status"] == "baseline" or row.get("dev_delta_low") is not None


def _cost(row: Row, kind: str) -> str:
    value = row[COSTS[kind]]
    return f"${value:.3g}" if kind == "usd" else f"{value:,.0f} tokens"


def _tip(row: Row, unit: Unit, kind: str) -> str:
    return f"{row['variant']} {row['status']} {unit.gap(_gain(row) or 0.0)}, {_cost(row, kind)}: {row['name']}"


def _plain(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _frame(across: Scale, up: Scale, title: str, unit: Unit) -> list[Markup]:
    parts, middle = [line(across.start, up(0.0), across.end, up(0.0), "zero")], (up.start + up.end) / 2
    for tick in up.ticks():
        parts += [line(across.start, up(tick), across.end, up(tick), "grid"),
                  words(across.start - 8, up(tick) + 4, unit.gap(tick), at="end")]  # fmt: skip
    for tick in across.ticks(6 if across.end > 500 else 3):
        parts += [line(across(tick), up.start, across(tick), up.start + 5, "axis"),
                  words(across(tick), up.start + 18, _plain(tick), at="middle")]  # fmt: skip
    parts.append(line(across.start, up.start, across.end, up.start, "axis"))
    parts.append(words((across.start + across.end) / 2, up.start + 40, title, at="middle", kind="title"))
    parts.append(words(14, middle, "gain on dev" + (", points" if unit.rate else ""), at="middle", kind="title",
                       turn=f"rotate(-90 14 {middle:.0f})"))  # fmt: skip
    return parts


def _steps(places: Sequence[tuple[float, float]]) -> Markup:
    """The front as stairs: what one has to pay for the next gain."""
    path = ""
    for x, y in places:
        path += f"M{x:.1f} {y:.1f}" if not path else f"H{x:.1f}V{y:.1f}"
    return tag("path", d=path or "M0 0", class_="front")
