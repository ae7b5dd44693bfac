"""The passages of a row in an experiment that retrieves: found by asking, or foreseen where nobody may be asked."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from promptlab.errors import CallFailed
from promptlab.records import Call, Example, Flow, Passage, Request, Variant
from promptlab.retrieve import embedding
from promptlab.retrieve.bound import Bound
from promptlab.retrieve.decode import binary
from promptlab.retrieve.gold import Answers
from promptlab.retrieve.grounded import grounded
from promptlab.retrieve.library import Library, Setting
from promptlab.retrieve.measure import measures
from promptlab.retrieve.order import ordered
from promptlab.retrieve.parts import EMBEDDING
from promptlab.retrieve.query import ORDERS, query
from promptlab.retrieve.settings import KNOWN, NAME, NONE, Settings
from promptlab.retrieve.spec import sources
from promptlab.retrieve.table import SUFFIXES
from promptlab.steps import Known, rehearsed, reminded, settled

SLOT = f"{NAME}.retriever"
JUDGED = "model"
"""The rerank that asks a model."""

TEXTS = (*SUFFIXES, ".pdf")
"""Files that may look binary and are read none the less."""

STANDING_IN = "The passages are not known without asking: these are the longest that the corpus has."
"""What is told beside a prompt whose passages are not those that would be sent."""


@dataclass(frozen=True, slots=True)
class Found:
    """Passages ``ranked`` best first, and as they are ``shown``; ``asked``: how many were looked for.

    ``calls``: those that it rests on and that were made before anything was predicted.
    """

    ranked: tuple[Passage, ...] = ()
    shown: tuple[Passage, ...] = ()
    asked: int = 0
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Passages that a prompt shows; if not ``exact``, others as long as any that it could show."""

    passages: tuple[Passage, ...]
    exact: bool = True


