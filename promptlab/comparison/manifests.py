"""What a compared run's manifest says that its tables do not: how often its test rows were read, and who judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.errors import PromptlabError


@dataclass(frozen=True, slots=True)
class Noted:
    """Of one run. ``reads``: how many runs had read its test rows, this one included; ``judges``: who scored it."""

    folder: Path
    reads: int = 1
    judges: Mapping[str, Any] = field(default_factory=dict)


def manifests(paths: Sequence[Path], runs: Iterable[str]) -> dict[str, Noted]:
    """What is noted of each run, where a manifest is beside its tables; one that cannot be read says nothing."""
    bases = [path if path.is_dir() else path.parent for path in paths]
    found = {}
    for run in runs:
        for folder in (each for base in bases for each in (base, base / "runs" / run)):
            noted = _noted(folder, run)
            if noted is not None:
                found[run] = noted
                break
    return found


def opinions(noted: Mapping[str, Noted]) -> tuple[str, ...]:
    """What must be said of judges before any of their scores: how far people agree with them."""
    return tuple(
        f"{run}: {line}" if len(noted) > 1 else line
        for run, each in noted.items()
        if each.judges
        for line in _told(each)
    )


def _noted(folder: Path, run: str) -> Noted | None:
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if found["run"] != run:
            return None
        return Noted(folder, int(found.get("test_reads") or 1), dict(found["settings"].get("jury") or {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _told(noted: Noted) -> list[str]:
    """The run's own sentences, from its log; without one, that scores are opinions."""
    from promptlab.jury import judged
    from promptlab.run import load_run

    try:
        found = load_run(noted.folder).findings
    except PromptlabError:
        return [f"Judge of `{name}`: what it says is one model's opinion." for name in noted.judges]
    return judged.lines(judged.court_of(found), found.seed)
