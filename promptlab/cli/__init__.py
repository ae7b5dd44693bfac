"""The command line: one file per command, thin. `promptlab --help` imports none of the heavy parts."""

from __future__ import annotations

import functools
import gc
import inspect
import io
import sys
from collections.abc import Callable
from typing import Any

import typer

from promptlab.cli import (
    choose,
    compare,
    doctor,
    export,
    init,
    mine,
    plan,
    render,
    replay,
    report,
    score,
    serve,
    tune,
    view,
)
from promptlab.errors import BadInput, Interrupted, PromptlabError

app = typer.Typer(
    name="promptlab",
    help="Prompts as programs with choices: author templates, mine the choices, compare what was measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with errors that a user can cause as sentences and exit codes, never a traceback."""

    @functools.wraps(command)
    def guard(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except PromptlabError as error:
            sys.stderr.write(said(error))
            raise typer.Exit(error.exit_code) from None
        except (KeyboardInterrupt, typer.Abort):  # Abort: Ctrl-C or Ctrl-D at a question
            sys.stderr.write("stopped\n")
            raise typer.Exit(130) from None

    return guard


def said(error: PromptlabError) -> str:
    """An error as people read it: one line per problem, counted where there are several."""
    problems = [_line(str(each)) for each in error.problems] if isinstance(error, BadInput) else [_line(str(error))]
    if len(problems) == 1:
        return f"{problems[0]}\n" if isinstance(error, Interrupted) else f"error: {problems[0]}\n"
    return "".join([f"{len(problems)} problems:\n", *(f"  {each}\n" for each in problems)])


def _line(text: str) -> str:
    """One printable line: text out of files may hold line ends and terminal codes."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in " ".join(text.split()))


def explained(command: Callable[..., None]) -> str:
    """A command's help: its docstring, with the example on lines of its own that are never folded."""
    return (inspect.getdoc(command) or "").replace("Example: ", "\b\nExample:\n  ")


COMMANDS: dict[Callable[..., None], str] = {
    init.init: "Make a project of your own that runs at once.",
    doctor.doctor: "Find out what an endpoint honours, ignores and rejects.",
    plan.plan: "Show what a run would try, take and be able to tell.",
    render.render: "Show the exact messages of a variant on a row.",
    mine.mine: "Run an experiment, or go on with it.",
    compare.compare: "Compare runs or CSVs, row by row.",
    choose.choose: "Choose: prompting, retrieval or fine-tuning.",
    report.report: "Write a run's page: one self-contained file.",
    view.view: "Look at a run in the browser, live.",
    score.score: "Score one template on one file.",
    export.export: "Write the winner as files: Jinja, Python, other tools.",
    tune.tune: "Write training files, and train a model on them.",
    replay.replay: "Compare allocators on recorded scores.",
    serve.serve: "Serve the embedded engine over HTTP.",
}
"""Every command with its line in `promptlab --help`."""

for each, line in COMMANDS.items():
    app.command(help=explained(each), short_help=line)(guarded(each))


def _version(show: bool) -> None:
    if show:
        from promptlab.version import __version__

        typer.echo(f"promptlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Prompts as programs with choices: author templates, mine the choices, compare what was measured."""


def main() -> None:
    """The command ``promptlab``."""
    gc.set_threshold(100_000, 20, 20)  # imports and records are no garbage: looking for some among them took a tenth
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character is no reason to fail
    app(prog_name="promptlab")
