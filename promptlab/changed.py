"""What is different since the last run: said when an experiment that was run before makes a new run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import posixpath
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from promptlab.experiment import canonical
from promptlab.folder import ARM, LOG
from promptlab.own import own_files
from promptlab.prepare import Prepared
from promptlab.rows import MEMORY
from promptlab.version import __version__

SHOWN = 6  # changes that are named; of more, only how many
SHORT = 24  # characters up to which a value is shown
SPELT = (("data.columns.", "data."), ("exclude", "space.exclude"))
"""What the file calls it, where the canonical settings do not."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a run was made from: canonical settings, hashes of files by path beside the experiment, how it was called.

    ``settings`` None = not known (a run of an earlier version that did not end).
    """

    settings: Mapping[str, Any] | None
    files: Mapping[str, str]
    called: Mapping[str, Any]


def changed(prepared: Prepared) -> str:
    """A line on what makes this run a new one; empty where the experiment was never run, or this very run exists."""
    runs = prepared.experiment.folder / "runs"
    if (runs / prepared.identity / LOG).exists():
        return ""
    before = _newest(runs, prepared.identity, prepared.experiment.path.name)
    if before is None:
        return ""
    run, made = before
    found = changes(made, _now(prepared)) or ("the code of promptlab",)
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"run {prepared.identity} is new. Changed since {run}, which is kept: {', '.join(found[:SHOWN])}{more}"


def changes(before: Made, now: Made) -> tuple[str, ...]:
    """The names of what differs: files, then settings, with both values where they are short."""
    files = [
        name + (" (new)" if name not in before.files else " (gone)" if name not in now.files else "")
        for name in sorted({*before.files, *now.files})
        if before.files.get(name) != now.files.get(name)
    ]
    of_data = [name for name in files if posixpath.basename(name).split(" ")[0] != MEMORY]
    found = of_data or files  # the splits follow the rows
    if before.settings is not None and now.settings is not None:
        found += _differing(_flat(before.settings), _flat(now.settings))
    known = before.called.keys() & now.called.keys()  # an earlier version may have noted less
    both = [{name: each[name] for name in each if name in known} for each in (before.called, now.called)]
    return (*found, *_differing(*both))


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*now, *before)):
        was, has = before.get(name), now.get(name)
        if was != has:
            yield f"{name}{_values(name, was, has)}"


def _values(name: str, was: Any, has: Any) -> str:
    """Both values, if they are short; never an address, which may hold a secret."""
    texts = ["none" if each is None else json.dumps(each, ensure_ascii=False) for each in (was, has)]
    if name.endswith(".endpoint") or max(map(len, texts)) > SHORT:
        return ""
    return f" ({texts[0]} → {texts[1]})"


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, as the experiment's file spells them."""
    found = {}
    for name, value in _leaves("", json.loads(json.dumps(settings, default=str))):
        there = next((new + name.removeprefix(old) for old, new in SPELT if name.startswith(old)), name)
        found[there] = value
    return found


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list) and value and all(isinstance(each, dict) and "name" in each for each in value):
        value = {each["name"]: each for each in value}
    elif name in ("params", "space"):
        value = dict(value)
    if not isinstance(value, dict) or not value:
        yield name, value
        return
    for key, each in value.items():
        yield from _leaves(f"{name}.{key}" if name else key, each)


def _now(prepared: Prepared) -> Made:
    experiment = prepared.experiment
    paths = {*experiment.files, *(Path(source.path) for source in prepared.sources.values())} - {experiment.path}
    paths |= {experiment.folder / MEMORY} if prepared.rows.splits else set()
    paths |= set(prepared.task.shelf.files()) if prepared.task.shelf else set()
    home = experiment.path.resolve().parent
    files = dict(own_files(experiment))
    for path in paths:
        with contextlib.suppress(OSError):  # gone in this very moment, or never there: the run will say so
            files[Path(os.path.relpath(path.resolve(), home)).as_posix()] = path.read_bytes()
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    hashes.pop(experiment.path.name, None)
    return Made(canonical(experiment), hashes, called(prepared.limit, test=prepared.test, version=__version__))


def called(limit: int | None, *, test: bool, version: str | None) -> dict[str, Any]:
    """How a run was called, by the words of the command line."""
    found: dict[str, Any] = {"--limit": limit, "--no-test": not test}
    return found | ({"promptlab": version} if version else {})


def _newest(runs: Path, but: str, name: str) -> tuple[str, Made] | None:
    """The run of the same experiment file that was worked on last, other than ``but`` and its repetitions."""
    own = re.compile(rf"{re.escape(but)}(-\d+)?")
    logs = [log for log in runs.glob(f"*/{LOG}") if not own.fullmatch(log.parent.name)]
    logs = [log for log in logs if not (log.parent / ARM).exists()]
    for log in sorted(logs, key=lambda each: each.stat().st_mtime, reverse=True):
        made = _read(log, name)
        if made is not None:
            return log.parent.name, made
    return None


def _read(log: Path, name: str) -> Made | None:
    """What the log of a run says it was made from; None for another experiment's, and for what cannot be read."""
    how = "mode=ro" if log.with_name(f"{LOG}-wal").exists() else "immutable=1"  # leaves nothing behind
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(log.resolve()))}?{how}", uri=True)) as db:
            facts = {key: json.loads(value) for key, value in db.execute("select name, value from facts")}
            files = dict(db.execute("select path, hash from inputs"))
        options = facts["options"]
        place = posixpath.dirname(options["experiment"]) or "."
        if posixpath.basename(options["experiment"]) != name:
            return None
        files.pop(options["experiment"], None)
        beside = {posixpath.relpath(path, place): known for path, known in files.items()}
        made = facts.get("made") or _manifest(log.with_name("manifest.json"))
        how_called = called(options["limit"], test=options["test"], version=made.get("promptlab"))
        return Made(made.get("settings"), beside, how_called)
    except (sqlite3.Error, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run that is complete, or nothing."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found if isinstance(found, dict) else {}
