"""Round 0: indexes built, the corpus and the queries of dev embedded, before anything is asked about them."""

from __future__ import annotations

from promptlab.drive import Driver
from promptlab.errors import Interrupted
from promptlab.inputs import Relay
from promptlab.meter import Cost
from promptlab.prepare import Prepared
from promptlab.retrieve.pool import Progress, quiet


async def stocked(prepared: Prepared, driver: Driver, hear: Progress, held: Cost) -> None:
    """Make ready what retrieval needs; nothing where the experiment retrieves nothing. Its calls count in the budget.

    Raises EndpointUnusable where the corpus cannot be embedded, Interrupted where the budget ends before it is.
    """
    shelf = prepared.task.shelf
    if shelf is None:
        return
    relay = shelf.library.parts.progress
    before = relay.hear if isinstance(relay, Relay) else quiet
    if isinstance(relay, Relay):
        relay.hear = hear
    driver.meter.reserved = held
    try:
        done = await driver.run([shelf.preparation()], lambda *_: True)
        made = await driver.run(shelf.queries(prepared.rows.dev), lambda _place, _value, calls: calls) if done else []
        shelf.made([call for calls in made for call in calls or ()])
    finally:
        if isinstance(relay, Relay):
            relay.hear = before
    if not done:
        raise Interrupted(
            "the budget was spent before the corpus was embedded. Every answer is kept: with a higher search.budget "
            "they cost nothing again.",
            3,
        )
