"""Putting a new project on disk: tried out first, never over anything that is there, whole or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment
from promptlab.starter.project import PRIVATE, Project


def lay(folder: Path, candidates: Sequence[Project], source: Path | None = None) -> Project:
    """Write the first project that passes every check that comes before a run, and give it back.

    ``source`` is the user's own file, named in problems instead of our copy. Raises BadInput: the folder holds files
    of these names, or cannot be written, or no candidate passes.
    """
    _refuse(folder, candidates[0])
    chosen = next((each for each in candidates[:-1] if not _problems(each)), candidates[-1])
    problems = _problems(chosen)
    if problems:
        raise BadInput(_told(each, folder, source) for each in problems)
    _write(folder, chosen.files)
    return chosen


def _refuse(folder: Path, project: Project) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadInput(Problem("this is a file, not a folder", str(folder), remedy="Name a new folder."))
    known = [each for each in project.files if _there(folder / each) and not _ours(folder, each, project)]
    if known:
        what = f"already there: {', '.join(known)}"
        raise BadInput(Problem(what, str(folder), remedy="Nothing was written. Name another folder, or move these."))
    for each in project.files:
        blocked = next((p for p in (folder / each).parents if _there(p) and not p.is_dir()), None)
        if blocked:
            raise BadInput(Problem("a folder is needed here, and this is a file", str(blocked)))


def _ours(folder: Path, name: str, project: Project) -> bool:
    """Whether it is the one file that says the same in every project, and says it here."""
    path = folder / name
    return name == PRIVATE and path.is_file() and path.read_bytes() == project.files[name]


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _problems(project: Project) -> tuple[Problem, ...]:
    """What a run would say of the project before it spends anything; paths relative to the project."""
    from promptlab.prepare import prepare

    with tempfile.TemporaryDirectory() as place:
        root = Path(place).resolve()
        _write(root, project.files)
        try:
            prepare(Experiment.load(root / project.experiment))
        except BadInput as error:
            return tuple(replace(each, path=each.path.removeprefix(f"{root}/")) for each in error.problems)
    return ()


def _told(problem: Problem, folder: Path, source: Path | None) -> Problem:
    """The problem with the path that the user knows."""
    if source is not None and Path(problem.path).stem == "labelled":
        return replace(problem, path=str(source))
    if source is None:
        return replace(problem, path=str(folder / problem.path))
    where = f" (in the {problem.path} that would be made)" if problem.path else ""
    return replace(problem, path=str(source), line=0, message=f"{problem.message}{where}")


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """All files, or none: what was made before an error is taken away again."""
    made: list[Path] = []
    try:
        for name, content in files.items():
            path = folder / name
            made += _folders(path.parent)
            if not path.exists():
                with path.open("xb") as file:
                    made.append(path)
                    file.write(content)
    except OSError as error:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise BadInput(Problem(f"cannot write here: {error.strerror}", str(error.filename or folder))) from None


def _folders(path: Path) -> list[Path]:
    """Make a folder and those above it; the new ones, outermost first."""
    new = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    return new[::-1]
