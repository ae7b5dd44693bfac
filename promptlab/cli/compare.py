"""promptlab compare: runs and CSVs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli.arguments import AsJson

if TYPE_CHECKING:
    from promptlab.comparison.compare import Comparison
    from promptlab.comparison.gating import Gated

FLIPS, MARGIN = 6, 0.02


def compare(  # noqa: PLR0913, PLR0917 - one argument per option
    paths: Annotated[list[Path], typer.Argument(metavar="RUN|CSV…", help="Run folders, experiments, or CSV files.")],
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="VARIANT", help="Compare with this one.")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option("--variant", metavar="VARIANT", help="Whose flips and labels to show, or to gate (or: baseline)."),
    ] = None,
    flips: Annotated[int, typer.Option("--flips", min=0, metavar="N", help="How many flipped rows to print.")] = FLIPS,
    flips_csv: Annotated[
        Path | None, typer.Option("--flips-csv", metavar="FILE", help="Write every flipped row and its texts here.")
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit 1 if the pick (of the last run) is worse than the first run's.")
    ] = False,
    margin: Annotated[
        float | None,
        typer.Option("--margin", min=0, help="How much worse may pass, in scores (default .02; .05 = 5 points)."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="With --gate: exit 1 where it is undecided, too.")] = False,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="With --gate: also write JUnit XML here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who is best and how sure, what each choice is worth, which rows flip, what is stable, what is confused.

    With --gate, one run's pick is judged against its baseline, or the last run's pick against the first run's.

    Example: promptlab compare experiments/support_intent
    """
    from promptlab.cli.compared import json_of, show
    from promptlab.cli.show import console, print_json
    from promptlab.comparison.compare import compare as side_by_side
    from promptlab.errors import BadInput, Problem

    if not gate and (strict or junit is not None or margin is not None):
        raise BadInput(Problem("--margin, --strict and --junit belong to --gate", remedy="Add --gate."))
    shown = None if gate and variant == "baseline" else variant
    found = side_by_side(paths, baseline, shown)
    if gate:
        _check_two(paths, found)
    judged = _judge(found, variant, baseline, MARGIN if margin is None else margin) if gate else None
    if flips_csv is not None:
        _write_flips(found, flips_csv)
    if judged is not None and junit is not None:
        _write_junit(judged, junit, strict=strict)
    if as_json:
        print_json(json_of(found, judged))
    else:
        show(console(), found, flips, judged)
    if judged is not None and (judged.gate.verdict == "regressed" or (strict and judged.gate.verdict == "undecided")):
        raise typer.Exit(1)


def _judge(found: Comparison, variant: str | None, baseline: str | None, margin: float) -> Gated:
    from promptlab.comparison.gating import gated

    return gated(found.results, found.grids, variant=variant, baseline=baseline, margin=margin, seed=found.seed)


def _check_two(paths: list[Path], found: Comparison) -> None:
    """Two paths of one run would be judged as that run alone: its pick against its own baseline."""
    from promptlab.errors import BadInput, Problem

    runs = {run for grid in found.grids.values() for run, _ in grid.keys}
    if len(paths) > 1 and len(runs) == 1:
        what = f"{' and '.join(map(str, paths))} hold one and the same run: {min(runs)}"
        lost = [note for note in found.notes if " is left out: " in note]
        what = f"of {len(paths)} runs only {min(runs)} can be read: {lost[0]}" if lost else what
        remedy = "Name the main branch's run first, then the changed one; or one alone, for its pick and its baseline."
        raise BadInput(Problem(what, remedy=remedy))


def _write_junit(judged: Gated, path: Path, *, strict: bool) -> None:
    from promptlab.comparison.junit import junit
    from promptlab.write import write_text

    name = f"{'/'.join(judged.new)} against {'/'.join(judged.old)} on {judged.split}"
    write_text(path, junit("promptlab compare", [(name, judged.gate)], strict=strict))


def _write_flips(found: Comparison, path: Path) -> None:
    from promptlab.comparison.flips import table
    from promptlab.write import write_csv

    write_csv(path, *table(found.changes.flips if found.changes else ()))
