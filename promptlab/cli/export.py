"""promptlab export: the winner as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run's folder, or an experiment: its last complete run.")
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="KIND", help="jinja, messages, python, openai, promptfoo, dspy or prompty.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where to write (default: export/KIND in the run's folder)."),
    ] = None,
    variant: Annotated[
        str, typer.Option("--variant", metavar="ID", help="Another variant than the winner: an id of results.csv.")
    ] = "",
) -> None:
    """Write the winner as files: for promptlab, for Python, for the openai SDK, or for another tool.

    Where no variant beats the baseline, dev's pick is written and not called a winner. Scores with their intervals, the
    run and the hashes of data and templates go along. Nothing is asked of anybody.

    Example: promptlab export experiments/support_intent --to python --out prompts/intent
    """
    from promptlab.complete import complete_run
    from promptlab.errors import BadInput, Problem, nearest
    from promptlab.export import KINDS, chosen
    from promptlab.export import export as write
    from promptlab.export.provenance import told
    from promptlab.run import load_run
    from promptlab.write import write_text
    from promptlab.yaml_file import printable

    if to not in KINDS:
        raise BadInput(Problem(f"--to {to!r} is no kind of export", remedy=nearest(to, KINDS)))
    finished = load_run(complete_run(run))
    files = write(finished, to, variant)
    folder = out or finished.folder / "export" / to
    _refuse(folder, files, own=out is None)
    for name, text in files.items():
        write_text(folder / name, text)
    for line in told(chosen(finished, variant)):
        typer.echo(printable(line))
    shown = [name for name in files if not name.startswith("prompt_engine/")]
    engine = " and prompt_engine/" if len(shown) < len(files) else ""
    typer.echo(f"Wrote {', '.join(shown)}{engine} to {folder}")


def _refuse(folder: Path, files: object, *, own: bool) -> None:
    """Nothing of the user's is overwritten: files that are there must be the same."""
    from collections.abc import Mapping

    from promptlab.errors import BadInput, Problem

    assert isinstance(files, Mapping)
    if folder.exists() and not folder.is_dir():
        raise BadInput(Problem("this is a file, not a folder", str(folder), remedy="Name another --out."))
    if own:
        return
    there = [name for name, text in files.items() if (folder / name).exists() and not _same(folder / name, text)]
    if there:
        what = f"already there, and different: {', '.join(there)}"
        raise BadInput(Problem(what, str(folder), remedy="Nothing was written. Name another --out, or move these."))


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode("utf-8", "replace")
