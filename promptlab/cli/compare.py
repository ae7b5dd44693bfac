"""promptlab compare: runs and CSVs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli.arguments import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from promptlab.compare import Comparison


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
    from promptlab.compare import compare as side_by_side

    found = side_by_side(paths, baseline)
    if as_json:
        print_json(
            {
                "leaderboard": found.leaderboard.to_dict("records"),
                "differences": found.differences.to_dict("records"),
                "classes": [[each.label, each.precision, each.recall, each.f1, each.support] for each in found.classes],
                "notes": found.notes,
            }
        )
        return
    out = console()
    if len(found.leaderboard):
        out.print(leaderboard([{str(k): v for k, v in row.items()} for row in found.leaderboard.to_dict("records")]))
    if len(found.differences):
        out.print(_differences(found))
    if found.classes:
        out.print(_classes(found))
    for line in found.notes:
        out.print(line, markup=False, highlight=False)


def _differences(found: Comparison, most: int = 15) -> Table:
    from rich.table import Table
    from rich.text import Text

    from promptlab.verdict import points

    shown = found.differences.head(most)
    table = Table(
        box=None, header_style="bold", title=f"paired differences to {shown['against'].iloc[0]}", title_justify="left"
    )
    for name in ("variant", "split", "n", "delta [95 %]", "p", "fixed", "broken"):
        table.add_column(name, justify="left" if name in ("variant", "split") else "right")
    for row in shown.to_dict("records"):
        span = f"{points(row['delta'])} [{points(row['low'])}, {points(row['high'])}]"
        cells = (row["variant"], row["split"], row["n"], span, f"{row['p']:.2g}", row["fixed"], row["broken"])
        table.add_row(*(Text(str(each)) for each in cells))
    if len(found.differences) > most:
        table.caption = f"{len(found.differences) - most} more with --json"
    return table


def _classes(found: Comparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    title = f"{found.best}, class by class"
    if found.majority is not None:
        title += f" (always {found.majority[0]!r}: {100 * found.majority[1]:.1f} %)"
    table = Table(box=None, header_style="bold", title=title, title_justify="left")
    for name in ("label", "precision", "recall", "F1", "rows", "answered instead"):
        table.add_column(name, justify="left" if name in ("label", "answered instead") else "right")
    labels = [str(each.label) for each in found.classes]
    for place, each in enumerate(found.classes):
        row = [*found.confusion[place]]
        wrong = sorted(((n, name) for n, name in zip(row, [*labels, "no answer"], strict=False) if n), reverse=True)
        instead = ", ".join(f"{name} {n}" for n, name in wrong if name != str(each.label))
        cells = (each.label, f"{each.precision:.2f}", f"{each.recall:.2f}", f"{each.f1:.2f}", each.support, instead)
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table
