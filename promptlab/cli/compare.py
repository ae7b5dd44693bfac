"""promptlab compare: runs and CSVs side by side."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli.arguments import AsJson

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.table import Table

    from promptlab.comparison import Comparison


def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN|CSV…", help="Run folders, experiments, or CSV files.")],
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="VARIANT", help="Compare with this one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the leaderboard, every paired difference to the baseline, and the best variant class by class.

    Example: promptlab compare experiments/support_intent
    """
    from promptlab.cli.show import console, leaderboard, print_json
    from promptlab.comparison import compare as side_by_side

    found = side_by_side(paths, baseline)
    if as_json:
        print_json(_json(found))
        return
    out = console()
    if len(found.leaderboard):
        out.print(leaderboard(_records(found.leaderboard)))
    if len(found.differences):
        out.print(_differences(found))
    if found.classes:
        out.print(_classes(found))
    for line in found.notes:
        out.print(line, markup=False, highlight=False)


def _records(table: DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _json(found: Comparison) -> dict[str, Any]:
    return {
        "leaderboard": _records(found.leaderboard),
        "differences": _records(found.differences),
        "best": {"run": found.best[0], "variant": found.best[1]},
        "classes": [asdict(each) for each in found.classes],
        "confusion": found.confusion,
        "majority": found.majority,
        "notes": found.notes,
    }


def _differences(found: Comparison, most: int = 15) -> Table:
    from rich.table import Table
    from rich.text import Text

    from promptlab.cli.board import printable
    from promptlab.unit import Unit

    shown = _records(found.differences.head(most))
    unit = Unit(rate=bool((found.differences["delta"].abs() <= 1).all()))
    several = found.differences["run"].nunique() > 1
    names = [
        *(["run"] if several else []),
        "variant",
        "split",
        "n",
        "delta [95 %]",
        "p",
        "adjusted p",
        "fixed",
        "broken",
    ]
    title = f"Paired differences to {shown[0]['against']}"
    table = Table(box=None, header_style="bold", title=title, title_justify="left", title_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, justify="left" if name in ("run", "variant", "split") else "right", no_wrap=True)
    for row in shown:
        span = f"{unit.gap(row['delta'])}{unit.span(row['low'], row['high'])}"
        cells = [row["run"]] if several else []
        cells += [row["variant"], row["split"], row["n"], span, *(_p(row[name]) for name in ("p", "p_adjusted")),
                  *("" if row[name] != row[name] else int(row[name]) for name in ("fixed", "broken"))]  # fmt: skip
        table.add_row(*(Text(printable(str(each))) for each in cells))
    if len(found.differences) > most:
        table.caption = f"{len(found.differences) - most} more with --json"
    return table


def _p(value: float) -> str:
    return "" if value != value else f"{value:.2g}"  # noqa: PLR0124 - NaN


def _classes(found: Comparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    from promptlab.cli.board import printable

    title = f"{found.best[1]}, class by class"
    if found.majority is not None:
        title += f" (always {printable(found.majority[0])!r}: {100 * found.majority[1]:.1f} % right)"
    table = Table(box=None, header_style="bold", title=title, title_justify="left", title_style="bold", pad_edge=False)
    for name in ("label", "precision", "recall", "F1", "rows", "answered instead"):
        table.add_column(name, justify="left" if name in ("label", "answered instead") else "right")
    labels = [str(each.label) for each in found.classes]
    for place, each in enumerate(found.classes):
        row = [*found.confusion[place]]
        wrong = sorted(((n, name) for n, name in zip(row, [*labels, "no answer"], strict=False) if n), reverse=True)
        instead = ", ".join(f"{name} {n}" for n, name in wrong if name != str(each.label))
        figures = ("" if x != x else f"{x:.2f}" for x in (each.precision, each.recall, each.f1))  # noqa: PLR0124 - NaN
        table.add_row(*(Text(printable(str(cell))) for cell in (each.label, *figures, each.support, instead)))
    return table
