"""Several endpoints behind one Transport: each request goes to the pool of its model's endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from promptlab.endpoint.pool import Pool
from promptlab.records import Call, Endpoint, Request


class Router:
    """A Transport over pools by endpoint. ``width`` is the sum of theirs; each still keeps to its own."""

    def __init__(self, pools: Mapping[Endpoint, Pool]) -> None:
        self._pools = dict(pools)
        self.width = sum(pool.width for pool in self._pools.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(self, request: Request) -> Call:
        """As Pool.call; KeyError if no pool was given for the model's endpoint."""
        return await self._pools[request.model.endpoint].call(request)

    async def close(self) -> None:
        """Close every pool, also when closing one of them fails."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
