"""Requests that wait to be sent together: by route and model, for a batch may hold only one of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from promptlab.endpoint.batch.notes import Row
from promptlab.endpoint.batch.settings import BatchSettings

Place = tuple[str, str]
"""Route and model."""
AROUND = 200  # bytes of a line around the body, at most


class Queue:
    """Hands rows to ``send``, at most ``most`` of one place at once: when these are there, or it has been quiet."""

    def __init__(self, settings: BatchSettings, send: Callable[[list[Row]], None]) -> None:
        self.most = settings.most
        self.size = settings.size
        self._settings = settings
        self._send = send
        self._rows: dict[Place, dict[str, Row]] = {}
        self._sizes: dict[Place, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._first = self._last = 0.0

    def add(self, row: Row) -> None:
        """One more; sent at once if it makes a batch full."""
        loop = asyncio.get_running_loop()
        place = _place(row)
        rows = self._rows.setdefault(place, {})
        size = row.size + AROUND
        if rows and self._sizes[place] + size > self.size:
            self._flush(place)
        self._last = loop.time()
        if not any(self._rows.values()):
            self._first = self._last
        rows[row.id] = row
        self._sizes[place] = self._sizes.get(place, 0) + size
        if len(rows) >= self.most:
            self._flush(place)
        elif self._timer is None:
            self._timer = loop.call_at(self.due, self._look)

    def remove(self, row: Row) -> None:
        """Nobody waits for it any more."""
        place = _place(row)
        if self._rows.get(place, {}).pop(row.id, None) is not None:
            self._sizes[place] -= row.size + AROUND

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def due(self) -> float:
        """When what waits is sent."""
        return min(self._last + self._settings.quiet, self._first + self._settings.longest)

    def _look(self) -> None:
        self._timer = None
        if not any(self._rows.values()):
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self.due:
            self._timer = loop.call_at(self.due, self._look)
            return
        for place in list(self._rows):
            self._flush(place)

    def _flush(self, place: Place) -> None:
        rows = list(self._rows[place].values())
        self._rows[place].clear()
        self._sizes[place] = 0
        for start in range(0, len(rows), self.most):  # `most` may have shrunk meanwhile
            self._send(rows[start : start + self.most])


def _place(row: Row) -> Place:
    return row.request.route, row.request.model.id
