"""The transport of an experiment: a lane per endpoint, the embedded engine started where it is asked for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import Interrupted
from promptlab.records import Call, Endpoint, Model, Request
from promptlab.store import Store

if TYPE_CHECKING:
    from promptlab.endpoint.dialect import Dialect
    from promptlab.endpoint.router import Lane, Router

Dialects = Mapping[Endpoint, Mapping[str, "Dialect"]]


@asynccontextmanager
async def connect(
    models: Iterable[Model], store: Store, dialects: Dialects, tuned: Path | None = None
) -> AsyncIterator[Router]:
    """Lanes to the models' endpoints, closed at the end. Keys come from the environment by name.

    ``store`` remembers batches; ``dialects`` are by endpoint and model id; ``tuned`` holds the engine's tuned models.
    """
    from promptlab.endpoint.router import Router

    lanes = {}
    async with AsyncExitStack() as stack:
        for endpoint in dict.fromkeys(model.endpoint for model in models):
            url = endpoint.base_url
            if endpoint.embedded:
                from promptlab.embedded.server import Server
                from promptlab.embedded.tuned import SHELF

                SHELF.keep_in(tuned)
                url = stack.enter_context(Server()).base_url
            lanes[endpoint] = _lane(endpoint, url, store, dialects.get(endpoint, {}))
        yield await stack.enter_async_context(Router(lanes))


def _lane(endpoint: Endpoint, url: str, store: Store, dialects: Mapping[str, Dialect]) -> Lane:
    key = os.environ.get(endpoint.api_key_env, "") if endpoint.api_key_env else ""
    if endpoint.mode == "pool":
        from promptlab.endpoint.pool import Pool

        return Pool(endpoint, url, key or "none", dialects=dialects)
    from promptlab.endpoint.batch import settings
    from promptlab.endpoint.batch.batch import Batch

    pace = settings.ENGINE if endpoint.embedded else settings.USUAL
    return Batch(endpoint, url, key, store, dialects=dialects, settings=pace)


class Recorded:
    """The log of a finished run as its own transport: nothing is sent, nothing is written.

    Whatever the log does not hold was never asked; what failed for good fails again.
    """

    width = 1

    def __init__(self, store: Store) -> None:
        self._store = store

    async def call(self, request: Request) -> Call:
        """Always raises: the run stopped before this call."""
        raise Interrupted(f"the run is not complete: the call {request.key[:12]} was never made", 3)

    def stop(self) -> None:
        """Nothing is sent anyway."""

    def known(self, key: str) -> Call | None:
        """The call of this key, answered or failed."""
        return self._store.logged(key)

    found = known

    def record(self, *calls: Call) -> None:
        """Everything is in the log already."""

    def spent(self) -> float:
        """Nothing can be spent here, so nothing needs a stop."""
        return 0.0

    def totals(self) -> dict[str, tuple[int, float]]:
        """As the log has them."""
        return self._store.totals()

    def trace(self, number: int, summary: Mapping[str, Any], asks: Iterable[tuple[Any, ...]]) -> None:
        """Every round is in the log already."""
