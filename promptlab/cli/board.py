"""The leaderboard: as many figures as the terminal is wide for, names on their own line where they are long."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from promptlab.chance import p_text
from promptlab.results import shortened
from promptlab.unit import Unit, unit_of

Row = Mapping[str, Any]
COLORS = {"winner": "bold green", "tied": "green", "baseline": "cyan", "failed": "red"}
LEFT = ("run", "variant", "status", "against")
LAYOUTS = (  # the first one that the terminal is wide enough for; columns without a figure take no room
    (
        "rank",
        "run",
        "variant",
        "status",
        "dev [95 %]",
        "test [95 %]",
        "score [95 %]",
        "Δ",
        "against",
        "p",
        "rows",
        "$/1k",
    ),
    ("rank", "run", "variant", "status", "dev [95 %]", "test [95 %]", "score [95 %]", "Δ", "against", "p"),
    ("rank", "run", "variant", "status", "dev", "test", "score", "Δ", "against", "p"),
    ("rank", "run", "variant", "status", "dev", "test", "score", "Δ", "against"),
    ("rank", "run", "variant", "status", "Δ", "against"),
)
GAPS = (("delta", "Δ test [95 %]"), ("dev_delta", "Δ dev [95 %]"), ("all_delta", "Δ [95 %]"))
COUNTS = ("dev_n", "test_n", "all_n")
GAP, INDENT = 2, 6


@dataclass(frozen=True)
class Board:
    """The best rows, and the baseline wherever it stands, as a rich renderable."""

    rows: Sequence[Row]
    most: int
    rest: str = "in results.csv"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, fitted to the console; on a pipe every row is one line, however long."""
        shown = [row for at, row in enumerate(self.rows) if at < self.most or row.get("status") == "baseline"]
        width = options.max_width if console.is_terminal else 10_000
        names = [printable(name) for name in distinct_names(shown)]
        head, body = _fitted(shown, width)
        size = max(map(len, (head, *body)))
        inline = any(names) and all(size + GAP + len(name) <= width for name in names)
        yield Text(head.ljust(size + GAP) + "name" if inline else head, style="bold", no_wrap=True)
        for row, line, name in zip(shown, body, names, strict=True):
            style = COLORS.get(str(row.get("status")), "")
            yield Text(line.ljust(size + GAP) + name if inline else line, style=style, no_wrap=True)
            if not inline and name:
                yield from (Text(part, style="dim", no_wrap=True) for part in _wrapped(name, width))
        if len(shown) < len(self.rows):
            yield Text(f"{len(self.rows) - len(shown)} more {self.rest}", style="dim")


def distinct_names(rows: Sequence[Row]) -> list[str]:
    """Names by what these rows differ in: model, template and slots; the whole name where nothing tells them apart."""
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if key.startswith("slot.")]
    varying = [key for key in ("template", "model", *keys) if _varies(key, rows)]
    return [_name(row, varying) or _text(row.get("name")) for row in rows]


def _varies(key: str, rows: Sequence[Row]) -> bool:
    """Whether a slot tells rows apart; one of retrieval's only if those that have it differ."""
    found = {_text(row.get(key)) for row in rows}
    return len(found - {""} if key.startswith("slot.retrieval.") else found) > 1


def printable(text: str) -> str:
    """Text on one line, without anything that moves the cursor."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else " " if each.isspace() else "\N{REPLACEMENT CHARACTER}" for each in text
    )


def _name(row: Row, varying: Sequence[str]) -> str:
    known = [(key, _text(row.get(key))) for key in varying]
    named = shortened([key.removeprefix("slot.") for key in varying])
    return " ".join(
        value if key == "template" else f"{named[key.removeprefix('slot.')]}={value}" for key, value in known if value
    )


def _text(value: Any) -> str:
    return "" if missing(value) else str(value)


def missing(value: Any) -> bool:
    """Whether a cell says that something was not measured."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _fitted(rows: Sequence[Row], width: int) -> tuple[str, list[str]]:
    """Head and lines of the widest layout that fits; columns without a figure are left out."""
    columns = _columns(rows)
    head, lines = "", [""] * len(rows)
    for layout in LAYOUTS:
        table = [_column(*columns[name], left=name in LEFT) for name in layout if any(columns[name][1])]
        head, *lines = [(" " * GAP).join(line).rstrip() for line in zip(*table, strict=True)]
        if max(map(len, (head, *lines))) <= width:
            break
    return head, lines


