"""How far an earlier session of the same run came: read from its log, which is left as it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from urllib.parse import quote

from promptlab.folder import LOG
from promptlab.prepare import Prepared
from promptlab.run import runs_of


def progressed(prepared: Prepared) -> str:
    """What to tell of calls that are answered already; empty where there are none, or the log cannot be read."""
    folder = runs_of(prepared.experiment) / prepared.identity
    log = folder / LOG
    how = "mode=ro" if log.with_name(f"{LOG}-wal").exists() else "immutable=1"  # leaves nothing behind
    try:
        with closing(sqlite3.connect(f"file:{quote(str(log.resolve()))}?{how}", uri=True)) as db:
            [(count,)] = db.execute("select count(*) from calls where error = ''")
    except sqlite3.Error:
        return ""
    if not count:
        return ""
    if (folder / "results.csv").exists():
        return (
            f"run {prepared.identity} is complete: its {count:,} calls are answered, the same command asks none again"
        )
    return (
        f"{count:,} of these calls are already answered: run {prepared.identity} was interrupted, mine goes on with it"
    )
