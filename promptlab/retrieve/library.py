"""The passages of a row: query, retriever, rerank, limit, order; each worked out once per query and setting."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from typing import Any, Self

from promptlab.errors import BadInput, Problem, PromptlabError
from promptlab.records import CANONICAL, Example, Flow, Passage
from promptlab.retrieve import Retriever
from promptlab.retrieve.chunk import chunks
from promptlab.retrieve.contents import contents, digest_of
from promptlab.retrieve.document import Document
from promptlab.retrieve.limit import limited
from promptlab.retrieve.order import ordered
from promptlab.retrieve.parts import SHAPES, Parts
from promptlab.retrieve.pool import Factory, Pool
from promptlab.retrieve.query import joined, query
from promptlab.retrieve.replay import Once
from promptlab.retrieve.rerank import rerank
from promptlab.retrieve.settings import NAME, NONE, Settings

OVER = 4
"""Where passages are reranked, so many times k are looked for, and the best k kept."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the slots of one variant say of retrieval."""

    retriever: str
    k: int
    chunk: str
    order: str
    query: str
    rerank: str

    @classmethod
    def of(cls, slots: Mapping[str, Any], settings: Settings) -> Self:
        """A variant's setting; slots that do not exist for it have their first value, and mean nothing."""
        first = {
            "retriever": NONE, "k": settings.k[0], "chunk": next(iter(settings.chunks)), "order": settings.order[0],
            "query": settings.query[0], "rerank": NONE,
        }  # fmt: skip
        return cls(**{name: slots.get(f"{NAME}.{name}", value) for name, value in first.items()})

    @property
    def depth(self) -> int:
        """How many passages are looked for."""
        return self.k * (OVER if self.rerank != NONE else 1)


