"""What a trainer is: it starts a job, looks at it, cancels it, and in the end says what the model is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from promptlab.errors import BadInput, Problem, nearest
from promptlab.importing import imported
from promptlab.records import Model
from promptlab.tune import TRAINERS
from promptlab.tune.memory import Memory
from promptlab.tune.settings import TuneSettings

State = Literal["queued", "running", "written", "succeeded", "failed", "cancelled"]
OWN = "Your own is package.module:name, called with a Place."
ENDED = ("written", "succeeded", "failed", "cancelled")
INSIDE = ("none", "given")
"""Trainers that start nothing outside of promptlab."""
"""``written``: the files are there, and nothing was trained."""


@dataclass(frozen=True, slots=True)
class Files:
    """What one job is trained on. ``train`` and ``valid`` are files for the method, chats or pairs; ``rows`` counts.

    ``recipe`` hashes all that the model is made of: whoever trains the same gets the same name. ``valid`` may hold
    no rows (``checked`` = 0).
    """

    folder: Path
    train: Path
    valid: Path
    rows: int
    checked: int
    recipe: str

    @property
    def said(self) -> tuple[str, ...]:
        """What is worth telling of the files."""
        if self.checked:
            return ()
        return (f"{self.valid.name} is empty: no training row is left to look at while training",)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of a job. ``base_url`` None: the base model's endpoint serves it."""

    model_id: str
    base_url: str | None = None
    train_tokens: int | None = None
    seconds: float | None = None
    status: State = "succeeded"
    error: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A job at one moment. ``said`` are lines of progress since the last look; ``tuned`` is there once it has ended."""

    id: str
    status: State
    said: tuple[str, ...] = ()
    tuned: Tuned | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trainer works: the base model, the address that serves it (empty: none is needed), its key."""

    base: Model
    settings: TuneSettings
    folder: Path
    url: str = ""
    api_key: str = ""


def outside(name: str, base: Model | None) -> bool:
    """Whether a trainer of that name spends something or leaves the machine, as far as can be told before it is made.

    One's own does until it says otherwise (``external``).
    """
    engine = name == "openai" and base is not None and base.endpoint.embedded
    return name not in INSIDE and not engine


class Trainer(Protocol):
    """Raises BadInput for what the user must mend, EndpointUnusable for what the endpoint cannot do.

    ``external``: something is spent or leaves the machine, so that people are asked first. ``width``: jobs at once.
    One that has ``limits`` = True ends a job itself that takes longer than ``minutes``; else it is left alone.
    """

    external: bool
    width: int

    async def start(self, files: Files, seed: int, memory: Memory) -> Job:
        """A job on these files: a new one, or the one that ``memory`` knows. Notes what a second start must know."""
        ...

    async def poll(self, job: Job, memory: Memory) -> Job:
        """The job as it is now. The trainer waits between two looks as long as it sees fit."""
        ...

    async def cancel(self, memory: Memory) -> str:
        """Stop the job that ``memory`` knows; what happened, in words."""
        ...

    async def close(self) -> None:
        """Close what is open; jobs go on."""
        ...


def trainer(name: str, place: Place) -> Trainer:
    """The trainer of that name at work. Raises BadInput: no such trainer, an import that fails, not a trainer."""
    who = f"trainer {name!r}"
    if name not in TRAINERS and ":" not in name:
        raise BadInput(Problem(f"{who}: there is no such trainer", remedy=f"{nearest(name, TRAINERS)} {OWN}"))
    target = imported(who, TRAINERS.get(name, name), place.folder, TRAINERS)
    try:
        made: Trainer = target(place)
    except TypeError as error:
        raise BadInput(Problem(f"{who} cannot be called with (place): {error}", remedy=OWN)) from None
    lacking = [each for each in ("start", "poll", "cancel", "close", "external", "width") if not hasattr(made, each)]
    if lacking:
        raise BadInput(Problem(f"{who} has no {', '.join(lacking)}", remedy=OWN))
    return made
