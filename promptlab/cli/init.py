"""promptlab init: a working project of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_UNLABELLED = 'If none does, let a judge score: --rubric "what makes an answer good".'


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder; it is made if need be.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="Your labelled rows: csv, tsv, jsonl, json, parquet.")
    ] = None,
    label: Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="Its column of right answers.")] = None,
    rubric: Annotated[
        str | None,
        typer.Option(
            "--rubric", metavar="TEXT", help="Instead of --label: a judge scores by this text, or .md or .txt file."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A promptfooconfig.yaml: its prompts, models and tests."),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The experiment's name (default: that of the data).")
    ] = "",
) -> None:
    """Make a project that mines at once: a template, labelled rows and an experiment, around your data or ours.

    Nothing that is there is overwritten. Without --data it holds 75 messages to a bike shop, to try things on.
    --from takes a promptfoo configuration over; what has no counterpart is listed, here and in IMPORTED.md.

    Example: promptlab init shop --data tickets.csv --label team
    """
    import shlex

    from promptlab.starter import bike_shop, lay

    if rubric is not None:
        rubric = _rubric(data, label, rubric)
    _check(data, label if rubric is None else rubric, name, config)
    if config is not None:
        from promptlab.starter.promptfoo import imported

        project = lay(folder, imported(config, name), config)
    elif data is None:
        project = lay(folder, [bike_shop(name)])
    else:
        from promptlab.starter import own

        project = lay(folder, own(data, label or "", name, rubric or ""), data)
    experiment = shlex.quote(str(folder / project.experiment))
    for line in (
        *project.notes,
        f"Edit:  {folder / project.template} and {folder / project.experiment}",
        f"Check: promptlab plan {experiment}",
        f"Run:   promptlab mine {experiment}",
    ):
        typer.echo(line)


def _rubric(data: Path | None, label: str | None, rubric: str) -> str:
    """The rubric: the text itself, or that of a file. Raises BadInput: it is none, or stands beside right answers."""
    from promptlab.errors import BadInput, Problem
    from promptlab.yaml_file import read_text

    if data is None:
        raise BadInput(Problem("--rubric needs --data", remedy="Name the file of your rows."))
    if label is not None:
        remedy = "With right answers, metrics compare; a judge can be added under `metrics` later."
        raise BadInput(Problem("--label and --rubric do not go together", remedy=remedy))
    if Path(rubric).suffix in (".md", ".txt") and len(rubric.split()) == 1:
        rubric = read_text(Path(rubric))
    if not rubric.strip():
        raise BadInput(Problem("--rubric is empty", remedy="Say what makes an answer good."))
    return rubric.strip()


def _check(data: Path | None, label: str | None, name: str, config: Path | None) -> None:
    """Raise BadInput with what is wrong with the options."""
    import re

    from promptlab.cli.label import which_label
    from promptlab.errors import BadInput, Problem

    problems = []
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}", name):
        remedy = "Letters, digits, - and _, like my-triage: folders are called so."
        problems.append(Problem(f"--name {name!r} cannot be a name", remedy=remedy))
    if config is not None and (data is not None or label is not None):
        problems.append(Problem("--from and --data do not go together", remedy="A configuration brings its own tests."))
    elif data is None and label is not None:
        problems.append(Problem("--label needs --data", remedy="Name the file that has this column."))
    elif data is not None and label is None:
        problem = which_label(data)
        remedy = f"{problem.remedy} {_UNLABELLED}".strip()
        problems.append(Problem(problem.message, problem.path, problem.line, remedy))
    if problems:
        raise BadInput(problems)