@dataclass(frozen=True)
class Shelf:
    """A library, with what can be told of it before anybody is asked."""

    library: Library
    _names: dict[str, tuple[dict[str, int], frozenset[str]]] = field(default_factory=dict, repr=False, compare=False)
    _seen: dict[tuple[Setting, str], tuple[Passage, ...]] = field(default_factory=dict, repr=False, compare=False)
    _made: dict[str, Call] = field(default_factory=dict, repr=False, compare=False)
    _bound: list[Bound] = field(default_factory=list, repr=False, compare=False)

    @property
    def settings(self) -> Settings:
        """What the experiment says of retrieval."""
        return self.library.settings

    @property
    def bound(self) -> Bound:
        """What a retrieval can cost at most."""
        if not self._bound:
            self._bound.append(Bound(self.library))
        return self._bound[0]

    def found(self, slots: Mapping[str, Any], example: Example) -> Flow[Found]:
        """What a variant of these slots shows for a row. Raises CallFailed where a call failed."""
        setting = Setting.of(slots, self.settings)
        if setting.retriever == NONE:
            return Found()
        calls: list[Call] = []
        ranked = yield from reminded(self.library.ranked(setting, example), self._made, calls)
        places, _ = self._named(setting.chunk)
        shown = ordered(ranked, setting.order, lambda each: places.get(each.id, len(places)))
        self._seen[setting, example.id] = shown
        return Found(ranked, shown, setting.k, tuple(calls))

    def made(self, calls: Sequence[Call]) -> None:
        """Remember calls that were made before the first round; to whoever rests on them they cost nothing more."""
        self._made.update((call.key, replace(call, cached=True)) for call in calls)

    def queries(self, examples: Sequence[Example]) -> Iterator[Flow[None]]:
        """A flow for each query that has to be embedded and that no model writes."""
        for text in self._texts(examples):
            yield self._query(text)

    def _query(self, text: str) -> Flow[None]:
        if self.settings.embedding is not None:
            try:
                yield from embedding.embedded(self.settings.embedding, (text,))
            except CallFailed:
                return  # it is asked again with its row, which is missing if that fails too

    def _texts(self, examples: Sequence[Example]) -> Iterator[str]:
        told = self.settings
        if not EMBEDDING.intersection(told.looking):
            return
        for word in told.query:
            for each in examples if word not in ORDERS else ():
                text = settled(query(word, each, None), lambda _: None)
                if text and text.strip():
                    yield text

    def foreseen(self, slots: Mapping[str, Any], example: Example, known: Known | None = None) -> Foreseen:
        """The same without asking: computed, or from what is ``known``; else the longest passages that there are."""
        setting = Setting.of(slots, self.settings)
        if known is not None or not (self._embeds(setting) or self._writes(setting) or self._judges(setting)):
            found = settled(self.found(slots, example), known or (lambda _: None))
            if found is not None:
                return Foreseen(found.shown)
        return Foreseen(self.bound.passages(slots), exact=False)

    def remembered(self, slots: Mapping[str, Any], example: Example) -> Foreseen | None:
        """What was found for a row in this process, for whoever shows it: no decision may rest on what came when."""
        shown = self._seen.get((Setting.of(slots, self.settings), example.id))
        return None if shown is None else Foreseen(shown)

    def measured(
        self, found: Found, example: Example, answer: Any, output: str, slots: Mapping[str, Any]
    ) -> dict[str, float]:
        """How well passages were found, and whether the answer stands on them; nothing where none were looked for."""
        if not found.asked:
            return {}
        ids = self._named(Setting.of(slots, self.settings).chunk)[1]
        told = measures(found.ranked, example.gold, found.asked, ids, Answers(example))
        return told | grounded(answer, output, found.shown, example.gold, ids)

    def requests(self, slots: Mapping[str, Any], example: Example) -> tuple[Request, ...]:
        """Every request that finding the passages of a row may take, as long as it may be."""
        return self.bound.requests(slots, example)

    def steps(self, slots: Mapping[str, Any]) -> Iterator[Hashable]:
        """The calls that a row takes in its round beside the answer's; variants for which one is equal share it."""
        setting = Setting.of(slots, self.settings)
        if self._writes(setting):
            yield "rewrite", setting.query
        if self._embeds(setting) and self._writes(setting):  # others were embedded before
            yield "embed", setting.query
        if self._judges(setting):
            yield "rerank", setting.retriever, setting.chunk, setting.query, setting.depth

    def most(self, variants: int) -> int:
        """The most calls that a row of so many variants takes beside their answers."""
        told = self.settings
        writes = [each for each in told.query if each in ORDERS] if told.looking else []
        embeds = told.query if any(each in self.library.parts.embedding for each in told.looking) else ()
        judges = variants if JUDGED in told.rerank and told.looking else 0
        return min(len(writes), variants) + min(len(embeds), variants) + judges

    def files(self) -> list[Path]:
        """The files of the corpus, those that hold nothing new among them: without them it would not be found again."""
        settings = self.settings
        if not settings.retrieving:
            return []
        found = sources(settings.corpus, settings.folder).files.values()
        return [each.path for each in found if each.path.suffix.lower() in TEXTS or not binary(each.path.read_bytes())]

    def preparation(self) -> Flow[None]:
        """Whatever has to be there before the first query: indexes built or read, the corpus embedded."""
        for each in self.library.preparation():
            yield from each

    def setup(self, examples: Sequence[Example]) -> tuple[Request, ...]:
        """The requests that embed the corpus and the queries of some rows, as far as can be foreseen: each once."""
        return tuple({each.key: each for each in self._setup(examples)}.values())

    def _setup(self, examples: Sequence[Example]) -> Iterator[Request]:
        model = self.settings.embedding
        if model is None:
            return
        names = [each for each in self.settings.looking if each in self.library.parts.embedding]
        for chunk in self.settings.chunks if names else ():
            texts = list(dict.fromkeys(text for text in self.library.pool(chunk).texts() if text.strip()))
            yield from rehearsed(embedding.embedded(model, texts))
        yield from (embedding.request(model, (text,)) for text in self._texts(examples))

    def _named(self, chunk: str) -> tuple[dict[str, int], frozenset[str]]:
        """The places of passages by id, and every id of passages and documents."""
        if chunk not in self._names:
            passages = self.library.pool(chunk).passages
            sources = {each.source for each in passages} | {each.id for each in self.library.documents}
            places = {each.id: at for at, each in enumerate(passages)}
            self._names[chunk] = places, frozenset(sources | places.keys()) - {""}
        return self._names[chunk]

    def _embeds(self, setting: Setting) -> bool:
        return setting.retriever in self.library.parts.embedding

    def _writes(self, setting: Setting) -> bool:
        return setting.query in ORDERS and setting.retriever not in KNOWN

    def _judges(self, setting: Setting) -> bool:
        return setting.rerank == JUDGED and setting.retriever not in KNOWN


def diagnoses(variant: Variant) -> bool:
    """Whether a variant is told which passages are right: it shows what retrieval could be worth, and cannot win."""
    return any(each.slots.get(SLOT) in KNOWN[1:] for each in (variant, *variant.members))


def first_gold(names: Sequence[str], duplicates: Mapping[str, str]) -> tuple[str, ...]:
    """Gold by the ids that stayed: of equal documents the corpus keeps the first."""
    return tuple(dict.fromkeys(duplicates.get(each, each) for each in names))
