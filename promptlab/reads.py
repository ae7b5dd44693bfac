"""Which runs have read which test rows: a test set that is read again and again stops being one."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from filelock import FileLock

from promptlab.records import Example, Model
from promptlab.write import write_text

LEDGER = "test_reads.json"
ARMS = "choices.json"
MOST_READS = 5  # of the same test rows, after which new ones are asked for


def rows_hash(test: Sequence[Example]) -> str:
    """The identity of a test set: its ids and labels, in no order."""
    text = json.dumps(sorted([example.id, str(example.label)] for example in test))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def note_read(project: Path, test: Sequence[Example], run: str) -> int:
    """Note that ``run`` reads these test rows; which reading it is, from 1. A run that goes on stays what it was.

    The arms of one choice read together, once that is made.
    """
    path = project / LEDGER
    project.mkdir(parents=True, exist_ok=True)
    with FileLock(project / "test_reads.lock"):
        known = _known(path)
        runs = known.setdefault(rows_hash(test), [])
        if run not in runs:
            runs.append(run)
            write_text(path, json.dumps(known, indent=1) + "\n")
        return _readings(project, runs[: runs.index(run) + 1])


def note_choice(project: Path, runs: Iterable[str], choice: str) -> None:
    """Note that these runs are arms of one choice."""
    project.mkdir(parents=True, exist_ok=True)
    with FileLock(project / "test_reads.lock"):
        write_text(project / ARMS, json.dumps(_arms(project) | dict.fromkeys(runs, choice), indent=1) + "\n")


def _readings(project: Path, runs: Sequence[str]) -> int:
    """How often test was read by these runs: those of one choice count once."""
    arms = _arms(project)
    return len({arms.get(run, run) for run in runs})


def _arms(project: Path) -> dict[str, str]:
    try:
        return dict(json.loads((project / ARMS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def counts(models: Iterable[Model]) -> bool:
    """Whether a run of these models reads test at all: answers of the offline engine alone are about no model."""
    return not all(model.endpoint.embedded for model in models)


def penalty(reads: int) -> float:
    """What p is multiplied by at the r-th reading of the same test rows: from the second, pi²r²/6.

    1/r² sums to pi²/6: however many prompts are tried on the same rows, an equal one is called better in at most 3.5 %
    (one-sided: 2.5 % at the first reading and 1 % at all that follow).
    """
    return 1.0 if reads < 2 else math.pi**2 * reads**2 / 6


def reread(p: float, reads: int) -> float:
    """What p is after the test rows were read ``reads`` times; NaN stays NaN."""
    return p if reads < 2 or math.isnan(p) else min(1.0, p * penalty(reads))


def ahead(project: Path, test: Sequence[Example], run: str) -> list[str]:
    """What to say before ``run`` reads test rows that others have read; nothing if it was one of them."""
    try:
        runs = json.loads((project / LEDGER).read_text(encoding="utf-8")).get(rows_hash(test), [])
    except (OSError, ValueError, AttributeError):
        return []
    if not runs or run in runs:
        return []
    others = _readings(project, runs)
    cost = penalty(others + 1)
    who = f"{others} run{'s' * (others > 1)}" if others == len(runs) else f"{others} runs and choices"
    return [f"these test rows were read by {who}; p will be multiplied by {cost:.3g}: --no-test leaves them unread"]


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
