"""The trainer `given`: a tuned model that exists already; its endpoint is asked whether it has it."""

from __future__ import annotations

from promptlab.endpoint.redact import shown
from promptlab.endpoint.retry import Backoff
from promptlab.errors import BadInput, Problem, nearest
from promptlab.tune.memory import Memory
from promptlab.tune.trainer import Files, Job, Place, Tuned
from promptlab.tune.wire import Wire


class Given:
    """Nothing is trained; BadInput if the id is none that the endpoint has."""

    external = False
    width = 1

    def __init__(self, place: Place) -> None:
        self._place = place
        self._wire = Wire(place, Backoff())

    async def start(self, files: Files, seed: int, memory: Memory) -> Job:
        """See Trainer."""
        del files, seed, memory
        name = self._place.settings.given
        there, listed = await self._wire.knows(name)
        if not there:
            what = f"`tune.given`: {shown(self._place.url)} has no model {name!r}"
            raise BadInput(Problem(what, remedy=nearest(name, listed)))
        return Job(name, "succeeded", (), Tuned(name))

    async def poll(self, job: Job, memory: Memory) -> Job:
        """See Trainer."""
        del memory
        return job

    async def cancel(self, memory: Memory) -> str:
        """See Trainer."""
        del memory
        return "there is no job"

    async def close(self) -> None:
        """See Trainer."""
        await self._wire.close()
