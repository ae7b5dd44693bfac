"""Which complete run a path means: a run's folder, or the last one of an experiment."""

from __future__ import annotations

from pathlib import Path

from promptlab.errors import BadInput, Problem
from promptlab.folder import LOG

TABLE = "results.csv"


def complete_run(path: Path) -> Path:
    """The folder of the run: itself, or of an experiment (its folder or file) the complete run written last.

    Raises BadInput where there is none.
    """
    home = path.parent if path.suffix in (".yaml", ".yml") else path
    if (home / LOG).is_file() or lost(home):
        return home
    done = [each.parent for each in (home / "runs").glob(f"*/{TABLE}")]
    if not done:
        what = "there is no complete run here" if home.exists() else "there is no such folder"
        raise BadInput(Problem(what, str(path), remedy="`promptlab mine EXPERIMENT` makes one."))
    return max(done, key=lambda each: ((each / TABLE).stat().st_mtime_ns, each.name))


def lost(folder: Path) -> bool:
    """Whether it is the folder of a run whose log was deleted: its tables are there."""
    beside = (folder / "manifest.json").is_file() or folder.resolve().parent.name == "runs"
    return (folder / TABLE).is_file() and beside and not (folder / LOG).is_file()
