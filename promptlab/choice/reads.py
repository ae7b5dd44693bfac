"""How often test rows were read before a choice: its arms read them together, and so did those of an earlier one."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from promptlab.folder import ARM
from promptlab.reads import rows_hash
from promptlab.records import Example
from promptlab.write import write_text


def mark(folder: Path, choice: str, arm: str) -> None:
    """Say in a run's folder which choice it is an arm of; empty: of one that is not made yet."""
    write_text(folder / ARM, json.dumps({"choice": choice, "arm": arm}) + "\n")


def readings(project: Path, test: Sequence[Example], ours: Collection[str], runs: Path) -> int:
    """Which reading of these rows the choice is, from 1; ``ours`` are the runs of its arms, under ``runs``."""
    try:
        listed = json.loads((project / "test_reads.json").read_text(encoding="utf-8")).get(rows_hash(test), [])
    except (OSError, ValueError, AttributeError):
        return 1
    last = max((place for place, run in enumerate(listed) if run in ours), default=-1)
    return 1 + len({_choice(runs / str(run), str(run)) for run in listed[: last + 1] if run not in ours})


def _choice(folder: Path, run: str) -> str:
    """The choice that a run was an arm of; else the run itself."""
    try:
        return str(json.loads((folder / ARM).read_text(encoding="utf-8"))["choice"])
    except (OSError, ValueError, KeyError, TypeError):
        return run
