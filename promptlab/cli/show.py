"""What commands print: tables and sentences. Text from data is shown as text, never as markup."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from promptlab.verdict import points, verdict

if TYPE_CHECKING:
    from promptlab.forecast import Forecast
    from promptlab.prepare import Prepared
    from promptlab.run import Run

SHOWN = 15  # rows of a leaderboard on the terminal
COLORS = {"winner": "bold green", "tied": "green", "baseline": "cyan", "failed": "red"}


def console(*, error: bool = False) -> Console:
    """The terminal; on a pipe, lines are as wide as they need to be."""
    stream = sys.stderr if error else sys.stdout
    return Console(stderr=error, soft_wrap=True, width=None if stream.isatty() else 140)


def print_json(value: Any) -> None:
    """JSON on standard output; what was not measured is null."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, indent=2, default=str) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def leaderboard(rows: Sequence[Mapping[str, Any]], most: int = SHOWN) -> Table:
    """The best rows, and the baseline wherever it stands."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("rank", "variant", "status", "dev", "test", "Δ test [95 %]", "p", "n", "$/1k", "name"):
        side = "left" if name in ("variant", "status", "name") else "right"
        table.add_column(name, justify=side, no_wrap=name != "name")  # type: ignore[arg-type]  # rich's literal
    shown = [row for place, row in enumerate(rows) if place < most or row["status"] == "baseline"]
    for row in shown:
        style = COLORS.get(str(row["status"]), "")
        rank, variant, status = (str(row[name]) for name in ("rank", "variant", "status"))
        cells = (rank, variant, status, _score(row, "dev"), _score(row, "test"), _delta(row),
                 _number(row.get("p_adjusted"), "{:.2g}"), f"{row['dev_n']}+{row.get('test_n', 0) or 0}",
                 _number(row.get("usd_per_1k"), "{:.3g}"), str(row["name"]))  # fmt: skip
        table.add_row(*(Text(cell) for cell in cells), style=style)
    if len(shown) < len(rows):
        table.caption = f"{len(rows) - len(shown)} more in results.csv"
    return table


def _score(row: Mapping[str, Any], split: str) -> str:
    score, low, high = (row.get(f"{split}_{part}") for part in ("score", "low", "high"))
    if _missing(score):
        return ""
    span = "" if _missing(low) else f" [{100 * float(low or 0):.0f}, {100 * float(high or 0):.0f}]"
    return f"{100 * float(score or 0):.1f}{span}"


def _delta(row: Mapping[str, Any]) -> str:
    if _missing(row.get("delta")):
        return ""
    return f"{points(row['delta'])} [{points(row['delta_low'])}, {points(row['delta_high'])}]"


def _number(value: Any, form: str) -> str:
    return "" if _missing(value) else form.format(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def verdict_lines(run: Run) -> list[str]:
    """What a run says, and where its files are."""
    own = run.prepared.experiment.folder / "results.csv"
    return ["", *verdict(run.findings, run.rows), f"Tables: {own} and {run.folder}"]


def plan_lines(prepared: Prepared, expected: Forecast) -> list[str]:
    """What a run would take and can tell, in sentences."""
    experiment = prepared.experiment
    total = expected.search_calls + expected.test_calls
    money = "" if expected.usd is None else f", at most about ${expected.usd:,.2f}"
    budget = experiment.search.budget
    caps = [f"{budget.calls:,} calls" if budget.calls else "", f"{budget.tokens:,} tokens" if budget.tokens else "",
            f"${budget.usd:,.2f}" if budget.usd else ""]  # fmt: skip
    cap = ", ".join(each for each in caps if each) or "none"
    space = (
        f"{experiment.name}: {expected.points:,} points in the space, {expected.variants - 1:,} tried beside the "
        f"baseline on {expected.dev_rows} dev rows; {expected.test_rows} test rows are held out"
    )
    calls = (
        f"at most {total:,} calls ({expected.search_calls:,} search + {expected.test_calls:,} test) of about "
        f"{expected.tokens_in:,.0f} tokens each{money}; budget: {cap}"
    )
    return [space, calls, _resolution(expected)]


def _resolution(expected: Forecast) -> str:
    known = {share: gap for share, gap in expected.resolves.items() if gap is not None}
    rows = expected.test_rows or expected.dev_rows
    if not known:
        return f"{rows} rows cannot resolve any difference: add rows"
    gaps = ", ".join(f"{100 * gap:.1f} points if {share:.0%} of answers differ" for share, gap in known.items())
    return f"smallest difference that {rows} rows can show (80 % power): {gaps}"


def space_table(prepared: Prepared) -> Table:
    """The slots, their values, and when they exist."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("slot", "values", "when"):
        table.add_column(name)
    for slot in prepared.space.slots:
        when = " and ".join(f"{name} in {', '.join(map(str, values))}" for name, values in slot.when)
        values = ", ".join(map(str, slot.values))
        table.add_row(Text(slot.name + (" (open)" if slot.open else "")), Text(values), Text(when, style="dim"))
    return table
