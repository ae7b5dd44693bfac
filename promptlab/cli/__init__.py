"""The command line: one file per command, thin. `promptlab --help` imports none of the heavy parts."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import typer

from promptlab.cli import compare, init, mine, plan, render, score, serve
from promptlab.errors import PromptlabError

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
            sys.stderr.write(f"{error}\n")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            sys.stderr.write("stopped\n")
            raise typer.Exit(130) from None

    return guard


for each in (init.init, render.render, plan.plan, mine.mine, score.score, compare.compare, serve.serve):
    app.command()(guarded(each))


def _version(show: bool) -> None:
    if show:
        from promptlab import __version__

        typer.echo(f"promptlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Prompts as programs with choices: author templates, mine the choices, compare what was measured."""


def main() -> None:
    """The command ``promptlab``."""
    app(prog_name="promptlab")
