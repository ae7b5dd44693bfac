"""The leaderboard: intervals drawn beside their figures, the tie set marked by shape, the baseline always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from promptlab.report.marks import cells, joined, tag, wide
from promptlab.report.svg import STATUS, Scale, line, point, scale, words
from promptlab.unit import Unit

MOST = 200  # rows of the table; the page stays small, results.csv has all
WIDTH, HIGH, EDGE = 136, 26, 16
FIRST = 25  # rows that are seen at once; a button shows the others
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Frame:
    """What all rows share: unit, the scales of scores and of differences, the baseline's row, whether test was read."""

    unit: Unit
    own: Scale
    gaps: Scale
    base: Row | None
    tested: bool


def board(rows: Sequence[Row], unit: Unit) -> Markup:
    """The table, best rank first. ``rows`` are those of results.csv."""
    base = next((row for row in rows if row["status"] == "baseline"), None)
    shown = [*rows[:MOST], *([base] if base is not None and base not in rows[:MOST] else [])]
    tested = any(row.get("test_score") is not None for row in rows)
    own = scale((row.get(name) for row in shown for name in _SCORES), EDGE, WIDTH - EDGE, room=0.02)
    gaps = scale((0.0, *(row.get(name) for row in shown for name in _gaps(tested))), EDGE, WIDTH - EDGE, room=0.02)
    frame = Frame(unit, own, gaps, base, tested)
    head = _head(frame)
    body = joined(_row(row, frame, more=place >= FIRST and row is not base) for place, row in enumerate(shown))
    left = len(rows) - len(shown)
    caption = "Leaderboard. 95 % intervals; dev selects, test only reports" if tested else "Leaderboard on dev"
    caption += f"; {left:,} more rows in results.csv" if left else ""
    inner = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body), class_="sortable board")
    return joined((_legend(rows), wide(inner, "Leaderboard")))


_SCORES = ("dev_score", "dev_low", "dev_high", "test_score", "test_low", "test_high")


def _gaps(tested: bool) -> tuple[str, str, str]:
    return ("delta", "delta_low", "delta_high") if tested else ("dev_delta", "dev_delta_low", "dev_delta_high")


def _legend(rows: Sequence[Row]) -> Markup:
    """Shapes and their words, and how many rows have each."""
    counts = {name: sum(row["status"] == name for row in rows) for name in STATUS}
    parts = [
        tag("span", tag("span", shape, class_=f"shape {name}", aria_hidden="true"), f" {word} {counts[name]}")
        for name, (shape, word) in STATUS.items()
        if counts[name]
    ]
    return tag("p", joined(parts), class_="legend")


def _head(frame: Frame) -> Markup:
    tested = frame.tested

    def axis(name: str, along: Scale, told: Any) -> Markup:
        marks = joined(
            joined((line(along(t), 18, along(t), 24, "axis"), words(along(t), 14, told(t), at="middle")))
            for t in along.ticks(3)
        )
        drawn = tag("svg", marks, width=WIDTH, height=24, viewBox=f"0 0 {WIDTH} 24", aria_hidden="true")
        return tag("th", tag("span", name), drawn, scope="col", class_="drawn")

    titles = [("rank", "#", "num"), ("variant and what it chose", "variant", ""), ("status", "status", "")]
    left = joined(tag("th", said, scope="col", class_=kind or None, title=title) for title, said, kind in titles)
    figures = ["dev", *(["test"] if tested else [])]
    middle = joined(tag("th", each, scope="col", class_="num") for each in figures)
    split = "test" if tested else "dev"
    tail = [tag("th", f"Δ {split}", scope="col", class_="num")]
    tail += [tag("th", "p", scope="col", class_="num", title="adjusted for the finalists")] if tested else []
    tail += [tag("th", "rows", scope="col", class_="num")]
    drawn = axis("score", frame.own, frame.unit.bound), axis("difference", frame.gaps, frame.unit.gap)
    return tag("tr", left, middle, drawn[0], drawn[1], joined(tail))


def _row(row: Row, frame: Frame, *, more: bool) -> Markup:
    unit, tested = frame.unit, frame.tested
    shape, word = STATUS.get(row["status"], ("", row["status"]))
    status = joined((tag("span", shape, class_=f"shape {row['status']}", aria_hidden="true"), f" {word}"))
    pick = tag("button", row["variant"], type="button", class_="pick id", data_variant=row["variant"])
    who = joined((pick, tag("span", row["name"], class_="name")))
    low, high = _gaps(tested)[1:]
    gap = row.get(_gaps(tested)[0])
    told = "" if gap is None else f"{unit.gap(gap)}{unit.span(row.get(low), row.get(high))}"
    n = [str(row[name]) for name in ("dev_n", "test_n") if row.get(name)]
    figures = [_score(row, "dev", unit), *([_score(row, "test", unit)] if tested else [])]
    tail = [told, *([_p(row.get("p_adjusted"))] if tested else []), "+".join(n)]
    return tag(
        "tr",
        cells("td", [row.get("rank", ""), who, status], ["num", "who", "status"]),
        cells("td", figures, ["num"] * 2),
        tag("td", _scores(row, frame.own, frame.base), class_="drawn"),
        tag("td", _gap(row, frame.gaps, _gaps(tested)), class_="drawn"),
        cells("td", tail, ["num"] * 3),
        class_=f"{row['status']}{' more' if more else ''}",
    )


def _score(row: Row, split: str, unit: Unit) -> str:
    value, low, high = (row.get(f"{split}_{name}") for name in ("score", "low", "high"))
    if value is None:
        return ""
    return unit.score(value) + (
        f" [{unit.bound(low)}, {unit.bound(high)}]" if low is not None and high is not None else ""
    )


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _scores(row: Row, along: Scale, base: Row | None) -> Markup:
    """Dev above (hollow), test below (full); a line where the baseline stands."""
    parts = [Markup("")]
    for name, y in (("dev", 8), ("test", 18)):
        zero = base.get(f"{name}_score") if base is not None else None
        if zero is not None:
            parts.append(line(along(zero), y - 6, along(zero), y + 6, "zero"))
        parts += _whisker(row, along, (f"{name}_score", f"{name}_low", f"{name}_high"), y, name)
    return _small(parts)


def _gap(row: Row, along: Scale, names: tuple[str, str, str]) -> Markup:
    return _small([line(along(0), 0, along(0), HIGH, "zero"), *_whisker(row, along, names, 13, "delta")])


def _whisker(row: Row, along: Scale, names: tuple[str, str, str], y: float, kind: str) -> list[Markup]:
    value, low, high = (row.get(name) for name in names)
    if value is None:
        return []
    ends = [line(along(low), y, along(high), y, f"whisker {kind}")] if low is not None and high is not None else []
    hollow = "dropped" if row["status"] == "dropped" else "beaten"  # of few rows: a cross, and no interval
    status = {"dev": hollow, "test": "tied"}.get(kind) or str(row["status"])
    return [*ends, point(along(value), y, status, size=3.5)]


def _small(parts: Sequence[Markup]) -> Markup:
    """A drawing inside a cell; its figures stand beside it as text."""
    return tag("svg", joined(parts), width=WIDTH, height=HIGH, viewBox=f"0 0 {WIDTH} {HIGH}", aria_hidden="true")
