"""How far training is: the state of each job and the last that it said. Live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import get_args

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from promptlab.cli.board import printable
from promptlab.tune.trainer import ENDED, State

EVERY = 10.0  # seconds between plain lines of one job, where its state stays as it is
STATES = get_args(State)


@dataclass
class _Seen:
    """A job so far, since when, and when a line was last printed of it."""

    begun: float
    said: float
    state: str = ""
    event: str = ""
    took: float | None = None
    known: bool = False  # it had succeeded before
    before: list[str] = field(default_factory=list)  # what was said before its first state

    @property
    def seconds(self) -> float:
        """How long it has been at work."""
        return time.monotonic() - self.begun if self.took is None else self.took


class Training:
    """Hears of every job as ``tune`` tells it. ``about`` says of each, by the model's name, how much it is.

    Jobs that are ``quick`` are told of where they fail, or are not: what came of them is told in the end anyway.
    """

    def __init__(self, out: Console, about: Mapping[str, str], *, quick: bool = False) -> None:
        self.out, self.about, self.quick = out, about, quick
        self.live: Live | None = None
        self.jobs: dict[str, _Seen] = {}
        self.heard: set[str] = set()

    def __call__(self, name: str, line: str) -> None:
        """A state, or what a job says."""
        now = time.monotonic()
        job = self.jobs.setdefault(name, _Seen(now, now))
        if line in STATES:
            self._turned(name, job, line)
            return
        job.event = line
        if not job.state:
            job.before.append(line)
        elif now - job.said >= EVERY:
            self._line(name, job)

    def knew(self, name: str) -> bool:
        """Whether that job had succeeded before."""
        return name in self.jobs and self.jobs[name].known

    def text(self, name: str, job: _Seen) -> str:
        """A job in a line."""
        going = f" after {_clock(job.seconds)}" if job.state in ENDED else f", {_clock(job.seconds)}"
        parts = [f"{name}: {job.state}{going if job.state != 'queued' and job.seconds >= 1 else ''}"]
        if job.state == "running":
            parts += [part for part in (self.about.get(name, ""), job.event) if part]
        return " · ".join(parts)

    def _turned(self, name: str, job: _Seen, state: str) -> None:
        """Another state. What had succeeded before is told at the end alone, and so is where files were written."""
        job.known = not job.state and state == "succeeded"
        if not job.state and not job.known and self.live is None:
            for line in dict.fromkeys(job.before):  # of its files, or of a process that goes on
                if line not in self.heard:  # what is so of every job is said of the first
                    self._print(f"{name}: {line}")
                self.heard.add(line)
        job.state = state
        if state in ENDED:
            job.took = job.seconds
        dull = self.quick and state not in ("failed", "cancelled") and time.monotonic() - job.begun < EVERY
        if state != "written" and not job.known and not dull:
            self._line(name, job)

    def __rich__(self) -> Table:
        """What a live display shows, drawn a few times a second."""
        shown = Table.grid(padding=(0, 2))
        for name in sorted(self.jobs, key=[*self.about, *self.jobs].index):
            job = self.jobs[name]
            going = "" if job.known or job.state == "queued" else _clock(job.seconds)
            cells = (name, job.state, going, self.about.get(name, ""), "" if job.known else job.event)
            shown.add_row(*(Text(printable(cell), overflow="ellipsis", no_wrap=True) for cell in cells))
        return shown

    def _line(self, name: str, job: _Seen) -> None:
        job.said = time.monotonic()
        if self.live is None:
            self._print(self.text(name, job))

    def _print(self, text: str) -> None:
        self.out.print(printable(text), highlight=False, markup=False)


@contextmanager
def training(out: Console, about: Mapping[str, str], *, quick: bool = False) -> Iterator[Training]:
    """A live table on a terminal, plain lines elsewhere."""
    seen = Training(out, about, quick=quick)
    if not out.is_terminal:
        yield seen
        return
    with Live(seen, console=out, refresh_per_second=4, transient=True) as live:
        seen.live = live
        yield seen


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
