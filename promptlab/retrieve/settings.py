"""What `retrieval` of an experiment says, and the slots that it opens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from promptlab.records import Model, Slot
from promptlab.retrieve.chunk import Chunking

NAME = "retrieval"
NONE = "none"
KNOWN = (NONE, "oracle", "wrong")
"""Retrievers that look for nothing: no query, nothing to rerank."""

When: TypeAlias = "tuple[tuple[str, tuple[Any, ...]], ...]"


@dataclass(frozen=True)
class Settings:
    """Where passages come from and the choices among them, each value a slot value.

    ``corpus`` is what ``corpus.read`` takes, relative to ``folder``; from there a user's own code is imported, too.
    ``chunks`` maps each value of the slot to its chunking. ``model`` rewrites and reranks, ``embedding`` embeds.
    """

    corpus: tuple[str | Mapping[str, Any], ...]
    folder: Path
    retriever: tuple[str, ...] = ("bm25",)
    k: tuple[int, ...] = (4,)
    chunks: Mapping[str, Chunking] = field(default_factory=dict)
    order: tuple[str, ...] = ("best-first",)
    query: tuple[str, ...] = ("input",)
    rerank: tuple[str, ...] = (NONE,)
    max_tokens: int | None = None
    embedding: Model | None = None
    model: Model | None = None

    @property
    def retrieving(self) -> tuple[str, ...]:
        """The retrievers that give passages."""
        return tuple(each for each in self.retriever if each != NONE)

    @property
    def looking(self) -> tuple[str, ...]:
        """The retrievers that look for a query."""
        return tuple(each for each in self.retriever if each not in KNOWN)


def slots(settings: Settings, templates: Sequence[str]) -> tuple[Slot, ...]:
    """The slots of retrieval, where a template that reads passages (one of ``templates``) is chosen."""
    if not templates:
        return ()
    when: When = (("template", tuple(templates)),)
    made = [_slot("retriever", settings.retriever, when)]
    if not settings.retrieving:
        return tuple(made)
    giving: When = (*when, (f"{NAME}.retriever", settings.retrieving))
    made.append(_slot("k", settings.k, giving, "number"))
    made.append(_slot("chunk", tuple(settings.chunks), giving))
    several = tuple(k for k in settings.k if k > 1)
    if several:
        made.append(_slot("order", settings.order, (*giving, (f"{NAME}.k", several))))
    if settings.looking:
        looking: When = (*when, (f"{NAME}.retriever", settings.looking))
        made.append(_slot("query", settings.query, looking))
        made.append(_slot("rerank", settings.rerank, looking))
    return tuple(made)


def _slot(name: str, values: tuple[Any, ...], when: When, kind: Any = "choice") -> Slot:
    return Slot(f"{NAME}.{name}", kind, values, when)


Complain: TypeAlias = Callable[[tuple[str | int, ...], str, str], None]
"""Notes a problem at a key of the experiment: (key, message, remedy)."""
