"""Which files a corpus is made of: a folder, a glob, a file, a mapping with columns, or a list of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from promptlab.errors import BadInput, Problem, nearest

Spec: TypeAlias = str | Path | Mapping[str, Any]

KEYS = ("path", "id", "text", "title")
_WILD = frozenset("*?[")
_EXAMPLE = "Write a folder, a file, a glob, or {path: pages.jsonl, id: id, text: text, title: title}."


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read. ``columns`` name a table's columns, as far as the experiment does; ``named``: not only found."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    named: bool = False


@dataclass(slots=True)
class Sources:
    """The files that specs name, each once, what was passed over, and what is wrong with the specs."""

    files: dict[Path, Source] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def sources(specs: Spec | Sequence[Spec], folder: Path) -> Sources:
    """The files, in the order of the specs, by name within one. Paths are relative to ``folder``."""
    found = Sources()
    for spec in [specs] if isinstance(specs, str | Path | Mapping) else specs:
        try:
            path, columns = _read(spec)
            for source in _expanded(path, columns, folder, found.skipped):
                found.files.setdefault(Path(os.path.normpath(source.path)), source)
        except BadInput as bad:
            found.problems += bad.problems
    return found


def _read(spec: Any) -> tuple[str, Mapping[str, str]]:
    if isinstance(spec, str | Path) and str(spec).strip():
        return str(spec), {}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("path"), str) or not spec["path"].strip():
        raise BadInput(Problem(f"`retrieval.corpus`: {spec!r} names no files", remedy=_EXAMPLE))
    wrong = [
        Problem(f"`retrieval.corpus`: unknown key {key!r}", remedy=nearest(str(key), KEYS))
        for key in spec
        if key not in KEYS
    ] + [
        Problem(f"`retrieval.corpus.{key}`: {spec[key]!r} is no column's name", remedy=_EXAMPLE)
        for key in KEYS[1:]
        if key in spec and not (isinstance(spec[key], str) and spec[key])
    ]
    if wrong:
        raise BadInput(wrong)
    return spec["path"], {key: spec[key] for key in KEYS[1:] if key in spec}


def _expanded(named: str, columns: Mapping[str, str], folder: Path, skipped: list[str]) -> Iterator[Source]:
    path = folder / named
    if _is(path.is_file):
        yield Source(path, columns, named=True)
    elif _is(path.is_dir):
        yield from _inside(path, columns, folder, skipped)
    elif _WILD & set(named) and "\0" not in named:
        # pathlib's ** finds hidden files, and its patterns are never absolute
        matched = sorted(glob.glob(named, root_dir=folder, recursive=True))  # noqa: PTH207 - said above
        if not matched:
            raise BadInput(Problem(f"`retrieval.corpus`: no file matches {named!r}", remedy=f"Looked in {folder}."))
        for each in map(folder.joinpath, matched):
            yield from _inside(each, columns, folder, skipped) if each.is_dir() else [Source(each, columns)]
    else:
        raise BadInput(Problem("`retrieval.corpus`: no such file or folder", str(path), remedy=_near(path)))


def _is(kind: Any) -> bool:
    """Whether a path is of a kind; one that no system can hold is of none."""
    try:
        return bool(kind())
    except (OSError, ValueError):
        return False


def _near(path: Path) -> str:
    above = path.parent
    if not _is(above.is_dir):
        return f"There is no folder {str(above)!r} either."
    return nearest(path.name, (each.name for each in above.iterdir())) or "Its folder is empty."


def _inside(top: Path, columns: Mapping[str, str], folder: Path, skipped: list[str]) -> Iterator[Source]:
    """The files below a folder by name, folder by folder; not the hidden ones, nor behind links."""
    for here, folders, files in os.walk(top):
        hidden = sorted(each for each in (*folders, *files) if each.startswith("."))
        skipped += [f"{relative(Path(here, name), folder)}: hidden" for name in hidden]
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Source(Path(here, name), columns) for name in sorted(files) if not name.startswith("."))


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with forward slashes; as it is where there is no way from there."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()
