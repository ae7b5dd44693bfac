"""The trainer `given`: a tuned model that exists already; its endpoint is asked whether it has it."""

from __future__ import annotations

from promptlab.endpoint.redact import shown
from promptlab.endpoint.retry import Backoff
from promptlab.errors import BadInput, EndpointUnusable, Problem, nearest
from promptlab.tune.memory import Memory
from promptlab.tune.trainer import Files, Job, Place, Tuned
from promptlab.tune.wire import Wire


class Given:
    """Nothing is trained; BadInput if the id is the base's, or none that the endpoint has."""

    external = False
    width = 1

    def __init__(self, place: Place) -> None:
        self._place = place
        self._wire = Wire(place, Backoff())

    async def start(self, files: Files, seed: int, memory: Memory) -> Job:
        """See Trainer."""
        del files, seed, memory
        name, base = self._place.settings.given, self._place.base
        if name == base.id:
            remedy = "Name the tuned model; the base is compared with it anyway."
            raise BadInput(Problem(f"`tune.given`: {name!r} is the base model itself", remedy=remedy))
        silent = await self._wire.silent()
        if silent:
            remedy = "Start it, or mend base_url; then the same command goes on."
            raise EndpointUnusable(
                f"{shown(self._place.url)}: nobody says whether {name!r} is there ({silent}). {remedy}"
            )
        there, listed = await self._wire.knows(name)
        if not there:
            who = "the offline engine" if base.endpoint.embedded else shown(self._place.url)
            near = self._wire.hidden.told(nearest(name, [each for each in listed if each != base.id]))
            raise BadInput(Problem(f"`tune.given`: {who} has no model {name!r}", remedy=near))
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
