"""What a command says when it is not told which column holds the answers."""

from __future__ import annotations

from pathlib import Path

from promptlab.errors import Problem


def which_label(data: Path) -> Problem:
    """The problem, with the columns there are. Raises BadInput if the file cannot be read."""
    from promptlab.dataset.file import read_table

    columns = [column for column in read_table(data).columns if column]
    remedy = f"Columns: {', '.join(columns)}." if columns else ""
    return Problem("--label is missing: which column holds the right answers?", str(data), remedy=remedy)
