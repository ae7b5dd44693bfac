"""The trainer `none`: the files are written, and that is all."""

from __future__ import annotations

from promptlab.tune.memory import Memory
from promptlab.tune.trainer import Files, Job, Place


class Nothing:
    """Every job has ended once its files are written, and brings no model."""

    external = False
    width = 1

    def __init__(self, place: Place) -> None:
        self._place = place

    async def start(self, files: Files, seed: int, memory: Memory) -> Job:
        """See Trainer."""
        del seed, memory
        return Job(files.folder.name, "written", files.said)

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
