"""The leaderboard: intervals drawn beside their figures, the tie set marked by shape, the baseline always there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from promptlab.report.marks import cells, joined, tag, wide
from promptlab.report.strip import across, axis, strip, upright, whisker
from promptlab.report.svg import STATUS, Scale, line
from promptlab.unit import Unit

MOST = 200  # rows of the table; the page stays small, results.csv has all
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
    own = across(row.get(name) for row in shown for name in _SCORES)
    gaps = across((0.0, *(row.get(name) for row in shown for name in _gaps(tested))))
    frame = Frame(unit, own, gaps, base, tested)
    head = _head(frame)
    body = joined(_row(row, frame) for row in shown)
    left = len(rows) - len(shown)
    caption = "Leaderboard. 95 % intervals; dev selects, test only reports" if tested else "Leaderboard on dev"
    caption += f"; {left:,} more rows in results.csv" if left else ""
    inner = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body), class_="sortable board")
    return joined((_legend(rows, base, tested=tested), wide(inner, "Leaderboard")))


_SCORES = ("dev_score", "dev_low", "dev_high", "test_score", "test_low", "test_high")


def _gaps(tested: bool) -> tuple[str, str, str]:
    return ("delta", "delta_low", "delta_high") if tested else ("dev_delta", "dev_delta_low", "dev_delta_high")


def _legend(rows: Sequence[Row], base: Row | None, *, tested: bool) -> Markup:
    """Shapes and their words, how many rows have each, and what the dotted lines are."""
    counts = {name: sum(row["status"] == name for row in rows) for name in STATUS}
    parts = [
        tag("span", tag("span", shape, class_=f"shape {name}", aria_hidden="true"), f" {word} {counts[name]}")
        for name, (shape, word) in STATUS.items()
        if counts[name]
    ]
    if base is not None:
        dots = tag("svg", line(3, 0, 3, 14, "zero"), class_="key", width=6, height=14, aria_hidden="true")
        where = "its score on dev (upper half) and on test (lower half)" if tested else "its score on dev"
        parts.append(tag("span", dots, f" the baseline: {where}; in the last column, no difference", class_="dotted"))
    return tag("p", joined(parts), class_="legend")


def _head(frame: Frame) -> Markup:
    def drawn(name: str, along: Scale, told: Callable[[float], str]) -> Markup:
        return tag("th", tag("span", name), axis(along, told), scope="col", class_="drawn")

    titles = [("rank", "#", "num"), ("variant and what it chose", "variant", ""), ("status", "status", "")]
    left = joined(tag("th", said, scope="col", class_=kind or None, title=title) for title, said, kind in titles)
    split = "test" if frame.tested else "dev"
    figures = joined(tag("th", each, scope="col", class_="num") for each in _figures(frame.tested))
    plots = drawn("score", frame.own, frame.unit.bound), drawn(f"difference, {split}", frame.gaps, frame.unit.gap)
    return tag("tr", left, figures, *plots)


def _figures(tested: bool) -> list[str]:
    """The columns of numbers, in order: in a narrow window each number names its own."""
    return ["dev", "test", "Δ test", "p", "rows"] if tested else ["dev", "Δ dev", "rows"]


def _row(row: Row, frame: Frame) -> Markup:
    shape, word = STATUS.get(row["status"], ("", row["status"]))
    status = joined((tag("span", shape, class_=f"shape {row['status']}", aria_hidden="true"), f" {word}"))
    pick = tag("button", row["variant"], type="button", class_="pick id", data_variant=row["variant"])
    who = joined((pick, tag("span", row["name"], class_="name")))
    numbers = zip(_figures(frame.tested), _numbers(row, frame), strict=True)
    return tag(
        "tr",
        cells("td", [row.get("rank", ""), who, status], ["num rank", "who", "status"]),
        joined(tag("td", said, class_="num" if said else "num none", data_said=name) for name, said in numbers),
        tag("td", _scores(row, frame.own, frame.base), class_="drawn", data_said="score"),
        tag("td", _gap(row, frame.gaps, _gaps(frame.tested)), class_="drawn", data_said="difference"),
        class_=row["status"],
    )


def _numbers(row: Row, frame: Frame) -> list[Markup | str]:
    """The cells under ``_figures``."""
    unit, tested = frame.unit, frame.tested
    name, low, high = _gaps(tested)
    gap = row.get(name)
    told = "" if gap is None else _with(unit.gap(gap), unit.span(row.get(low), row.get(high)))
    n = "+".join(str(row[each]) for each in ("dev_n", "test_n") if row.get(each))
    if not tested:
        return [_score(row, "dev", unit), told, n]
    p = row.get("p_adjusted")
    return [_score(row, "dev", unit), _score(row, "test", unit), told, "" if p is None else f"{p:.2g}", n]


def _score(row: Row, split: str, unit: Unit) -> Markup | str:
    value, low, high = (row.get(f"{split}_{name}") for name in ("score", "low", "high"))
    if value is None:
        return ""
    span = "" if low is None or high is None else f"[{unit.bound(low)}, {unit.bound(high)}]"
    return _with(unit.score(value), span)


def _with(said: str, span: str) -> Markup | str:
    """A number, its interval on a line of its own: that leaves the room to the drawings."""
    return joined((f"{said} ", tag("span", span.strip(), class_="span"))) if span else said


def _scores(row: Row, along: Scale, base: Row | None) -> Markup:
    """Dev above (hollow), test below (full); a line where the baseline stands in each."""
    parts: list[Markup] = []
    hollow = "dropped" if row["status"] == "dropped" else "beaten"  # of few rows: a cross, and no interval
    for name, y, shape in (("dev", 8, hollow), ("test", 18, "tied")):
        zero = base.get(f"{name}_score") if base is not None else None
        if zero is not None:
            parts.append(upright(along, zero, y - 6, y + 6))
        parts += whisker(along, row, (f"{name}_score", f"{name}_low", f"{name}_high"), y, f"{name}, {shape}")
    return strip(parts)


def _gap(row: Row, along: Scale, names: tuple[str, str, str]) -> Markup:
    return strip([upright(along, 0.0), *whisker(along, row, names, 13, f"delta, {row['status']}")])
