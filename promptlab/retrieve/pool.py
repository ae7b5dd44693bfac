"""The passages that a retriever may find, and where what is made of them is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from promptlab.records import Model, Passage
from promptlab.retrieve import Retriever

Progress: TypeAlias = Callable[[str, int, int], None]


def quiet(what: str, done: int, of: int) -> None:
    """Progress that nobody watches: ``done`` of so many passages have had this done to them."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Passages in corpus order. ``key`` hashes their content; ``cache`` is the folder of all indexes, None = keep none.

    ``embed`` is the model for vectors; ``progress`` is told of slow work. ``anew``: vectors that others kept are not
    looked at, every one is asked for.
    """

    passages: tuple[Passage, ...]
    key: str
    cache: Path | None = None
    embed: Model | None = None
    progress: Progress = field(default=quiet, repr=False)
    anew: bool = False

    @property
    def vectors(self) -> Path | None:
        """Where vectors are kept; None = in memory alone."""
        return None if self.anew else self.cache

    @classmethod
    def of(cls, passages: Iterable[Passage], cache: Path | None = None, embed: Model | None = None) -> Pool:
        """The pool of some passages, with its key."""
        held = tuple(passages)
        return cls(held, content_key(held), cache, embed)

    def texts(self) -> Iterator[str]:
        """What is searched of each passage: its title, if it has one, and its text."""
        return (f"{each.title}\n{each.text}" if each.title else each.text for each in self.passages)

    def found(self, places: Sequence[int], scores: Sequence[float]) -> tuple[Passage, ...]:
        """The passages at some places, with their scores."""
        return tuple(replace(self.passages[p], score=s) for p, s in zip(places, scores, strict=True))


Factory: TypeAlias = Callable[[Pool], Retriever]


def content_key(passages: Sequence[Passage]) -> str:
    """A hash of what can be found and in which order: ids, titles and texts."""
    digest = hashlib.sha256()
    for each in passages:
        for part in (each.id, each.title, each.text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data))
            digest.update(data)
    return digest.hexdigest()[:32]
