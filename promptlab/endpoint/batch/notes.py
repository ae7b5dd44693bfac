"""What is known of batches after a kill: which requests each holds, and what the endpoint calls it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from promptlab.endpoint.batch.lines import Line
from promptlab.records import Call, Request

INDEX = "batches"
State = Literal["sending", "sent", "done"]


class Memory(Protocol):
    """What outlives the process."""

    def fact(self, name: str) -> Any:
        """A noted fact, or None."""

    def note(self, name: str, value: Any) -> None:
        """Note a fact; committed when this returns."""


@dataclass(slots=True, eq=False)
class Row:
    """A request on its way. ``sent`` counts the batches that it was in, ``tries`` those that failed it.

    ``since`` is when the first was made; ``without`` are the parameters that were left out of it; ``waiting`` counts
    who waits for the answer.
    """

    request: Request
    answer: Any  # asyncio.Future[Call]
    size: int
    waiting: int = 0
    sent: int = 0
    tries: int = 0
    garbage: int = 0
    since: float = 0.0
    without: tuple[str, ...] = ()
    chunk: Chunk | None = None

    @property
    def id(self) -> str:
        """Its custom_id."""
        return short(self.request.key)

    def land(self, call: Call) -> None:
        """Answer whoever waits."""
        if not self.answer.done():
            self.answer.set_result(call)


@dataclass(slots=True, eq=False)
class Chunk:
    """One batch. ``left`` are the ids of requests whose answers nobody has taken yet; ``rows`` are asked for now.

    ``followed``: any was ever asked for in this process; ``resumed``: another process sent it.
    ``order`` are the ids line by line; ``file`` and ``batch`` the endpoint's ids, empty while unknown. ``found`` is
    what the ended batch brought, ``cut`` if there was more than is read, ``whole`` if that is all of it.
    """

    name: str
    route: str
    model: str
    left: set[str]
    at: float
    file: str = ""
    batch: str = ""
    resumed: bool = False
    followed: bool = False
    rows: dict[str, Row] = field(default_factory=dict)
    found: dict[str, list[Line]] | None = None
    order: tuple[str, ...] = ()
    status: str = ""
    cut: bool = False
    whole: bool = False


def short(key: str) -> str:
    """The custom_id of a request: half of its key is still unique, and the file is smaller."""
    return key[:32]


class Notes:
    """The chunks of one endpoint in the memory of the run: an index, and the ids of each chunk that is not done."""

    def __init__(self, memory: Memory, endpoint: str) -> None:
        self._memory = memory
        self._endpoint = endpoint

    def new(self, route: str, model: str, ids: Collection[str]) -> Chunk:
        """A chunk that is about to be sent: noted before anything of it leaves."""
        chunk = Chunk(secrets.token_hex(16), route, model, set(ids), time.time())
        self._memory.note(_ids(chunk.name), sorted(ids))
        self.keep(chunk)
        return chunk

    def keep(self, chunk: Chunk, state: State | None = None) -> None:
        """Note what the endpoint calls it, and its state."""
        entry = {
            "endpoint": self._endpoint,
            "route": chunk.route,
            "model": chunk.model,
            "at": chunk.at,
            "requests": len(chunk.left),
            "state": state or ("sent" if chunk.batch else "sending"),
            "file": chunk.file,
            "batch": chunk.batch,
        }
        index = self._index()
        entry["requests"] = index.get(chunk.name, entry)["requests"]  # as it was sent, not what is left of it
        self._memory.note(INDEX, index | {chunk.name: entry})

    def shrink(self, chunk: Chunk) -> None:
        """Note that only ``left`` is still to be taken; nothing left: done."""
        self._memory.note(_ids(chunk.name), sorted(chunk.left))
        if not chunk.left:
            self.keep(chunk, "done")

    def open(self) -> list[Chunk]:
        """The chunks that were sent, or nearly, and whose answers were not all taken; oldest first."""
        found = [self._chunk(name, entry) for name, entry in self._index().items()]
        return sorted((each for each in found if each and each.left), key=lambda chunk: chunk.at)

    def _index(self) -> dict[str, dict[str, Any]]:
        noted = self._memory.fact(INDEX)
        return noted if isinstance(noted, dict) else {}

    def _chunk(self, name: str, entry: dict[str, Any]) -> Chunk | None:
        if entry["endpoint"] != self._endpoint or entry["state"] == "done":
            return None
        left = set(self._memory.fact(_ids(name)) or ())
        file, batch = entry["file"], entry["batch"]
        return Chunk(name, entry["route"], entry["model"], left, entry["at"], file, batch, resumed=True)


def _ids(name: str) -> str:
    return f"{INDEX}.{name}"
