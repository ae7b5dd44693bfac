"""Several endpoints behind one Transport: each request goes to the lane of its model's endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from promptlab.endpoint.redact import shown
from promptlab.records import Call, Endpoint, Request


class Lane(Protocol):
    """The transport of one endpoint: a pool of requests in flight, or batches."""

    width: int

    @property
    def left_out(self) -> Mapping[str, tuple[str, ...]]:
        """By model id, the defaults of promptlab's own that the endpoint rejects."""

    async def call(self, request: Request) -> Call:
        """As a Transport's."""

    def stop(self) -> None:
        """Send nothing more; what was sent may still be answered."""

    async def close(self) -> None:
        """Close what is open; no call may be under way."""

    def notes(self) -> tuple[str, ...]:
        """What people should know of how the endpoint was asked."""


class Router:
    """A Transport over lanes by endpoint. ``width`` is the sum of theirs; each still keeps to its own."""

    def __init__(self, lanes: Mapping[Endpoint, Lane]) -> None:
        self._lanes = dict(lanes)
        self.width = sum(lane.width for lane in self._lanes.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(self, request: Request) -> Call:
        """As the lane's; KeyError if none was given for the model's endpoint."""
        return await self._lanes[request.model.endpoint].call(request)

    @property
    def left_out(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """By endpoint (as it may be shown) and model id, the defaults of promptlab's own that were rejected."""
        return {
            shown(endpoint.identity): dict(lane.left_out) for endpoint, lane in self._lanes.items() if lane.left_out
        }

    def notes(self) -> tuple[str, ...]:
        """What people should know of how the endpoints were asked; whole once they are closed."""
        return tuple(note for lane in self._lanes.values() for note in lane.notes())

    def stop(self) -> None:
        """Send nothing more; what was sent may still be answered."""
        for lane in self._lanes.values():
            lane.stop()

    async def close(self) -> None:
        """Close every lane, also when closing one of them fails."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