@dataclass(frozen=True)
class Library:
    """A corpus, and every way to find something in it that an experiment names. ``parts`` are its implementations.

    ``duplicates``: the ids of documents that were dropped, each with that of the equal one that stayed. ``skipped``:
    "path: why" of what was passed over.
    """

    settings: Settings
    documents: tuple[Document, ...]
    parts: Parts
    duplicates: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    _pools: dict[str, Pool] = field(default_factory=dict, repr=False)
    _retrievers: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)
    _ready: set[tuple[str, str]] = field(default_factory=set, repr=False)
    _once: Once = field(default_factory=Once, repr=False)

    def find(self, slots: Mapping[str, Any], example: Example) -> Flow[tuple[Passage, ...]]:
        """The passages that a variant of these slots shows for a row, in the order in which it shows them.

        Whoever asks again for the same asks for the same calls, all known by then, and nothing is computed. Raises
        CallFailed where a call failed: the row is missing then, not wrong.
        """
        setting = Setting.of(slots, self.settings)
        if setting.retriever == NONE:
            return ()
        found = yield from self.ranked(setting, example)
        places = self._places(setting.chunk) if setting.order == "document" else {}
        return ordered(found, setting.order, lambda each: places.get(each.id, len(places)))

    def ranked(self, setting: Setting, example: Example) -> Flow[tuple[Passage, ...]]:
        """The passages, best first, before they are put in the order of the prompt."""
        retriever = self.retriever(setting.retriever, setting.chunk)
        yield from self._prepared(setting.retriever, setting.chunk)
        where = (setting.retriever, setting.chunk, setting.depth)
        if hasattr(retriever, "for_example"):  # it knows the row's answer, and looks for nothing
            own = retriever.for_example(example)
            found = yield from self._once.flow(
                (where, "row", example.id, example.gold), lambda: own(joined(example), setting.depth)
            )
            return limited(found[: setting.k], self.settings.max_tokens)
        told = (setting.query, CANONICAL.encode([str(each) for each in (*example.inputs, *example.inputs.values())]))
        text = yield from self._once.flow(told, lambda: query(setting.query, example, self.settings.model))
        found = yield from self._once.flow(
            (where, "query", text), lambda: self._looked(setting, retriever, text, example)
        )
        ranked = (where, "rank", text, setting.rerank, setting.k)
        return (yield from self._once.flow(ranked, lambda: self._chosen(setting, found, text)))

    def _looked(self, setting: Setting, retriever: Retriever, text: str, example: Example) -> Flow[tuple[Passage, ...]]:
        """What the retriever finds; a user's own is looked at, and named where it fails."""
        if ":" not in setting.retriever:
            return (yield from retriever(text, setting.depth))
        try:
            given: Any = retriever(text, setting.depth)
            found = tuple(map(_passage, (yield from given) if inspect.isgenerator(given) else given, count(1)))
        except (PromptlabError, GeneratorExit):
            raise
        except Exception as error:
            what = f"failed on row {example.id}: {type(error).__name__}: {error}"
            raise _wrong(setting.retriever, what) from error
        if not all(isinstance(each, Passage) for each in found):
            raise _wrong(setting.retriever, "gave something else than passages or pairs (id, text)")
        if len({each.id for each in found}) < len(found) or len(found) > setting.depth:
            raise _wrong(setting.retriever, f"gave a passage twice, or more than the {setting.depth} asked for")
        return found

    def _chosen(self, setting: Setting, found: tuple[Passage, ...], text: str) -> Flow[tuple[Passage, ...]]:
        by: Any = self.settings.model if setting.rerank == "model" else self.parts.rerankers.get(setting.rerank)
        if setting.rerank != NONE:
            found = yield from rerank(found, text, by, setting.rerank)
        return limited(found[: setting.k], self.settings.max_tokens)

    def pool(self, chunk: str) -> Pool:
        """The corpus cut in one way."""
        if chunk not in self._pools:
            way, settings = self.settings.chunks[chunk], self.settings
            cut = [each for document in self.documents for each in chunks(document, way)]
            made = Pool.of(cut, self.parts.cache, settings.embedding)
            self._pools[chunk] = replace(made, progress=self.parts.progress, anew=self.parts.anew)
        return self._pools[chunk]

    def retriever(self, name: str, chunk: str) -> Any:
        """A retriever over the corpus cut in one way; made once."""
        if (name, chunk) not in self._retrievers:
            pool = self.pool(chunk)
            self._retrievers[name, chunk] = _made(name, self.parts.retrievers[name], pool)
        return self._retrievers[name, chunk]

    def _prepared(self, name: str, chunk: str) -> Flow[None]:
        """Whatever a retriever needs before its first query; nothing where that was done."""
        if (name, chunk) in self._ready:
            return
        for each in _members(self.retriever(name, chunk)):
            if hasattr(each, "prepare"):
                yield from each.prepare()
        self._ready.add((name, chunk))

    def preparation(self) -> Iterator[Flow[None]]:
        """A flow for each retriever and chunking: indexes built or read, the corpus embedded. One after the other."""
        for chunk in self.settings.chunks:
            for name in self.settings.retrieving:
                yield self._prepared(name, chunk)

    def missing(self) -> int:
        """How many texts are yet to be embedded before anything can be looked for."""
        wanted: dict[str, None] = {}
        for chunk in self.settings.chunks:
            for name in self.settings.retrieving:
                for each in _members(self.retriever(name, chunk)):
                    wanted |= dict.fromkeys(getattr(each, "missing", ()))
        return len(wanted)

    def _places(self, chunk: str) -> Mapping[str, int]:
        known = self._order.get(chunk)
        if known is None:
            known = self._order[chunk] = {each.id: at for at, each in enumerate(self.pool(chunk).passages)}
        return known

    @cached_property
    def _order(self) -> dict[str, Mapping[str, int]]:
        return {}

    @cached_property
    def names(self) -> dict[str, str]:
        """What else a document may be called, with its id: as a duplicate, or by a file name that no other has."""
        bare: dict[str, set[str]] = {}
        ids = {each.id for each in self.documents} | self.duplicates.keys()
        for each in {each.id for each in self.documents if each.id == each.path} | self.duplicates.keys():
            bare.setdefault(each.rpartition("/")[2], set()).add(self.duplicates.get(each, each))
        alone = {name: next(iter(of)) for name, of in bare.items() if len(of) == 1 and "." in name and name not in ids}
        return alone | dict(self.duplicates)

    def contents(self) -> dict[tuple[str, Any], str]:
        """What the values of slots stand for, as hashes: for the ids of variants."""
        return contents(self.settings, self.parts, self.hash)

    @cached_property
    def hash(self) -> str:
        """sha256 of the documents, in order."""
        return digest_of(self.documents)


def _members(retriever: Any) -> tuple[Any, ...]:
    """A retriever, and those that it asks."""
    return retriever, *getattr(retriever, "members", ())


def _made(name: str, factory: Factory, pool: Pool) -> Any:
    """What a factory makes. Raises BadInput where a user's own fails, or makes nothing that can be asked."""
    if ":" not in name:
        return factory(pool)
    try:
        made: Any = factory(pool)
    except PromptlabError:
        raise
    except Exception as error:
        what = f"the retriever `{name}`: its factory failed: {type(error).__name__}: {error}"
        raise BadInput(Problem(" ".join(what.split()), remedy=SHAPES)) from error
    if not callable(made):
        what = f"the retriever `{name}`: its factory made {type(made).__name__}, which cannot be called"
        raise BadInput(Problem(what, remedy=SHAPES))
    return made


def _passage(found: Any, rank: int) -> Any:
    """A pair (id, text) as a passage, its score that of its rank; anything else as it is."""
    if isinstance(found, tuple | list) and len(found) == 2 and all(isinstance(each, str) for each in found):
        return Passage(found[0], found[1], 1 / rank, source=found[0])
    return found


def _wrong(name: str, what: str) -> BadInput:
    remedy = "It takes (query, k) and gives at most k passages, the best first. Every answer so far is kept."
    return BadInput(Problem(f"the retriever `{name}` {what}", remedy=remedy))
