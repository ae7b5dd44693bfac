"""run.sqlite and the project's cache: every answered call, committed before anything else sees it."""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.records import Call, Completion, Usage

_CALLS = """
create table if not exists calls (
    key text primary key, purpose text not null, text text, finish_reason text, model text, reasoning text,
    tokens_in integer, tokens_out integer, tokens_cached integer, usage text,
    usd real not null, latency real not null, attempts integer not null, error text not null, cached integer not null
)"""
_RUN = """
create table if not exists inputs (path text primary key, hash text not null, content blob not null);
create table if not exists asks (round integer, phase text, variant text, example text, repeat integer, step integer,
    key text, primary key (round, phase, variant, example, repeat, step));
create table if not exists rounds (round integer primary key, summary text not null);
create table if not exists facts (name text primary key, value text not null);
"""
_COLUMNS = (
    "key, purpose, text, finish_reason, model, reasoning, tokens_in, tokens_out, tokens_cached, usage, "
    "usd, latency, attempts, error, cached"
)
_PUT = f"insert or replace into calls ({_COLUMNS}) values ({', '.join('?' * 15)})"  # noqa: S608 - constants only
_GET = f"select {_COLUMNS} from calls where key = ? and error = ''"  # noqa: S608 - constants only


class Store:
    """The run's log, and the project's cache behind it. One writer; one commit per finished call.

    ``cache`` None = the cache is neither read nor written (``--fresh``).
    """

    def __init__(self, run: Path, cache: Path | None) -> None:
        self.path = run
        self._run = _open(run, _CALLS + ";" + _RUN)
        self._cache = _open(cache, _CALLS) if cache else None

    def known(self, key: str) -> Call | None:
        """The answered call of this key, from the run's log or else from the cache (then noted in the log)."""
        row = self._run.execute(_GET, (key,)).fetchone()
        if row is not None:
            return _call(row)
        if self._cache is None:
            return None
        row = self._cache.execute(_GET, (key,)).fetchone()
        if row is None:
            return None
        found = (*row[:-1], 1)
        self._run.execute(_PUT, found)
        return _call(found)

    def record(self, call: Call) -> None:
        """Keep a call. Errors and what a content filter turned away are not for the cache: they may pass next time."""
        row = _row(call)
        self._run.execute(_PUT, row)
        if self._cache is not None and call.completion and call.completion.finish_reason != "content_filter":
            self._cache.execute(_PUT, row)

    def spent(self) -> float:
        """US dollars really spent in this run so far, earlier sessions included."""
        return float(self._run.execute("select total(usd) from calls where cached = 0").fetchone()[0])

    def trace(self, number: int, summary: Mapping[str, Any], asks: Iterable[tuple[Any, ...]]) -> None:
        """Note a closed round, and which (phase, variant, example, repeat, step) asked for which key: for people."""
        with _transaction(self._run):
            text = json.dumps(summary, sort_keys=True)
            self._run.execute("insert or replace into rounds values (?, ?)", (number, text))
            self._run.executemany(f"insert or replace into asks values ({number}, ?, ?, ?, ?, ?, ?)", asks)  # noqa: S608

    def rounds(self) -> list[dict[str, Any]]:
        """The summaries of the closed rounds, in order."""
        return [json.loads(text) for (text,) in self._run.execute("select summary from rounds order by round")]

    def keep_inputs(self, files: Mapping[str, bytes]) -> None:
        """The files that the run was made from, by relative path."""
        import hashlib

        with _transaction(self._run):
            for path, content in files.items():
                row = (path, hashlib.sha256(content).hexdigest(), zlib.compress(content, 3))
                self._run.execute("insert or ignore into inputs values (?, ?, ?)", row)

    def inputs(self) -> dict[str, bytes]:
        """The files that the run was made from."""
        return {path: zlib.decompress(blob) for path, blob in self._run.execute("select path, content from inputs")}

    def fact(self, name: str) -> Any:
        """A noted fact, or None."""
        row = self._run.execute("select value from facts where name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def note(self, name: str, value: Any) -> None:
        """Note a fact about the run (options it was started with, tokens, test reads)."""
        self._run.execute("insert or replace into facts values (?, ?)", (name, json.dumps(value)))

    def close(self) -> None:
        """Close both files."""
        self._run.close()
        if self._cache is not None:
            self._cache.close()


def _open(path: Path, schema: str) -> sqlite3.Connection:
    """A WAL database; one that is not a database any more is moved aside and begun anew."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _connect(path, schema)
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or isinstance(error, sqlite3.OperationalError):
            raise BadInput(Problem(f"cannot open the database: {error}", str(path))) from error
        for each in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            if each.exists():
                each.rename(each.with_name(f"{each.name}.corrupt-{int(time.time())}"))
        return _connect(path, schema)
    except OSError as error:
        raise BadInput(Problem(f"cannot write here: {error.strerror}", str(path))) from error


def _connect(path: Path, schema: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = normal")
        db.executescript(schema)
    except BaseException:
        db.close()
        raise
    return db


class _transaction:  # noqa: N801 - reads as a statement
    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db

    def __enter__(self) -> None:
        self.db.execute("begin")

    def __exit__(self, kind: object, *_: object) -> None:
        self.db.execute("rollback" if kind else "commit")


def _row(call: Call) -> tuple[Any, ...]:
    done = call.completion
    answer: tuple[Any, ...] = (None,) * 8
    if done is not None:
        usage = done.usage
        counts = (usage.tokens_in, usage.tokens_out, usage.tokens_cached, usage.source)
        answer = (done.text, done.finish_reason, done.model, done.reasoning, *counts)
    return (call.key, call.purpose, *answer, call.usd, call.latency, call.attempts, call.error, int(call.cached))


def _call(row: tuple[Any, ...]) -> Call:
    (
        key,
        purpose,
        text,
        finish,
        model,
        reasoning,
        t_in,
        t_out,
        t_cached,
        source,
        usd,
        latency,
        attempts,
        error,
        cached,
    ) = row
    completion = Completion(text, finish, Usage(t_in, t_out, t_cached, source), model, reasoning)
    return Call(key, purpose, completion, usd, latency, attempts, error, bool(cached))
