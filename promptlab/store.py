"""run.sqlite and the project's cache: every answered call, committed before anything else sees it."""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from promptlab.database import Damaged, Database
from promptlab.records import Call, Completion, Usage

_CALLS = """
create table if not exists calls (
    key text primary key, purpose text not null, text text, finish_reason text, model text, reasoning text,
    tokens_in integer, tokens_out integer, tokens_cached integer, usage text,
    usd real not null, latency real not null, attempts integer not null, error text not null, cached integer not null,
    fingerprint text
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
    "usd, latency, attempts, error, fingerprint, cached"
)
_PUT = f"insert or replace into calls ({_COLUMNS}) values ({', '.join('?' * 16)})"  # noqa: S608 - constants only
_GET = f"select {_COLUMNS} from calls where key = ?"  # noqa: S608 - constants only
_ADD = _PUT.replace("insert or replace", "insert or ignore")
_FOR_CACHE = f"""select rowid, {_COLUMNS} from calls
where rowid > ? and error = '' and finish_reason != 'content_filter' order by rowid limit 1000"""  # noqa: S608 - constants only
_GROUP, _SECONDS = 64, 0.5  # how many calls, and for how long, the cache may be behind the run's log


class Store:
    """The run's log, and the project's cache behind it. One writer; one commit per finished call.

    The cache gets its calls in groups: after a kill it lacks the last few, and gets them when the run goes on.
    ``cache`` None = the cache is neither read nor written (``--fresh``).
    """

    def __init__(self, run: Path, cache: Path | None) -> None:
        self.path = run
        self._run = _grown(Database(run, _CALLS + ";" + _RUN))
        self._waiting: list[tuple[Any, ...]] = []  # answers for the cache
        self._hits: dict[str, tuple[Any, ...]] = {}  # what the cache knew, for the run's log
        self._written = time.monotonic()
        self._cache: Database | None = None
        try:
            self._cache = _grown(Database(cache, _CALLS)) if cache else None
            self._resumed = bool(self._run.rows("select 1 from calls limit 1"))
            if self._resumed and not self.fact("completed"):
                self._fill()
        except BaseException:
            self._run.close()
            if self._cache is not None:
                self._cache.close()
            raise

    def notes(self) -> list[str]:
        """What had to be moved aside, since this was last asked."""
        found = []
        for each in (self._run, self._cache):
            if each is not None:
                found += each.notes
                each.notes.clear()
        return found

    def known(self, key: str) -> Call | None:
        """The answered call of this key, from the run's log or else from the cache (then noted in the log)."""
        call = self.logged(key)
        return call if call is not None and not call.error else self._cached(key)

    def found(self, key: str) -> Call | None:
        """As ``known``, for a key that was not asked since the log was opened: a new log need not be searched."""
        return self.known(key) if self._resumed else self._cached(key)

    def _cached(self, key: str) -> Call | None:
        rows = self._of_cache(lambda cache: cache.rows(_GET, (key,)))
        if not rows or rows[0][13]:
            return None
        self._hits[key] = found = (*rows[0][:-1], 1)
        self._flush_some()
        return _call(found)

    def logged(self, key: str) -> Call | None:
        """The call of this key as the run's log has it: answered, or failed for good."""
        waiting = self._hits.get(key)
        rows = [waiting] if waiting else self._run.rows(_GET, (key,))
        return _call(rows[0]) if rows else None

    def record(self, *calls: Call) -> None:
        """Keep calls, in one commit.

        Errors and what a content filter turned away are not for the cache: they may pass next time.
        """
        rows = [_row(call) for call in calls]
        if len(rows) == 1:
            self._run.rows(_PUT, rows[0])
        else:
            _put(_PUT, rows, self._run)
        if self._cache is not None:
            self._waiting += (row for row, call in zip(rows, calls, strict=True) if _lasting(call))
            self._flush_some()

    def spent(self) -> float:
        """US dollars really spent in this run so far, earlier sessions included."""
        return float(self._run.rows("select total(usd) from calls where cached = 0")[0][0])

    def totals(self) -> dict[str, tuple[int, float]]:
        """By purpose, how many calls the run asked for, and what they cost at list price in US dollars."""
        self._flush()
        rows = self._run.rows("select purpose, count(*), total(usd) from calls group by purpose order by purpose")
        return {str(purpose): (int(count), float(usd)) for purpose, count, usd in rows}

    def trace(self, number: int, summary: Mapping[str, Any], asks: Iterable[tuple[Any, ...]]) -> None:
        """Note a closed round, and which (phase, variant, example, repeat, step) asked for which key: for people."""
        self._flush()
        text = json.dumps(summary, sort_keys=True)
        if self._run.rows("select 1 from rounds where round = ? and summary = ?", (number, text)):
            return  # the same round was closed by an earlier session: it asked for the same
        with self._run.transaction():
            self._run.rows("insert or replace into rounds values (?, ?)", (number, text))
            self._run.many(
                "insert or replace into asks values (?, ?, ?, ?, ?, ?, ?)", ((number, *each) for each in asks)
            )

    def rounds(self) -> list[dict[str, Any]]:
        """The summaries of the closed rounds, in order."""
        return [json.loads(text) for (text,) in self._run.rows("select summary from rounds order by round")]

    def keep_inputs(self, files: Mapping[str, bytes]) -> None:
        """The files that the run was made from, by relative path."""
        with self._run.transaction():
            for path, content in files.items():
                row = (path, hashlib.sha256(content).hexdigest(), zlib.compress(content, 3))
                self._run.rows("insert or replace into inputs values (?, ?, ?)", row)

    def inputs(self) -> dict[str, bytes]:
        """The files that the run was made from."""
        return {path: zlib.decompress(blob) for path, blob in self._run.rows("select path, content from inputs")}

    def fact(self, name: str) -> Any:
        """A noted fact, or None."""
        rows = self._run.rows("select value from facts where name = ?", (name,))
        return json.loads(rows[0][0]) if rows else None

    def note(self, name: str, value: Any) -> None:
        """Note a fact about the run (options it was started with, tokens, test reads)."""
        self._run.rows("insert or replace into facts values (?, ?)", (name, json.dumps(value)))

    def close(self) -> None:
        """Close both files."""
        try:
            self._flush()
        finally:
            self._run.close()
            if self._cache is not None:
                self._cache.close()

    def _flush_some(self) -> None:
        if len(self._waiting) + len(self._hits) >= _GROUP or time.monotonic() - self._written > _SECONDS:
            self._flush()

    def _flush(self) -> None:
        """Give each file, in one commit, what it can do without for a moment."""
        waiting, self._waiting = self._waiting, []
        hits, self._hits = self._hits, {}
        self._written = time.monotonic()
        if hits:
            with self._run.transaction():
                self._run.many(_PUT, hits.values())
        if waiting:
            self._of_cache(partial(_put, _PUT, waiting))

    def _fill(self) -> None:
        """Give the cache what it lacks of the run's log: the last group before a kill, or all if it was lost."""
        last = 0
        while self._cache is not None and (page := self._run.rows(_FOR_CACHE, (last,))):
            last, rows = page[-1][0], [row[1:] for row in page]
            self._of_cache(partial(_put, _ADD, rows))

    def _of_cache(self, work: Callable[[Database], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        """What some work on the cache gives. One that turns out to be damaged is begun anew: the run goes on."""
        if self._cache is None:
            return []
        try:
            return work(self._cache)
        except Damaged as error:
            self._cache = Database(self._cache.path, _CALLS)
            self._cache.notes.append(f"{error.what} It is begun anew, with what this run knows.")
            self._fill()
            return work(self._cache)


def _lasting(call: Call) -> bool:
    return call.completion is not None and call.completion.finish_reason != "content_filter"


def _put(statement: str, rows: Sequence[tuple[Any, ...]], database: Database) -> list[tuple[Any, ...]]:
    with database.transaction():
        database.many(statement, rows)
    return []


def _grown(database: Database) -> Database:
    """The database with the columns that an earlier version did not have: answers outlive an upgrade."""
    known = {column[1] for column in database.rows("pragma table_info(calls)")}
    if "fingerprint" not in known:
        database.rows("alter table calls add column fingerprint text")
    return database


def _row(call: Call) -> tuple[Any, ...]:
    done = call.completion
    answer: tuple[Any, ...] = (None,) * 8
    if done is not None:
        usage = done.usage
        counts = (usage.tokens_in, usage.tokens_out, usage.tokens_cached, usage.source)
        answer = (done.text, done.finish_reason, done.model, done.reasoning, *counts)
    said = done.fingerprint if done else None
    return (call.key, call.purpose, *answer, call.usd, call.latency, call.attempts, call.error, said, int(call.cached))


def _call(row: tuple[Any, ...]) -> Call:
    key, purpose, *answer, usd, latency, attempts, error, fingerprint, cached = row
    completion = None
    if not error:
        text, finish, model, reasoning, tokens_in, tokens_out, tokens_cached, source = answer
        usage = Usage(tokens_in, tokens_out, tokens_cached, source)
        completion = Completion(text, finish, usage, model, reasoning, fingerprint or "")
    return Call(key, purpose, completion, usd, latency, attempts, error, bool(cached))
