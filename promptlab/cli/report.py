"""promptlab report: a run as one self-contained page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or an experiment (its latest run).")],
) -> None:
    """Write a run's page: report.html in its folder, one file that needs no network.

    Leaderboard, score against cost, the race, confusion, and every prediction with its exact messages. Zero calls:
    everything is read from the run's log, also of a run that is not finished.

    Example: promptlab report experiments/support_intent
    """
    from promptlab.report import write
    from promptlab.report.find import find_run

    typer.echo(str(write(find_run(run))))
