"""Template files: found on disk with everything they may include, and put back together from a stored run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from promptlab.errors import BadInput, Problem
from promptlab.template.template import Source, Template, parse

ROOT = "templates"
SUFFIXES = (".j2", ".jinja", ".jinja2")


def root_of(path: Path) -> Path:
    """The nearest folder above called ``templates``; else the file's own. Names and includes are relative to it."""
    return next((each for each in path.parents if each.name == ROOT), path.parent)


def load(paths: Iterable[Path]) -> tuple[dict[str, Template], dict[str, Source]]:
    """Templates by name, and every source they are made of. Raises BadInput with the problems of all files at once."""
    sources: dict[str, Source] = {}
    mains: dict[str, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        name = path.relative_to(root_of(path)).as_posix()
        if name in mains and mains[name] != path:
            problems.append(
                Problem(f"two templates are called {name!r}: {mains[name]} and {path}", remedy="Rename one.")
            )
        mains[name] = path
        problems += _read_folder(root_of(path), sources)
    if problems:
        raise BadInput(problems)
    return parse_all(mains, sources)


def _read_folder(root: Path, sources: dict[str, Source]) -> list[Problem]:
    problems = []
    for path in sorted(each for each in root.rglob("*") if each.suffix in SUFFIXES and each.is_file()):
        name = path.relative_to(root).as_posix()
        if name in sources:
            continue
        try:
            sources[name] = Source(path.read_bytes().decode("utf-8"), str(path))
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            problems.append(Problem("the file is not UTF-8 text", str(path), line, "Save it as UTF-8."))
        except OSError as error:
            problems.append(Problem(f"the file cannot be read: {error.strerror}", str(path)))
    return problems


def parse_all(names: Iterable[str], sources: Mapping[str, Source]) -> tuple[dict[str, Template], dict[str, Source]]:
    """The named templates parsed, and only the sources that they use."""
    templates: dict[str, Template] = {}
    used: dict[str, Source] = {}
    problems: list[Problem] = []
    for name in names:
        try:
            template = parse(name, sources)
        except BadInput as error:
            problems += error.problems
            continue
        templates[template.name] = template
        used |= {each: sources[each] for each in template.files}
    if problems:
        raise BadInput(problems)
    return templates, used
