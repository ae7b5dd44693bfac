"""Live progress: what goes on, how far, what it cost, the best so far, time left. Plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from promptlab.final import Choice
from promptlab.meter import Meter
from promptlab.records import Budget, Call, Prediction
from promptlab.stats import paired
from promptlab.verdict import points
from promptlab.view import Plan, View

EVERY = 10.0  # seconds between plain lines


class Progress:
    """Counts what lands; draws a line. Decides nothing."""

    def __init__(self, out: Console, budget: Budget, live: Live | None) -> None:
        self.out, self.budget, self.live = out, budget, live
        self.started = self.said = time.monotonic()
        self.what, self.best = "preparing", ""
        self.todo = self.done = self.calls = self.cached = 0
        self.usd = 0.0
        self.round_started = self.started

    def opened(self, view: View, plan: Plan, meter: Meter) -> None:
        """A round begins: so many cells for so many variants."""
        del meter
        cells = len(plan.cells)
        self.what = f"round {view.round}: {int(view.live.sum())} of {len(view.variants)} variants alive"
        if plan.want:
            self.what = f"round {view.round}: looking for up to {plan.want} variants"
        self._begin(cells)

    def landed(self, call: Call) -> None:
        """One more call is answered."""
        self.done += 1
        self.calls += 1
        self.cached += call.cached
        self.usd += call.spent
        self._draw()

    def closed(self, view: View, plan: Plan, rows: Sequence[Prediction]) -> None:
        """A round is closed: who leads, with the interval of the difference to the baseline."""
        del plan
        ranked = [v for v in view.ranking() if v != 0 and view.asked[v].any()]
        if ranked and rows:
            gap = paired(view.scores[ranked[0]], view.scores[0], 0, view.weights)
            span = f"[{points(gap.low)}, {points(gap.high)}]"
            self.best = f"best so far {view.variants[ranked[0]].id} {points(gap.delta)} {span} to the baseline"
        self._line(f"{self.what}; {len(rows)} cells scored; {self.best}".rstrip("; "))

    def testing(self, choice: Choice, view: View, calls: int) -> None:
        """Test is opened."""
        del view
        self.what = f"test: {len(choice.finalists)} finalists and the baseline"
        self._begin(calls)

    def text(self) -> str:
        """The line."""
        passed = time.monotonic() - self.round_started
        share = f"{self.done}/{self.todo}" if self.todo else ""
        left = ""
        if self.todo and self.done >= 20 and passed > 1:
            left = f"{_clock(passed / self.done * max(0, self.todo - self.done))} left"
        cost = f"${self.usd:.4f}" if self.usd else ""
        calls = f"{self.calls} calls ({self.cached} known)" if self.cached else f"{self.calls} calls"
        cap = f" of {self.budget.calls}" if self.budget.calls else ""
        return " · ".join(part for part in (self.what, share, calls + cap, cost, self.best, left) if part)

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
def progress(out: Console, budget: Budget) -> Iterator[Progress]:
    """A live line on a terminal, plain lines elsewhere."""
    if not out.is_terminal:
        yield Progress(out, budget, None)
        return
    bar: Any = Progress(out, budget, None)
    with Live(bar, console=out, refresh_per_second=5, transient=True) as live:
        bar.live = live
        yield bar


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
