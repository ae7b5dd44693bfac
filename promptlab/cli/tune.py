"""promptlab tune: training files, jobs, the tuned model as one more variant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli.arguments import AsJson, ExperimentPath, Overrides

if TYPE_CHECKING:
    from rich.console import Console

    from promptlab.tune.plan import TunePlan


def tune(
    experiment: ExperimentPath,
    overrides: Overrides = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train anew what was trained before.")] = False,
    stop: Annotated[bool, typer.Option("--cancel", help="Cancel the jobs that were started; train nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a job is started.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the training files of an experiment, check and price them, and train; the same command goes on.

    Example: promptlab tune experiments/support_intent/experiment.yaml --set tune.trainer=openai
    """
    from promptlab.cli.show import console, print_json
    from promptlab.cli.training import training
    from promptlab.cli.tuned import about, lines, told, use
    from promptlab.prepare import opened
    from promptlab.tune.plan import plan
    from promptlab.tune.settings import TuneSettings
    from promptlab.tune.trainer import outside
    from promptlab.tune.tune import cancel
    from promptlab.tune.tune import tune as train

    out, sets = console(error=as_json), overrides or ()
    prepared = opened(experiment, sets, keys=True, training=True)
    settings = prepared.experiment.tune or TuneSettings()
    if stop:
        say(out, *cancel(prepared, settings))
        return
    laid = plan(prepared, settings)
    say(out, *lines(laid))
    external = outside(settings.trainer, laid.base)
    if not yes and external:
        if not (out.is_terminal and sys.stdin.isatty()):
            say(out, *_written(laid))
        elif not typer.confirm("Start?", default=True, err=as_json):
            out.print("Nothing was started.")
            raise typer.Exit(0)
        else:
            yes = True
    with training(out, about(laid), quick=not external) as tell:
        models = train(prepared, settings, yes=yes, fresh=fresh, planned=laid, tell=tell)
    if as_json:
        print_json([each.row | {"folder": str(each.folder)} for each in models])
        return
    if settings.trainer == "none":
        say(out, *_written(laid))
    say(out, *(told(each, known=tell.knew(each.model.name)) for each in models), *use(experiment, sets, models))


def _written(laid: TunePlan) -> list[str]:
    """Where the files are, once they are."""
    return [f"{job.name}: files written to {job.write().folder}" for job in laid.jobs]


def say(out: Console, *said: str) -> None:
    """Print sentences, and commands to be pasted: no line may break in those."""
    from promptlab.cli.board import printable

    for line in said:
        command = line.startswith("  promptlab ")
        out.print(printable(line), highlight=False, markup=False, soft_wrap=command or None)
