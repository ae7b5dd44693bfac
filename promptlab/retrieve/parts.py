"""What an experiment's retrieval is made of: its retrievers and rerankers by name, ours and a user's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.importing import imported, source_of
from promptlab.retrieve import RETRIEVERS, Retriever
from promptlab.retrieve.pool import Factory, Pool, Progress, quiet
from promptlab.retrieve.rerank import Reranking
from promptlab.retrieve.settings import NONE, Settings

EMBEDDING = frozenset({"dense", "hybrid", "lancedb", "qdrant"})
"""Retrievers of ours that ask the embedding model. A user's own may, too."""
RERANKERS = (NONE, "model")
SHAPES = "Name a function (query, k) that gives passages, or a factory that gets a pool and returns such a function."


@dataclass(frozen=True)
class Parts:
    """Implementations by the names that the experiment gives them.

    ``sources`` are the code of a user's own; ``embedding`` the names that ask the embedding model; ``cache`` is where
    indexes and vectors are kept; ``anew``: every vector is asked for, as a run does whose log has to hold them all.
    """

    retrievers: Mapping[str, Factory]
    rerankers: Mapping[str, Reranking] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    embedding: frozenset[str] = EMBEDDING
    cache: Path | None = None
    progress: Progress = quiet
    anew: bool = False


def loaded(settings: Settings, cache: Path | None = None, progress: Progress = quiet) -> Parts:
    """Everything that the settings name, imported. Raises BadInput with every name that is not there."""
    problems: list[Problem] = []
    retrievers = {name: _one("retriever", name, RETRIEVERS, settings, problems) for name in settings.retrieving}
    named = [name for name in settings.rerank if name not in RERANKERS]
    rerankers = {name: _one("reranker", name, {}, settings, problems) for name in named}
    if problems:
        raise BadInput(problems)
    shaped = {name: _factory(name, each, problems) if ":" in name else each for name, each in retrievers.items()}
    if problems:
        raise BadInput(problems)
    own = {name: each for name, each in (*retrievers.items(), *rerankers.items()) if ":" in name}
    sources = {name: source_of(each) for name, each in own.items()}
    asking = EMBEDDING | {name for name in own if name in retrievers and settings.embedding is not None}
    return Parts(shaped, rerankers, sources, asking, cache, progress)


@dataclass(frozen=True, slots=True)
class Search:
    """A user's function (query, k), that looks for itself where it likes: as a factory, for any pool."""

    function: Retriever

    def __call__(self, pool: Pool) -> Retriever:  # noqa: ARG002 - a factory's shape
        """The function: it knows its own passages."""
        return self.function


def _factory(name: str, found: Any, problems: list[Problem]) -> Factory:
    """A user's own as a factory: it is one, or it is a function (query, k)."""
    try:
        shape = inspect.signature(found)
    except (TypeError, ValueError):  # code that does not say what it takes
        shape = inspect.signature(lambda pool: pool)
    names = [each.name for each in shape.parameters.values()]
    if not inspect.isclass(found) and (names[:2] == ["query", "k"] or not _takes(shape, 1)) and _takes(shape, 2):
        return Search(found)
    if not _takes(shape, 1):
        problems.append(Problem(f"the retriever {name!r} takes ({', '.join(names)})", remedy=SHAPES))
    factory: Factory = found
    return factory


def _takes(shape: inspect.Signature, count: int) -> bool:
    try:
        shape.bind(*range(count))
    except TypeError:
        return False
    return True


def _one(kind: str, name: str, known: Mapping[str, str], settings: Settings, problems: list[Problem]) -> Any:
    who = f"the {kind} {name!r}"
    if name not in known and ":" not in name:
        names = [*known, *(() if known else RERANKERS)]
        remedy = f"{nearest(name, names)} Your own is package.module:name."
        problems.append(Problem(f"{who}: there is no such {kind}", remedy=remedy))
        return None
    try:
        found = imported(who, known.get(name, name), settings.folder, known)
    except BadInput as error:
        problems += error.problems
        return None
    if not callable(found):
        problems.append(Problem(f"{who} cannot be called", remedy="Name a function or a class."))
    return found
