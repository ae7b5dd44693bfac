"""A program at work beside promptlab: started without a shell, in a session of its own, and known again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem


def begun(argv: Sequence[str], log: Path, folder: Path) -> subprocess.Popen[bytes]:
    """The program at work, what it says in ``log``. Raises BadInput if there is no such program."""
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("wb") as file:
            return subprocess.Popen(  # noqa: S603 - the user's own command, no shell
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        what = f"`tune.command`: cannot start {argv[0]!r}: {error.strerror}"
        raise BadInput(Problem(what, remedy=f"It is started in {folder}, without a shell.")) from None


def mark(process: int) -> list[Any]:
    """A process and when it began, so that another one of its number is not taken for it."""
    return [process, _stat(process)[1]]


def alive(noted: Any) -> bool:
    """Whether the noted process is still at work."""
    process, began = int(noted[0]), str(noted[1])
    try:
        os.kill(process, 0)
    except OSError:
        return False
    state, now = _stat(process)
    return state != "Z" and now == began


def _stat(process: int) -> tuple[str, str]:
    """State and start time of a process, where the system tells."""
    try:
        rest = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "", ""
    return rest[0], rest[19]
