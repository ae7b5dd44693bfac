"""How far an earlier session of the same run came, and what is answered already: read from files left as they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from promptlab.folder import LOG, project_of
from promptlab.prepare import Prepared
from promptlab.records import Completion, Usage
from promptlab.run import runs_of

_ANSWER = "select text, finish_reason, tokens_in, tokens_out from calls where key = ? and error = ''"


def progressed(prepared: Prepared) -> str:
    """What to tell of calls that are answered already; empty where there are none, or the log cannot be read."""
    folder = runs_of(prepared.experiment) / prepared.identity
    log = folder / LOG
    try:
        with closing(_opened(log)) as db:
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


def known_of(prepared: Prepared) -> Callable[[str], Completion | None]:
    """What the project's cache, or the experiment's run, has for the key of a request; asks nobody, writes nothing."""
    project = project_of(prepared.experiment.path)
    files = (project / "cache.sqlite", runs_of(prepared.experiment) / prepared.identity / LOG)

    def known(key: str) -> Completion | None:
        for each in files:
            try:
                with closing(_opened(each)) as db:
                    rows = db.execute(_ANSWER, (key,)).fetchall()
            except sqlite3.Error:
                continue
            if rows:
                text, finish, tokens_in, tokens_out = rows[0]
                return Completion(text, finish, Usage(tokens_in, tokens_out))
        return None

    return known


def _opened(path: Path) -> sqlite3.Connection:
    """A database to be read: it leaves nothing behind."""
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?{how}", uri=True)