def _column(title: str, values: Sequence[str], *, left: bool) -> list[str]:
    size = max(map(len, (title, *values)))
    return [each.ljust(size) if left else each.rjust(size) for each in (title, *values)]


def _columns(rows: Sequence[Row]) -> dict[str, tuple[str, list[str]]]:
    """(title, cells) of every column there is, by its name in the layouts."""
    keys = ("dev_score", "test_score", "all_score")
    unit = unit_of([[row[key] for row in rows if not missing(row.get(key))] for key in keys])
    several = len({_text(row.get("run")) for row in rows}) > 1
    prefix, title = next((each for each in GAPS if any(not missing(row.get(each[0])) for row in rows)), GAPS[1])
    forms: dict[str, tuple[str, Callable[[Row], str]]] = {
        "rank": ("rank", lambda row: _whole(row.get("rank"))),
        "run": ("run", lambda row: _text(row.get("run")) if several else ""),
        "variant": ("variant", lambda row: _text(row.get("variant"))),
        "status": ("status", lambda row: _text(row.get("status"))),
        "dev": ("dev", lambda row: _score(row, "dev", unit)),
        "test": ("test", lambda row: _score(row, "test", unit)),
        "dev [95 %]": ("dev [95 %]", lambda row: _score(row, "dev", unit) + _interval(row, "dev", unit)),
        "test [95 %]": ("test [95 %]", lambda row: _score(row, "test", unit) + _interval(row, "test", unit)),
        "score": ("score", lambda row: _score(row, "all", unit)),
        "score [95 %]": ("score [95 %]", lambda row: _score(row, "all", unit) + _interval(row, "all", unit)),
        "against": (
            "against",
            lambda row: _text(row.get("against")) if several and not missing(row.get(prefix)) else "",
        ),
        "Δ": (title, lambda row: _gap(row, prefix, unit)),
        "p": ("p", lambda row: "" if missing(row.get("p_adjusted")) else p_text(row["p_adjusted"])),
        "rows": ("rows", lambda row: "+".join(filter(None, (_whole(row.get(key)) for key in COUNTS)))),
        "$/1k": ("$/1k", lambda row: _figure(row.get("usd_per_1k"), "{:.3g}")),
    }
    found = {key: (title, [printable(form(row)) for row in rows]) for key, (title, form) in forms.items()}
    if set(found["$/1k"][1]) <= {"", "0"}:  # nothing is paid here
        found["$/1k"] = ("$/1k", [""] * len(rows))
    return found


def _figure(value: Any, form: str) -> str:
    return "" if missing(value) else form.format(value)


def _whole(value: Any) -> str:
    return "" if missing(value) else str(int(value))


def _score(row: Row, split: str, unit: Unit) -> str:
    score = row.get(f"{split}_score")
    return "" if missing(score) else unit.score(float(score or 0))


def _interval(row: Row, split: str, unit: Unit) -> str:
    low, high = row.get(f"{split}_low"), row.get(f"{split}_high")
    return "" if missing(low) or missing(high) else f" [{unit.bound(low or 0)}, {unit.bound(high or 0)}]"


def _gap(row: Row, prefix: str, unit: Unit) -> str:
    value = row.get(prefix)
    if missing(value):
        return ""
    return unit.gap(float(value or 0)) + unit.span(row.get(f"{prefix}_low"), row.get(f"{prefix}_high"))


def _wrapped(name: str, width: int) -> list[str]:
    indent = " " * INDENT
    return textwrap.wrap(
        name, max(width, INDENT + 20), initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )
