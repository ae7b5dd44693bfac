"""What `promptlab choose` prints in the end: the table of arms, the choice, the learning curves, what to mend."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from promptlab.cli.board import printable

if TYPE_CHECKING:
    from promptlab.choice.chosen import Chosen
    from promptlab.choice.rule import Choice
    from promptlab.unit import Unit

COLORS = {"chosen": "bold green", "until then": "green", "outside": "dim", "worse": "dim"}
SPARE = ("invalid", "hit@k", "tokens in", "setup $", "$/1k", "seeds", "cheaper", "p95 ms")
"""Columns that go where the terminal is too narrow, these first; all of them are in choice.csv."""
GAP = 2  # columns of the terminal between two of the table


def tell(chosen: Chosen, folder: Path, *, as_json: bool) -> None:
    """Print the choice."""
    from promptlab.choice.chosen import PAGE, TABLE
    from promptlab.choice.reason import legend
    from promptlab.cli.show import console, print_json

    said = chosen.said
    if as_json:
        left = {each.arm: each.left_out for each in chosen.left_out}
        body = {"choice": chosen.choice.name, "decided": chosen.choice.decided, "reference": chosen.choice.reference,
                "rows_needed": chosen.choice.rows, "sentences": said, "advice": list(chosen.advice), "left_out": left,
                "curves": curve_lines(chosen), "arms": chosen.rows(),
                "total_usd": {each.arm.name: each.total for each in chosen.choice.judged},
                "table": str(folder / TABLE), "page": str(folder / PAGE)}  # fmt: skip
        print_json(body)
        return
    out = console()
    made, hidden = table(chosen.choice, chosen.rows(), out.width)
    shown = [str(column.header) for column in made.columns]
    out.print(made)
    more = [f"not shown for want of room: {', '.join(hidden)} (choice.csv has them)"] if hidden else []
    than = f"cheaper = from how many calls on than {chosen.choice.reference}, setup counted"
    for line in (*legend(chosen.choice), *([than] if "cheaper" in shown else []), *more):
        out.print(Text(printable(line), style="dim"))
    places = [f"Table: {folder / TABLE}", f"Page: {folder / PAGE}", *_next(chosen)]
    for line in ("", *said, *curve_lines(chosen), *chosen.advice, *places):
        out.print(printable(line), highlight=False, markup=False)


def curve_lines(chosen: Chosen) -> list[str]:
    """A line for every learning curve: its points, and the sizes that are none."""
    return [
        f"{arm}, {each.name}: {each.told(chosen.choice.unit)} (dev). {each.left_out}".rstrip()
        for arm, every in chosen.curves.items()
        for each in every
    ]


def _next(chosen: Chosen) -> list[str]:
    """Where the run of the arm to take lies, and how to take it; of several tuning seeds, which one that is."""
    if chosen.choice.name is None:
        return []
    arm, run = chosen.choice.of(chosen.choice.name).arm, chosen.runs[chosen.choice.name][0]
    lines = [
        f"Look: promptlab compare {run.folder} · promptlab report {run.folder}",
        f"Take: promptlab export {run.folder} --to python",
    ]
    if len(arm.seeds) > 1:
        lines.append(f"That run is one of {len(arm.seeds)} seeds, {arm.model}: {_first_seed(chosen)}.")
    return lines


def _first_seed(chosen: Chosen) -> str:
    """What the first of several seeds scored, beside their mean."""
    from promptlab.stats.paired import mean

    judged, unit = chosen.choice.of(chosen.choice.name or ""), chosen.choice.unit
    own = unit.score(mean(judged.arm.seeds[0]))
    return f"it scored {own} on test, and the mean of {len(judged.arm.seeds)} seeds is {unit.score(judged.score)}"


def table(choice: Choice, rows: Sequence[Mapping[str, Any]], width: int) -> tuple[Table, list[str]]:
    """The arms as wide as the terminal at most, and the columns that it had no room for.

    Columns in which nothing was measured are left out.
    """
    columns = {name: cells for name, cells in _columns(choice, rows).items() if set(cells) - {"", "0", "0.00"}}
    hidden = []
    for name in SPARE:
        if sum(map(_wide, columns.items())) <= width:
            break
        if columns.pop(name, None) is not None:
            hidden.append(name)
    made = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        made.add_column(Text(printable(name)), justify="left" if name in ("arm", "verdict") else "right", no_wrap=True)
    for at, row in enumerate(rows):
        style = COLORS.get(str(row["verdict"]), "")
        made.add_row(*(Text(printable(cells[at]), style=style) for cells in columns.values()))
    return made, hidden


def _wide(column: tuple[str, list[str]]) -> int:
    name, cells = column
    return max(map(len, (name, *cells))) + GAP


def _columns(choice: Choice, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    from promptlab.choice.table import against

    unit, months = choice.unit, choice.limits.use.months
    several = [len(each.arm.seeds) for each in choice.judged]
    return {
        "arm": [str(row["arm"]) for row in rows],
        "verdict": [str(row["verdict"]) for row in rows],
        "test [95 %]": [_score(row, unit) for row in rows],
        f"Δ to {choice.reference} [bounds]": [_gap(row, unit) for row in rows],
        "seeds": [f"mean of {count}" if count > 1 else "" for count in several],
        "invalid": [_whole(row.get("invalid")) for row in rows],
        "hit@k": [_figure(row.get("hit_at_k"), ".2f") for row in rows],
        "tokens in": [_figure(row.get("tokens_in"), ",.0f") for row in rows],
        "setup $": [_figure(row.get("setup_usd"), ",.2f") for row in rows],
        "$/1k": [_figure(row.get("usd_per_1k"), ".3g") for row in rows],
        f"$ {months:g} month{'s' * (months != 1)}": [_figure(each.total, ",.2f") for each in choice.judged],
        "p95 ms": [_figure(row.get("latency_p95_ms"), ",.0f") for row in rows],
        "cheaper": [str(against(choice, each) or "") for each in choice.judged],
    }


def _score(row: Mapping[str, Any], unit: Unit) -> str:
    score, low, high = (_known(row.get(name)) for name in ("test_score", "test_low", "test_high"))
    span = "" if low is None or high is None else f" [{unit.bound(low)}, {unit.bound(high)}]"
    return "" if score is None else unit.score(score) + span


def _known(value: float | None) -> float | None:
    """A figure; None for NaN as well."""
    return None if value is None or math.isnan(value) else value


def _gap(row: Mapping[str, Any], unit: Unit) -> str:
    value = _known(row.get("delta"))
    return "" if value is None else unit.gap(value) + unit.span(row.get("delta_low"), row.get("delta_high"))


def _figure(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)


def _whole(value: Any) -> str:
    return "" if value is None else str(value)
