"""Indexes on disk: built once per pool and setting, then read. They can be deleted at any time.

A file appears whole or not at all: it is written beside its place and moved there, so that builders at the same time
do not disturb each other. A file that cannot be read is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from promptlab.retrieve.pool import Pool

_ABANDONED = 3_600.0  # seconds after which a part is no builder's any more
FORMAT = 1  # raise it whenever the same settings would give another file

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


def kept(pool: Pool, name: str, settings: Mapping[str, Any], build: Callable[[], Arrays]) -> Arrays:
    """The arrays that ``build`` makes of a pool under these settings: read if they are on disk, else built and kept."""
    found = load(pool, name, settings)
    if found is None:
        found = build()
        save(pool, name, settings, found)
    return found


def load(pool: Pool, name: str, settings: Mapping[str, Any]) -> Arrays | None:
    """The arrays that are on disk; None if there are none, or none that can be read."""
    path = place(pool, name, settings)
    if path is None or not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}  # zip checks the sum of every array that is read
    except Exception:  # noqa: BLE001 - whatever is wrong with the file: it is built again
        return None


def save(pool: Pool, name: str, settings: Mapping[str, Any], arrays: Arrays) -> None:
    """Keep arrays on disk. A folder that cannot be written to is no error: the next run builds again."""
    path = place(pool, name, settings)
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _swept(path.parent)
        handle, written = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            Path(written).replace(path)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise


def _swept(folder: Path) -> None:
    """Delete what builders that were killed left behind."""
    for part in folder.glob("*.part"):
        if time.time() - part.stat().st_mtime > _ABANDONED:
            part.unlink(missing_ok=True)


def place(pool: Pool, name: str, settings: Mapping[str, Any]) -> Path | None:
    """The file for these settings; None if the pool keeps nothing."""
    if pool.cache is None:
        return None
    said = json.dumps([FORMAT, settings], sort_keys=True)
    return pool.cache / pool.key / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:16]}.npz"
