"""Live progress: what goes on, how far, what it cost, the best so far, time left. Plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from promptlab.cli.show import dollars
from promptlab.final import Choice
from promptlab.meter import Meter
from promptlab.records import Budget, Call, Prediction
from promptlab.stats.paired import paired
from promptlab.unit import unit_of
from promptlab.view import Plan, View

EVERY = 10.0  # seconds between plain lines


class Progress:
    """Counts what lands; draws a line. Decides nothing."""

    def __init__(self, out: Console, budget: Budget, repeats: int = 1) -> None:
        self.out, self.budget, self.repeats = out, budget, repeats
        self.live: Live | None = None
        self.started = self.said = time.monotonic()
        self.what, self.best = "preparing", ""
        self.todo = self.done = self.calls = self.cached = 0
        self.usd = 0.0
        self.round_started = self.started

    def opened(self, view: View, plan: Plan, meter: Meter) -> None:
        """A round begins: so many cells for so many variants."""
        del meter
        if plan.want:
            self.what = f"round {view.round}: looking for variants"
        else:
            scored = len({v for v, _ in plan.cells})
            left = f"{scored} of {len(view.variants)} variants go on" if scored else "every variant has its rows"
            self.what = f"round {view.round}: {left}"
        self._begin(len(plan.cells) * self.repeats)

    def preparing(self, what: str, done: int, of: int) -> None:
        """Something is made before the first round: ``done`` of so many."""
        self.what = f"{what}: {done:,} of {of:,}"
        if done == of and of:
            self._line(self.what)
        self._draw()

    def landed(self, call: Call) -> None:
        """One more call is answered."""
        self.done += 1
        self.calls += 1
        self.cached += call.cached
        self.usd += call.spent
        self._draw()

    def closed(self, view: View, plan: Plan, rows: Sequence[Prediction]) -> None:
        """A round is closed: who leads, with the interval of the difference to the baseline."""
        ranked = [v for v in view.ranking() if v != 0 and view.asked[v].any()]
        if ranked and rows:
            gap = paired(view.scores[ranked[0]], view.scores[0], 0, view.weights)
            unit = unit_of([view.scores])
            said = f" {unit.points(gap.delta)}{unit.span(gap.low, gap.high)}" if gap.n else ""  # no row shared so far
            self.best = f"best {view.variants[ranked[0]].id}{said}"
        if plan.want:
            found = len(view.variants) - 1
            self._line(f"round {view.round - 1}: {found} variant{'s' * (found != 1)} to try beside the baseline")
        else:
            self._line(
                " · ".join(part for part in (self.what, f"{len(rows)} rows scored", self._bill(), self.best) if part)
            )

    def testing(self, choice: Choice, view: View, calls: int) -> None:
        """Test is opened."""
        del view
        many = len(choice.finalists)
        self.what = f"test: the baseline and {many} finalist{'s' * (many != 1)}" if many else "test: the baseline"
        self._line(f"{self.what} · {calls} rows to score")
        self._begin(calls)

    def text(self) -> str:
        """The line."""
        passed = time.monotonic() - self.round_started
        share = f"{self.done}/{self.todo}" if self.todo else ""
        left = ""
        if self.todo and self.done >= 20 and passed > 1:
            left = f"{_clock(passed / self.done * max(0, self.todo - self.done))} left"
        return " · ".join(part for part in (self.what, share, left, self._bill(), self.best) if part)

    def _bill(self) -> str:
        """Calls so far, how many of them were known, and what was spent."""
        cap = f" of {self.budget.calls}" if self.budget.calls else ""
        known = f" ({self.cached} known)" if self.cached else ""
        spent = f" · {dollars(self.usd)}" if self.usd else ""
        return f"{self.calls}{cap} calls{known}{spent}"

    def _begin(self, cells: int) -> None:
        self.todo, self.done, self.round_started = cells, 0, time.monotonic()
        self._draw()

    def _draw(self) -> None:
        if self.live is None and time.monotonic() - self.said > EVERY:
            self._line(self.text())

    def _line(self, text: str) -> None:
        self.said = time.monotonic()
        if self.live is None:
            self.out.print(text, markup=False, highlight=False)

    def __rich__(self) -> Text:
        """What a live display shows, drawn a few times a second."""
        return Text(self.text(), overflow="ellipsis", no_wrap=True)


@contextmanager
def progress(out: Console, budget: Budget, repeats: int = 1) -> Iterator[Progress]:
    """A live line on a terminal, plain lines elsewhere."""
    if not out.is_terminal:
        yield Progress(out, budget, repeats)
        return
    bar = Progress(out, budget, repeats)
    with Live(bar, console=out, refresh_per_second=5, transient=True) as live:
        bar.live = live
        yield bar


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
