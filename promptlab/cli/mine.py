"""promptlab mine: run or resume an experiment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli.arguments import AsJson, ExperimentPath, Limit, Overrides

if TYPE_CHECKING:
    from promptlab.finished import Run


def mine(
    experiment: ExperimentPath,
    overrides: Overrides = None,
    limit: Limit = None,
    no_test: Annotated[
        bool, typer.Option("--no-test", help="Leave test unread: dev only, no winner is named.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask everything anew: no cache, a new run.")] = False,
    headroom: Annotated[
        bool, typer.Option("--headroom", help="Only a few dozen calls, which tell whether mining can pay here.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on the terminal before spending.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run an experiment, or go on with it: the same command resumes and pays for nothing twice.

    Example: promptlab mine experiments/support_intent/experiment.yaml
    """
    from promptlab.capabilities import notes
    from promptlab.changed import changed
    from promptlab.cli.progress import progress
    from promptlab.cli.show import console, plan_lines
    from promptlab.folder import project_of
    from promptlab.forecast import forecast
    from promptlab.prepare import opened
    from promptlab.run import mine as run_mine
    from promptlab.run import runs_of

    out = console(error=as_json)
    prepared = opened(experiment, overrides or (), limit, test=not no_test, keys=True)
    loaded = prepared.experiment
    expected = forecast(prepared)
    told = notes(loaded, project_of(loaded.path))
    for line in (*prepared.rows.notes, *told, *plan_lines(prepared, expected, fresh=fresh)):
        out.print(line, highlight=False, markup=False)
    if different := changed(prepared):
        out.print(different, highlight=False, markup=False)
    paid = any(not model.endpoint.embedded for model in loaded.models)
    asking = paid and not yes and out.is_terminal and sys.stdin.isatty()
    if asking and not typer.confirm("Go on?", default=True, err=as_json):
        out.print("Nothing was spent.")
        raise typer.Exit(0)
    if headroom:
        from promptlab.headroom import words
        from promptlab.probe import probe

        for line in words(probe(prepared)):
            out.print(line, highlight=False, markup=False)
        return
    known = runs_of(loaded) / prepared.identity
    if not fresh and (known / "run.sqlite").exists():
        state = "is complete, its answers are known" if (known / "results.csv").exists() else "goes on"
        out.print(f"run {prepared.identity} {state}", highlight=False, markup=False)
    with progress(out, loaded.search.budget) as watch:
        run = run_mine(prepared, watch, fresh=fresh)
    _tell(run, as_json=as_json)


def _tell(run: Run, *, as_json: bool) -> None:
    """Write the page and print what the run ended with."""
    from promptlab.cli.board import printable
    from promptlab.cli.show import console, leaderboard, print_json, verdict_lines
    from promptlab.refusals import refusals
    from promptlab.report import write

    page = write(run.folder, run)
    if as_json:
        print_json({"run": run.id, "folder": str(run.folder), "page": str(page), "results": run.rows})
        return
    out = console()
    out.print(leaderboard(run.rows))
    for line in (*map(printable, refusals(run.findings.search.refused)), *verdict_lines(run)):
        out.print(line, highlight=False, markup=False)
