"""Who plans the rounds of one search: the design block first where there is one, then the allocator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from promptlab.allocators import Allocator
from promptlab.design import Design
from promptlab.view import Plan, View


class Planner:
    """Plans round after round.

    An allocator relies on rows that were asked in its own order, so it does not see the cells of the design until it
    asks for them: then they are there, and cost nothing. ``generator`` is made anew for each of its rounds.
    """

    def __init__(
        self, allocator: Allocator, generator: Callable[[int], np.random.Generator], design: Design | None = None
    ) -> None:
        self._allocator, self._generator, self._design = allocator, generator, design
        self._round = 0
        self._hidden: set[tuple[int, int]] = set()

    def plan(self, view: View) -> Plan:
        """The plan of the coming round; its cells were never asked."""
        if self._design is not None and view.round == 0:
            cells = self._design.cells(view)
            self._hidden.update(cells)
            return Plan(cells)
        fell: list[int] = []
        while True:
            plan = self._allocator(self._shown(view), self._generator(self._round))
            self._round += 1
            known = self._hidden.intersection(plan.cells) if self._hidden else set()
            if not known:
                return replace(plan, dropped=(*fell, *plan.dropped)) if fell else plan
            self._hidden -= known
            fell += plan.dropped
            news = tuple(cell for cell in plan.cells if not view.asked[cell])
            if news or plan.want:
                return Plan(news, tuple(fell), plan.want)
            live = view.live.copy()
            live[fell] = False
            view = replace(view, live=live)  # every answer is there: the next round is planned at once

    def _shown(self, view: View) -> View:
        """The view as the allocator may see it."""
        if self._design is None:
            return view
        view = replace(view, round=self._round)
        if not self._hidden:
            return view
        scores, asked = view.scores.copy(), view.asked.copy()
        at = tuple(zip(*self._hidden, strict=True))
        scores[at], asked[at] = np.nan, False
        return replace(view, scores=scores, asked=asked)
