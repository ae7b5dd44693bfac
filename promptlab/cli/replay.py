"""promptlab replay: allocators compared on recorded scores, no endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli.arguments import AsJson
from promptlab.errors import BadInput, Problem

if TYPE_CHECKING:
    from rich.table import Table

BAR = 40  # characters of the longest bar


def replay(  # noqa: PLR0913, PLR0917 - one for each option
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH…", help="Runs, experiments, or files: .npz with scores[variant, example], .csv."),
    ],
    allocate: Annotated[
        str, typer.Option("--allocate", metavar="A,B", help="Allocators; options like race[z=1,strict=true].")
    ] = "full,uniform,halving,ranks,race",
    budget: Annotated[
        str, typer.Option("--budget", metavar="N,M", help="Calls per variant; `all` = as many as are asked for.")
    ] = "3,5,10,20,40",
    reps: Annotated[int, typer.Option("--reps", min=1, help="Repetitions, each with its own draw.")] = 200,
    variants: Annotated[int, typer.Option("--variants", min=2, help="Variants drawn at most.")] = 60,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="CSV", help="Write every figure to a CSV, the curves to an .svg beside it."),
    ] = None,
    history: Annotated[int, typer.Option("--history", min=0, help="So many finalists' complete rows are known.")] = 0,
    parents: Annotated[bool, typer.Option("--parents", help="Parents' means on 50 rows are known.")] = False,
    least: Annotated[
        float, typer.Option("--least", min=0, help="Leave out where best minus median is fewer points.")
    ] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Replay allocators on recorded scores: how far below the best is what they choose, for how many calls.

    Of a run, the variants count that were scored on all dev rows: run it once with `allocate: full`.

    Example: promptlab replay experiments/support_intent --allocate halving,ranks --budget 5,20 --out replay.csv
    """
    from rich.progress import Progress

    from promptlab.cli.show import console, print_json
    from promptlab.replay.plot import curves, plot
    from promptlab.replay.spec import budgets, specs
    from promptlab.replay.sweep import COLUMNS, Sweep, chosen, sweep
    from promptlab.write import write_csv, write_text

    if out is not None and out.suffix.lower() == ".svg":
        raise BadInput([Problem("--out names the CSV; the drawing is put beside it", str(out), remedy="Write .csv.")])
    plan = Sweep(specs(allocate), budgets(budget), reps, variants, seed, history, parents)
    matrices, notes = chosen(paths, plan, least / 100)
    screen = console(error=as_json)
    with Progress(console=console(error=True), transient=True) as bar:
        task = bar.add_task("replaying", total=1.0)
        rows = sweep(matrices, plan, lambda share: bar.update(task, completed=share))
    if out is not None:
        write_csv(out, COLUMNS, ([row[name] for name in COLUMNS] for row in rows))
        write_text(out.with_suffix(".svg"), plot(curves(rows), len(matrices)))
    if as_json:
        print_json(rows)
        return
    screen.print(_table(rows, len(matrices)))
    for line in (*_bars(rows), *notes, *([f"written to {out} and {out.with_suffix('.svg')}"] if out else [])):
        screen.print(line, markup=False, highlight=False)


def _mean(rows: list[dict[str, Any]], column: str) -> float | None:
    """The mean over matrices; None where no one has a figure."""
    known = [row[column] for row in rows if row[column] is not None]
    return sum(known) / len(known) if known else None


def _groups(rows: list[dict[str, Any]]) -> dict[tuple[str, Any], list[dict[str, Any]]]:
    found: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["allocator"], row["budget"]), []).append(row)
    return found


def _table(rows: list[dict[str, Any]], matrices: int) -> Table:
    from rich.table import Table

    title = f"Means over {matrices} score table{'s' * (matrices != 1)}"
    table = Table(box=None, header_style="bold", title=title, title_justify="left", title_style="bold", pad_edge=False)
    names = ("allocator", "calls per variant", "used", "regret", "share of spread", "within 1 pt", "claimed", "kept")
    for name in names:
        table.add_column(name, justify="left" if name == "allocator" else "right", no_wrap=True)
    for (allocator, budget), group in _groups(rows).items():
        figures = [
            (_mean(group, "calls_used"), "{:.1f}"), (_mean(group, "regret_points"), "{:.2f}"),
            (_mean(group, "regret_share"), "{:.3f}"), (_mean(group, "within_1pt"), "{:.0%}"),
            (_mean(group, "claimed"), "{:.0%}"), (_mean(group, "kept"), "{:.1%}"),
        ]  # fmt: skip
        cells = ["" if value is None else form.format(value) for value, form in figures]
        table.add_row(allocator, budget if isinstance(budget, str) else f"{budget:g}", *cells)
    return table


def _bars(rows: list[dict[str, Any]]) -> list[str]:
    """Regret as bars, budget by budget."""
    groups = {key: _mean(group, "regret_points") or 0.0 for key, group in _groups(rows).items()}
    most = max(groups.values(), default=0.0)
    if most == 0:
        return []
    wide = max(len(allocator) for allocator, _ in groups)
    lines = ["", "points below the best, by calls per variant"]
    for each in dict.fromkeys(budget for _, budget in groups):
        lines.append(f"{each if isinstance(each, str) else f'{each:g}'}")
        for (allocator, budget), value in groups.items():
            if budget == each:
                lines.append(f"  {allocator:<{wide}} {'█' * round(BAR * value / most)} {value:.2f}")
    return [*lines, ""]
