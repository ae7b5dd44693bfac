"""Template files: found on disk with everything they may include."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from promptlab.errors import BadInput, Problem
from promptlab.template.template import Source, Template, parse

ROOT = "templates"
SUFFIXES = (".j2", ".jinja", ".jinja2")
_LINK = re.compile(r"""\{%[-+]?\s*(?:include|extends|import|from)\s+(["'])(.+?)\1""")


@dataclass(frozen=True, slots=True)
class Folder:
    """The template files below one root by their name there, and what is wrong with those that cannot be read."""

    sources: dict[str, Source]
    unreadable: dict[str, Problem]


def root_of(path: Path) -> Path:
    """The nearest folder above called ``templates``; else the file's own. Names and includes are relative to it."""
    return next((each for each in path.parents if each.name == ROOT), path.parent)


def load(paths: Iterable[Path]) -> tuple[dict[str, Template], dict[str, Source]]:
    """Templates by name, and every source they are made of. Raises BadInput with the problems of all files at once."""
    folders: dict[Path, Folder] = {}
    templates: dict[str, Template] = {}
    used: dict[str, Source] = {}
    problems: list[Problem] = []
    for path in dict.fromkeys(paths):
        root = root_of(path)
        name = path.relative_to(root).as_posix()
        if path.suffix not in SUFFIXES:
            what, remedy = f"a template ends in {', '.join(SUFFIXES)}", f"Rename it: {path.stem}.j2"
            problems.append(Problem(what, str(path), 0, remedy))
            continue
        if root not in folders:
            folders[root] = _read(root)
        folder = folders[root]
        try:
            template = _parsed(name, folder)
        except BadInput as error:
            problems += error.problems
            continue
        for each in template.files:
            source = folder.sources[each]
            if used.setdefault(each, source).path != source.path:
                what = f"two templates are called {each!r}: {used[each].path} and {source.path}"
                problems.append(Problem(what, remedy="Rename one, or keep all under one folder `templates`."))
        templates[template.name] = template
    if problems:
        raise BadInput(problems)
    return templates, used


def _parsed(name: str, folder: Folder) -> Template:
    if name in folder.unreadable:
        raise BadInput(folder.unreadable[name])
    try:
        return parse(name, folder.sources)
    except BadInput as error:
        lost = [
            each for name, each in folder.unreadable.items() if any(repr(name) in p.message for p in error.problems)
        ]
        raise BadInput([*error.problems, *lost]) from None


def _read(root: Path) -> Folder:
    """Every template file below a folder ``templates``; of another one, what is in it and what that includes.

    A folder of another name may be anybody's home. Files that nobody uses may be broken.
    """
    folder = Folder({}, {})
    below = root.rglob("*") if root.name == ROOT else root.glob("*")
    todo = sorted(each for each in below if each.suffix in SUFFIXES and each.is_file())
    while todo:
        path = todo.pop()
        name = path.relative_to(root).as_posix()
        if name in folder.sources or name in folder.unreadable:
            continue
        _add(path, name, folder)
        if root.name != ROOT and name in folder.sources:
            todo += _linked(folder.sources[name].text, root)
    return folder


def _linked(text: str, root: Path) -> list[Path]:
    """The files in folders below the root that a template includes, extends or imports; ``.j2`` may be left out."""
    names = [match[2] for match in _LINK.finditer(text) if ".." not in match[2] and not match[2].startswith("/")]
    paths = [path for name in names for path in (root / name, root / f"{name}.j2")]
    return [path for path in paths if path.suffix in SUFFIXES and path.is_file()]


def _add(path: Path, name: str, folder: Folder) -> None:
    try:
        data = path.read_bytes()
        folder.sources[name] = Source(data.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        folder.unreadable[name] = Problem("the file is not UTF-8 text", str(path), line, "Save it as UTF-8.")
    except OSError as error:
        folder.unreadable[name] = Problem(f"the file cannot be read: {error.strerror}", str(path))
