"""promptlab doctor: what an endpoint really does with a request."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli.arguments import AsJson, Overrides

if TYPE_CHECKING:
    from rich.console import RenderableType

    from promptlab.doctor.examine import Report
    from promptlab.experiment import Experiment

COLORS = {"honoured": "green", "ignored": "bold yellow", "rejected": "red", "measured": "cyan"}
WIDEST = 130  # columns; wider lines are hard to follow


def doctor(
    experiment: Annotated[
        Path | None, typer.Argument(metavar="[EXPERIMENT]", help="Examine the models of an experiment.")
    ] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", metavar="URL", help="Examine this endpoint.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="ID", help="Only this model.")] = None,
    api_key_env: Annotated[
        str, typer.Option("--api-key-env", metavar="NAME", help="The environment variable that holds the key.")
    ] = "",
    context: Annotated[
        int,
        typer.Option(
            "--context", min=0, max=10_000_000, metavar="N", help="Send a prompt of N tokens, beside the 2,000."
        ),
    ] = 0,
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Ask an endpoint about fifteen small things (under 2,000 tokens) and say what it honours, ignores and rejects.

    Without an experiment or an address: the embedded engine. What is found is kept: a run that needs a parameter that
    is ignored or rejected does not start.

    Example: promptlab doctor --base-url http://localhost:11434/v1 --model llama3.2
    """
    from promptlab.cli.show import console, print_json
    from promptlab.doctor import visit

    loaded = None
    if experiment is not None:
        _exclusive(base_url, api_key_env)
        loaded, visits = visit.of_experiment(experiment, overrides or (), model)
    elif base_url is not None:
        visits = [visit.of_address(base_url, model, api_key_env)]
    else:
        visits = [visit.of_engine(model)]
    project, out, reports = _project(loaded), console(error=as_json), []
    for report in visit.examined(visits, context, project and project / "tuned"):
        reports.append(report)
        kept = _keep(project, report)
        if not as_json:
            for line in (*_table(report, out.width if out.is_terminal else 0), "", _summary(report, context), kept, ""):
                out.print(line, highlight=False, markup=False)
    told = _consequences(loaded, project)
    if as_json:
        print_json({"models": [_as_json(each) for each in reports], "experiment": told})
        return
    for line in told:
        out.print(line, highlight=False, markup=False)


def _exclusive(base_url: str | None, api_key_env: str) -> None:
    from promptlab.errors import BadInput, Problem

    if base_url is not None or api_key_env:
        remedy = "Leave out one of them; --set endpoint.base_url=URL changes the experiment's."
        raise BadInput(Problem("an experiment says its endpoint and key itself", remedy=remedy))


def _project(experiment: Experiment | None) -> Path | None:
    """The folder in which findings are kept; None where there is no project: to look at an endpoint begins none."""
    from promptlab.folder import begun, project_of

    return begun() if experiment is None else project_of(experiment.path)


def _keep(project: Path | None, report: Report) -> str:
    from datetime import datetime

    from promptlab import capabilities

    if project is None:
        return "Not kept: there is no project here."
    known = capabilities.Known(
        endpoint=capabilities.address(report.model.endpoint),
        model=report.model.id,
        day=datetime.now().astimezone().date().isoformat(),
        findings={each.name: each for each in report.findings},
    )
    return f"Kept for runs: {capabilities.keep(project, [known])}"


def _consequences(experiment: Experiment | None, project: Path | None) -> list[str]:
    """What the findings mean for the experiment."""
    from promptlab import capabilities

    if experiment is None or project is None:
        return []
    stops = [f"would not start: {each}" for each in capabilities.problems(experiment, project)]
    return [*stops, *capabilities.notes(experiment, project)]


def _summary(report: Report, context: int) -> str:
    long = f" (a prompt of {context:,} among them)" if context else ""
    return f"{report.calls} calls, {report.tokens:,} tokens{long}, {report.looks} free look-ups, {report.seconds:.1f} s"


def _table(report: Report, width: int) -> Iterable[RenderableType]:
    """A table as wide as the terminal; with no ``width``, as on a pipe, one line for each finding."""
    from rich.table import Table
    from rich.text import Text

    from promptlab.cli.board import printable

    yield Text(f"{report.model.id} at {_where(report)}", style="bold")
    if not width:
        wide = max(len(each.name) for each in report.findings)
        for each in report.findings:
            means = f" -> {printable(each.means)}" if each.means else ""
            yield Text(f"{each.name.ljust(wide)}  {each.verdict.ljust(9)}  {printable(each.seen)}{means}")
        return
    table = Table(box=None, header_style="bold", pad_edge=False, width=min(width, WIDEST))
    table.add_column("parameter", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("seen", ratio=3, overflow="fold")
    table.add_column("what it means", ratio=2, overflow="fold", style="dim")
    for each in report.findings:
        verdict = Text(each.verdict, style=COLORS.get(each.verdict, "dim"))
        table.add_row(Text(each.name), verdict, Text(printable(each.seen)), Text(printable(each.means)))
    yield table


def _where(report: Report) -> str:
    from promptlab.capabilities import address

    return address(report.model.endpoint)


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "endpoint": _where(report),
        "model": report.model.id,
        "calls": report.calls,
        "tokens": report.tokens,
        "look_ups": report.looks,
        "seconds": round(report.seconds, 3),
        "findings": [each.as_json() for each in report.findings],
    }
