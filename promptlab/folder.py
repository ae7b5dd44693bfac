"""Where things are kept: the project's folder, a run's folder, its lock, the files it was made from."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from promptlab.errors import BadInput, Problem

PROJECT = ".promptlab"
MARKS = (PROJECT, ".git", "pyproject.toml")
"""What says that a folder is a project's."""
LOG = "run.sqlite"
ARM = "arm.json"
"""In the folder of a run that is an arm of a choice, and no run of the experiment as it stands."""


def project_of(path: Path) -> Path:
    """The project's folder (cache, test reads) of a file.

    Beside the nearest .promptlab, .git or pyproject.toml above it. In a plain folder: beside the folder ``experiments``
    that it is in; else where the command was started, if the file is below that; else in the file's own folder.
    """
    folder = path.resolve().parent
    above = (folder, *folder.parents)
    for each in above:
        if any((each / mark).exists() for mark in MARKS):
            return each / PROJECT
    for each in above[:-1]:
        if each.name == "experiments":
            return each.parent / PROJECT
    here = _started()
    return (here if here in above else folder) / PROJECT


def begun() -> Path | None:
    """The project's folder of the working directory; None where no project was begun yet."""
    found = project_of(Path("here").absolute())
    return found if any((found.parent / mark).exists() for mark in MARKS) else None


def _started() -> Path | None:
    """The working directory, if it can be somebody's project: not the root, not a home, not where files are temporary.

    What is kept there would speak for everything below it.
    """
    try:
        here = Path.cwd().resolve()
        wide = {Path(here.anchor), Path.home().resolve(), Path(tempfile.gettempdir()).resolve()}
    except (OSError, RuntimeError):  # the folder is gone, or nobody's home is known
        return None
    return None if here in wide else here


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder; the lock dies with the process. Raises BadInput naming who holds it."""
    lock, holder = FileLock(folder / "run.lock", timeout=0), folder / "run.pid"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except Timeout:
        who = holder.read_text(encoding="utf-8") if holder.exists() else "another process"
        remedy = "Wait for it, or stop it; the same command then goes on."
        raise BadInput(Problem(f"this run is going on already: {who}", str(folder), remedy=remedy)) from None
    except OSError as error:
        lock.release()
        raise BadInput(Problem(f"cannot write here: {error.strerror}", str(folder))) from error
    try:
        yield
    finally:
        lock.release()


def gather(paths: Iterable[Path]) -> tuple[Path, dict[str, bytes]]:
    """The contents of files by path relative to the folder that holds them all, and that folder."""
    known = sorted({path.resolve() for path in paths})
    root = Path(os.path.commonpath([path.parent for path in known]))
    return root, {path.relative_to(root).as_posix(): path.read_bytes() for path in known}


def restore(files: Mapping[str, bytes], folder: Path) -> None:
    """Lay stored files out again under a folder; none may leave it."""
    for name, content in files.items():
        path = (folder / name).resolve()
        if folder.resolve() not in path.parents:
            raise BadInput(Problem(f"the log names a file outside its folder: {name!r}"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
