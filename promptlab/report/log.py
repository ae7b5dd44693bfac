"""A run's log, looked at without touching it: opened read-only, also while the run goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.database import read_only
from promptlab.errors import BadInput, Problem
from promptlab.folder import LOG


@dataclass(frozen=True, slots=True)
class Round:
    """A closed round: its summary, and how many calls each variant got in it."""

    number: int
    summary: Mapping[str, Any]
    calls: Mapping[str, int]

    @property
    def asked(self) -> int:
        """Calls of the round."""
        return sum(self.calls.values())


@dataclass(frozen=True, slots=True)
class Log:
    """What the log says of its course. ``calls``: by purpose, of all that was asked so far."""

    rounds: Sequence[Round]
    calls: Mapping[str, int]
    completed: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The log, read-only. Raises BadInput where there is none, or it cannot be read."""
    path = folder / LOG
    if not path.is_file():
        raise BadInput(Problem("there is no run here", str(folder), remedy="Name a folder under runs/."))
    try:
        with closing(read_only(path)) as db:
            yield db
    except sqlite3.Error as error:
        raise BadInput(Problem(f"cannot read the log: {error}", str(path))) from error


def read_log(folder: Path) -> Log:
    """The rounds, the calls and the facts."""
    with opened(folder) as db:
        db.execute("begin")  # one state of it, whatever is written meanwhile
        shares: dict[int, dict[str, int]] = {}
        for number, variant, count in db.execute(
            "select round, variant, count(*) from asks group by round, variant order by round, variant"
        ):
            shares.setdefault(number, {})[variant] = count
        rounds = [
            Round(number, json.loads(summary), shares.get(number, {}))
            for number, summary in db.execute("select round, summary from rounds order by round")
        ]
        calls = {str(what): int(n) for what, n in db.execute("select purpose, count(*) from calls group by purpose")}
        facts = {name: json.loads(value) for name, value in db.execute("select name, value from facts")}
    return Log(rounds, calls, bool(facts.get("completed")), facts)


def pulse(folder: Path) -> dict[str, Any]:
    """How far the run is: cheap enough to be asked every second or two."""
    with opened(folder) as db:
        calls = db.execute("select count(*) from calls").fetchone()[0]
        rounds = db.execute("select count(*) from rounds").fetchone()[0]
        done = db.execute("select 1 from facts where name = 'completed'").fetchone()
    return {"calls": calls, "rounds": rounds, "completed": bool(done)}
