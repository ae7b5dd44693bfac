"""A program at work beside promptlab: started once, without a shell, in a session of its own, and known again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.tune.launch import take

LAUNCH = Path(__file__).with_name("launch.py")


def begun(argv: Sequence[str], log: Path, folder: Path, claim: Path) -> subprocess.Popen[bytes]:
    """The program at work, what it says in ``log``. Raises BadInput if there is no such program.

    It is started by ``launch``, which writes its process to ``claim`` first: from then on, whoever dies, it is known
    that it was started. Where ``claim`` is there already, nothing is started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    launched = [sys.executable, "-I", "-S", str(LAUNCH), str(claim.absolute())]
    reading, writing = os.pipe()
    with log.open("wb") as file, os.fdopen(reading, "rb") as fault:
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, no shell
                [*launched, str(writing), *argv],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[writing],
            )
        except OSError as error:
            raise _unstarted(argv[0], error.strerror, folder) from None
        finally:
            os.close(writing)
        why = fault.read().decode("utf-8", "replace")
    if why:
        process.wait()
        raise _unstarted(argv[0], why, folder)
    return process


def _unstarted(program: str, why: str | None, folder: Path) -> BadInput:
    what = f"`tune.command`: cannot start {program!r}: {why}"
    return BadInput(Problem(what, remedy=f"It is started in {folder}, without a shell."))


def claimed(claim: Path) -> list[Any] | None:
    """The process that took the claim; None if none did, and then none will any more."""
    draft = claim.with_name(f"{claim.name}.{os.getpid()}")
    draft.write_text("null", encoding="utf-8")
    take(str(draft), str(claim))
    draft.unlink()
    try:
        value = json.loads(claim.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, list) else None


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
