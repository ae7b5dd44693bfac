"""Which runs have read which test rows: a test set that is read again and again stops being one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from promptlab.records import Example
from promptlab.write import write_text


def rows_hash(test: Sequence[Example]) -> str:
    """The identity of a test set: its ids and labels, in no order."""
    text = json.dumps(sorted([example.id, str(example.label)] for example in test))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def note_read(project: Path, test: Sequence[Example], run: str) -> int:
    """Note that ``run`` reads these test rows; which reading it is, from 1. A run that goes on stays what it was."""
    path = project / "test_reads.json"
    project.mkdir(parents=True, exist_ok=True)
    with FileLock(project / "test_reads.lock"):
        known = _known(path)
        runs = known.setdefault(rows_hash(test), [])
        if run not in runs:
            runs.append(run)
            write_text(path, json.dumps(known, indent=1) + "\n")
        return runs.index(run) + 1


def _known(path: Path) -> dict[str, list[str]]:
    """What was noted so far. A file that cannot be read is moved aside: its counts are not forgotten in silence."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(test): [str(run) for run in runs] for test, runs in found.items()}
    except (ValueError, AttributeError, TypeError):
        path.replace(path.with_suffix(".damaged.json"))
        return {}
