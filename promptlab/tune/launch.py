"""Becomes a program, once: ``launch.py CLAIM FD PROGRAM ARGUMENT…``, run as a script of its own.

It writes the number and the start of this process to CLAIM, which must not be there yet, and then becomes the program:
whoever started it may be killed at any moment, and can still be told whether the program was started. If CLAIM is
there, nothing is done. Why the program cannot be started goes to the descriptor FD, which the program does not get.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def claim(path: str) -> bool:
    """Whether this process is the first to take it: whole, or not at all."""
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="utf-8") as file:  # noqa: PTH123 - starts sooner without pathlib
        json.dump([os.getpid(), _began()], file)
        file.flush()
        os.fsync(file.fileno())
    try:
        return take(draft, path)
    finally:
        os.unlink(draft)  # noqa: PTH108 - as above


def take(draft: str, path: str) -> bool:
    """Whether ``path`` was not there and now holds what ``draft`` does; where links are not to be had, not at once."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:
        try:
            with open(draft, "rb") as file, open(path, "xb") as made:  # noqa: PTH123 - as above
                made.write(file.read())
        except FileExistsError:
            return False
    return True


def _began() -> str:
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def main(path: str, fault: int, argv: list[str]) -> int:
    """Become the program; an exit code where that cannot be."""
    os.set_inheritable(fault, False)
    if not claim(path):
        return 0
    for each in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and a program would inherit that
        signal.signal(each, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the user's own command, no shell
    except OSError as error:
        os.write(fault, (error.strerror or str(error)).encode())
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
