"""What `promptlab choose` prints: the arms before they are mined, then the table, the choice and what to mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from promptlab.cli.board import printable

if TYPE_CHECKING:
    from promptlab.choice.choose import Chosen, Planned
    from promptlab.unit import Unit

COLORS = {"chosen": "bold green", "until then": "green", "outside": "dim", "worse": "dim"}


def plan_lines(plan: Planned) -> list[str]:
    """The arms with their shares of the budget, and those that are left out."""
    lines = []
    for name, prepared in plan.arms.items():
        calls = prepared.experiment.search.budget.calls
        share = f", at most {calls:,} calls" if calls is not None else ""
        lines.append(f"arm {name}: {prepared.space.size:,} variants{share}")
    left = [f"arm {each.arm} is left out: {each.left_out}" for each in plan.left_out]
    rows = plan.prepared.rows
    return [*lines, *left, *([f"{len(rows.test)} test rows tell the arms apart"] if rows.test else [])]


def tell(chosen: Chosen, folder: Path, *, as_json: bool) -> None:
    """Print the choice."""
    from promptlab.choice.choose import PAGE, TABLE
    from promptlab.choice.reason import sentences
    from promptlab.cli.show import console, print_json

    said = sentences(chosen.choice)
    if as_json:
        left = {each.arm: each.left_out for each in chosen.left_out}
        body = {"choice": chosen.choice.name, "decided": chosen.choice.decided, "reference": chosen.choice.reference,
                "rows_needed": chosen.choice.rows, "sentences": said, "advice": list(chosen.advice), "left_out": left,
                "arms": chosen.rows(), "table": str(folder / TABLE), "page": str(folder / PAGE)}  # fmt: skip
        print_json(body)
        return
    out = console()
    out.print(table(chosen.rows(), chosen.choice.unit))
    places = [f"Table: {folder / TABLE}", f"Page: {folder / PAGE}", *_next(chosen)]
    for line in ("", *said, *chosen.advice, *places):
        out.print(printable(line), highlight=False, markup=False)


def _next(chosen: Chosen) -> list[str]:
    """Where the run of the arm to take lies, and how to take it."""
    if chosen.choice.name is None:
        return []
    run = chosen.runs[chosen.choice.name][0].folder
    return [f"Look: promptlab compare {run} · promptlab report {run}", f"Take: promptlab export {run} --to python"]


def table(rows: Sequence[Mapping[str, Any]], unit: Unit) -> Table:
    """The arms; columns in which nothing was measured are left out."""
    columns = {
        "arm": [str(row["arm"]) for row in rows],
        "verdict": [str(row["verdict"]) for row in rows],
        "test [95 %]": [_score(row, unit) for row in rows],
        "Δ best on dev [bounds]": [_gap(row, unit) for row in rows],
        "invalid": [_whole(row.get("invalid")) for row in rows],
        "hit@k": [_figure(row.get("hit_at_k"), ".2f") for row in rows],
        "tokens in": [_figure(row.get("tokens_in"), ",.0f") for row in rows],
        "$/1k": [_figure(row.get("usd_per_1k"), ".3g") for row in rows],
        "setup $": [_figure(row.get("setup_usd"), ",.2f") for row in rows],
        "p95 ms": [_figure(row.get("latency_p95_ms"), ",.0f") for row in rows],
        "cheaper from": [str(row.get("break_even_calls") or "") for row in rows],
    }
    made = Table(box=None, header_style="bold", pad_edge=False)
    shown = {name: cells for name, cells in columns.items() if set(cells) - {"", "0", "0.00"}}
    for name in shown:
        made.add_column(name, justify="left" if name in ("arm", "verdict") else "right", no_wrap=True)
    for at, row in enumerate(rows):
        style = COLORS.get(str(row["verdict"]), "")
        made.add_row(*(Text(printable(cells[at]), style=style) for cells in shown.values()))
    return made


def _score(row: Mapping[str, Any], unit: Unit) -> str:
    low, high = row.get("test_low"), row.get("test_high")
    span = "" if low is None or high is None else f" [{unit.bound(low)}, {unit.bound(high)}]"
    return "" if row.get("test_score") is None else unit.score(row["test_score"]) + span


def _gap(row: Mapping[str, Any], unit: Unit) -> str:
    value = row.get("delta")
    return "" if value is None else unit.gap(value) + unit.span(row.get("delta_low"), row.get("delta_high"))


def _figure(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)


def _whole(value: Any) -> str:
    return "" if value is None else str(value)
