"""The transport of an experiment: one pool per endpoint, the embedded engine started where it is asked for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from promptlab.drive import Transport
from promptlab.errors import Interrupted
from promptlab.records import Call, Model, Request


@asynccontextmanager
async def connect(models: Iterable[Model]) -> AsyncIterator[Transport]:
    """Pools for the models' endpoints, closed at the end. Keys come from the environment by name."""
    from promptlab.endpoint.pool import Pool
    from promptlab.endpoint.router import Router

    pools = {}
    async with AsyncExitStack() as stack:
        for endpoint in dict.fromkeys(model.endpoint for model in models):
            url, key = endpoint.base_url, os.environ.get(endpoint.api_key_env, "") if endpoint.api_key_env else ""
            if endpoint.embedded:
                from promptlab.embedded.server import Server

                url = stack.enter_context(Server()).base_url
            pools[endpoint] = await stack.enter_async_context(Pool(endpoint, url, key or "none"))
        yield Router(pools)


class Recorded:
    """A transport without a wire: whatever the log does not hold was never answered."""

    width = 1

    async def call(self, request: Request) -> Call:
        """Always raises: the run stopped before this call."""
        raise Interrupted(f"the run is not complete: the call {request.key[:12]} was never answered", 3)
