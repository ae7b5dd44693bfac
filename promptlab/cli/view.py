"""promptlab view: the page of a run in a browser, live while the run goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A run's folder or an experiment; else the latest run here.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 takes a free one.")] = 8766,
) -> None:
    """Serve a run's page to this machine's browsers, until Ctrl-C. It follows a run that goes on.

    The run is only read: start and stop this as you like.

    Example: promptlab view experiments/support_intent
    """
    from promptlab.errors import BadInput, Problem
    from promptlab.report.find import find_run
    from promptlab.report.server import serve

    folder = find_run(run)

    def announce(url: str) -> None:
        typer.echo(url)
        typer.echo(f"{folder}: Ctrl-C stops it.", err=True)

    try:
        serve(folder, port, announce)
    except OSError as error:
        raise BadInput(Problem(f"port {port}: {error.strerror}", remedy="Take another: --port 0.")) from error
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
