"""One SQLite file: opened with care, committed per statement; what is damaged is moved aside and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from promptlab.errors import BadInput, Interrupted, Problem

CHECKED = 250_000_000  # bytes up to which a file is read through when it is opened; larger ones show damage in use
WAIT = 30.0  # seconds that another process may hold the file


class Damaged(Interrupted):
    """The file turned out to be damaged while it was used; it stands aside now. ``what`` says so."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"{what} Run the same command to go on; what the cache holds costs nothing again.")


class Database:
    """A WAL database at ``path`` with the tables of ``schema``; ``notes`` say what had to be moved aside.

    Raises BadInput where the file cannot be opened, Interrupted where it cannot be used any more (a full disk).
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self.notes: list[str] = []
        self._schema = schema
        self._lost: Damaged | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = self._opened()
        except OSError as error:
            raise BadInput(Problem(f"cannot write here: {error.strerror}", str(path))) from error
        except sqlite3.Error as error:
            raise BadInput(Problem(f"cannot open the database: {error}", str(path))) from error

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query gives; of any other statement, nothing."""
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """One statement for many rows."""
        try:
            self._db.executemany(statement, values)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed together, or not at all."""
        self.rows("begin immediate")
        try:
            yield
        except BaseException:
            if self._lost is None and self._db.in_transaction:
                self._db.rollback()
            raise
        self.rows("commit")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _opened(self) -> sqlite3.Connection:
        try:
            return _connect(self.path, self._schema)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        with FileLock(f"{self.path}.lock"):  # whoever waited here finds it mended
            try:
                return _connect(self.path, self._schema)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self.notes.append(f"{self.path} was damaged ({error}): moved to {_aside(self.path)}, begun anew.")
                return _connect(self.path, self._schema)

    def _failed(self, error: sqlite3.Error) -> Interrupted:
        if self._lost is not None:  # said once more: it is closed, and that is not what went wrong
            return self._lost
        if not _is_damage(error):
            remedy = "Every answer so far is kept: mend that and run the same command to go on."
            return Interrupted(f"cannot use {self.path}: {error}. {remedy}", 4)
        self._db.close()
        self._lost = Damaged(f"{self.path} is damaged ({error}): moved to {_aside(self.path)}.")
        return self._lost


def copied(path: Path, place: Path) -> None:
    """A database as it stands now, as a file of its own at ``place``; what is read is not touched.

    Raises BadInput where it is damaged or cannot be read.
    """
    try:
        with closing(read_only(path)) as db, closing(sqlite3.connect(place)) as copy:
            db.backup(copy)
            _check(copy)
    except sqlite3.Error as error:
        what = "the log is damaged" if _is_damage(error) else "the log cannot be read"
        remedy = "`promptlab mine` sets it aside and asks again; what the cache holds costs nothing."
        raise BadInput(Problem(f"{what} ({error})", str(path), remedy=remedy if _is_damage(error) else "")) from error


def read_only(path: Path) -> sqlite3.Connection:
    """A database to be read: nothing is written, and no journal is left behind."""
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.resolve()))}?{how}", uri=True, timeout=WAIT)


def _connect(path: Path, schema: str) -> sqlite3.Connection:
    # a notebook runs the loop in a thread of its own; only one thread at a time ever comes here
    db = sqlite3.connect(path, timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        if path.stat().st_size <= CHECKED:
            _check(db)
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = normal")
        db.execute("pragma wal_autocheckpoint = 4000")  # a commit per call: copied into place every 16 MB, not 4
        db.executescript(schema)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    """Read every page once. Raises DatabaseError as SQLite itself does when it comes across a damaged one."""
    verdict = str(db.execute("pragma quick_check(1)").fetchone()[0])
    if verdict != "ok":
        error = sqlite3.DatabaseError(" ".join(verdict.split()))
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken: no database, or one with damaged pages or other columns."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


def _aside(path: Path) -> Path:
    """Move a database out of the way, its journal too; where it is now."""
    number = 1
    while (there := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for tail in ("-wal", "-shm", ""):
        if (part := path.with_name(path.name + tail)).exists():
            part.rename(there.with_name(there.name + tail))
    return there
