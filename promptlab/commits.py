"""Keeping answered calls before anything else sees them: those of one turn of the loop in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from promptlab.records import Call


class Commits:
    """Calls on their way into the log.

    ``record`` keeps them, ``halt`` hears what it raises, ``freed`` is called once for each call: whoever waits for its
    seat goes first, what the answers are worth can wait. So a kill costs what is in flight, no more.
    """

    def __init__(
        self, record: Callable[..., None], halt: Callable[[Exception], None], freed: Callable[[], None]
    ) -> None:
        self._record, self._halt, self._freed = record, halt, freed
        self._fresh: list[tuple[Call, asyncio.Future[None]]] = []

    def add(self, call: Call) -> asyncio.Future[None]:
        """Done when the log has the call, before the loop's next turn; raises what keeping it raised."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._fresh:
            loop.call_soon(self._commit)
        self._fresh.append((call, done))
        return done

    def _commit(self) -> None:
        fresh, self._fresh = self._fresh, []
        error: Exception | None = None
        try:
            self._record(*(call for call, _ in fresh))
        except Exception as failure:  # noqa: BLE001 - raised in whoever waits for it
            error = failure
            self._halt(error)  # before a seat is free: what would be sent now could not be kept
        for _ in fresh:
            self._freed()
        for _, done in fresh:
            if not done.done():
                done.set_exception(error) if error else done.set_result(None)
