"""Which run a path means: a run's folder, an experiment with runs, or the latest one below here."""

from __future__ import annotations

from pathlib import Path

from promptlab.complete import lost
from promptlab.errors import BadInput, Problem
from promptlab.folder import ARM, LOG


def find_run(path: Path | None) -> Path:
    """The folder of a run; of several the one that was written last. Raises BadInput where there is none."""
    if path is not None and not path.exists():
        raise BadInput(Problem("there is no such file or folder", str(path), remedy="Name a run or an experiment."))
    start = Path() if path is None else path
    start = start.parent if start.is_file() else start
    if lost(start):
        raise BadInput(Problem("the run's log is gone: its tables are all that is left", str(start / LOG)))
    if (start / LOG).is_file():
        return start
    patterns = (f"runs/*/{LOG}", f"*/runs/*/{LOG}", f"experiments/*/runs/*/{LOG}")
    logs = [log for pattern in patterns for log in start.glob(pattern)]
    logs = [log for log in logs if not (log.parent / ARM).exists()] or logs  # an arm of a choice is no run by itself
    if not logs:
        raise BadInput(
            Problem("there is no run here", str(path or start), remedy="Run `promptlab mine EXPERIMENT` first.")
        )
    return max(logs, key=_written).parent


def _written(log: Path) -> float:
    """When the log or its journal was last written: while a run goes on, the journal is."""
    return max(each.stat().st_mtime for each in (log, log.with_name(f"{log.name}-wal")) if each.exists())
