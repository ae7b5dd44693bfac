"""`retrieval` of an experiment: where passages come from, and the choices among them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlab.embedded.vectors import EMBEDDERS
from promptlab.errors import nearest
from promptlab.experiment.data import Data, relative_to
from promptlab.experiment.file import ChunkFile, CorpusFile, EndpointFile, RetrievalFile
from promptlab.experiment.models import read_meta
from promptlab.experiment.sheet import Sheet, spelt
from promptlab.records import Model, Price
from promptlab.retrieve import RETRIEVERS, query
from promptlab.retrieve.chunk import Chunking
from promptlab.retrieve.parts import EMBEDDING, RERANKERS
from promptlab.retrieve.settings import KNOWN, NONE, Settings
from promptlab.yaml_file import Key

NAME = "retrieval"
UNITS = ("words", "sentences", "paragraphs", "headings")
USUAL = ChunkFile(words=120, overlap=20)
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def read_retrieval(
    sheet: Sheet, file: RetrievalFile | None, endpoint: EndpointFile | None, models: Sequence[Model], data: Data | None
) -> Settings | None:
    """The settings; None without the key. Problems that need the corpus itself are found when it is read."""
    if file is None:
        return None
    corpus = tuple(_corpus(sheet, file.corpus or ()))
    retrievers = tuple(file.retriever or ("bm25",))
    if file.corpus is None and not sheet.given(NAME, "corpus") and set(retrievers) != {NONE}:
        sheet.add(
            (NAME,), "`retrieval.corpus` is missing", "Name a folder, a glob or files: retrieval: {corpus: corpus/}."
        )
    _named(sheet, "retriever", retrievers, RETRIEVERS)
    _named(sheet, "rerank", file.rerank or (), RERANKERS)
    _queries(sheet, file.query or (), data)
    key: Key = (NAME, "model")
    asking = any(each in query.ORDERS for each in file.query or ()) or "model" in (file.rerank or ())
    if file.model is not None and not asking:
        sheet.add(
            key, "`retrieval.model` has nothing to do", "It serves query: rewrite, query: hyde and rerank: model."
        )
    return Settings(
        corpus=corpus,
        folder=sheet.folder,
        retriever=retrievers,
        k=tuple(file.k or (4,)),
        chunks=_chunks(sheet, file.chunk or [USUAL]),
        order=tuple(file.order or ("best-first",)),
        query=tuple(file.query or (query.INPUT,)),
        rerank=tuple(file.rerank or (NONE,)),
        max_tokens=file.max_tokens,
        embedding=_embedding(sheet, file, endpoint, (models, retrievers)),
        model=read_meta(sheet, endpoint, file.model, models, key) if asking else None,
    )


def _at(sheet: Sheet, name: str, place: int) -> Key:
    """Where a value stands: in a list, or alone under its key."""
    key: Key = (NAME, name, place)
    return key if key in sheet.places else key[:2]


def _corpus(sheet: Sheet, files: Iterable[CorpusFile]) -> Iterable[str | Mapping[str, Any]]:
    for place, each in enumerate(files):
        key = _at(sheet, "corpus", place)
        if each.path is None:
            if not sheet.given(*key, "path"):
                sheet.add(key, f"{spelt((*key, 'path'))} is missing", "Name a file, a folder or a glob.")
            continue
        _exists(sheet, key, each.path)
        columns = each.model_dump(exclude_none=True)
        yield columns if len(columns) > 1 else each.path


def _exists(sheet: Sheet, key: Key, text: str) -> None:
    """A problem where nothing is there. What it holds is looked at when the corpus is read."""
    path = Path(os.path.normpath(sheet.folder / text))
    if glob.has_magic(text):
        found = glob.iglob(text, root_dir=sheet.folder, recursive=True)  # noqa: PTH207 - Path.glob takes neither .. nor absolute patterns
        if next(iter(found), None) is None:
            sheet.add(key, f"{sheet.name(key)}: no file matches {text!r}", relative_to(sheet))
    elif not os.path.exists(path):  # noqa: PTH110 - raises nothing, whatever the name
        near = nearest(path.name, os.listdir(path.parent)) if os.path.isdir(path.parent) else ""  # noqa: PTH112, PTH208
        remedy = near if near.startswith("Did") else relative_to(sheet)
        sheet.add(key, f"{sheet.name(key)}: there is no file or folder {text!r}", remedy)


def _named(sheet: Sheet, name: str, values: Sequence[str], known: Iterable[str]) -> None:
    names = list(known)
    for place, value in enumerate(values):
        if value not in names and not _OWN.fullmatch(value):
            key = _at(sheet, name, place)
            sheet.add(
                key, f"{sheet.name(key)}: there is no {value!r}", f"{nearest(value, names)} Or package.module:name."
            )


def _queries(sheet: Sheet, words: Sequence[str], data: Data | None) -> None:
    for place, word in enumerate(words):
        known = data.columns.inputs if data else ()
        for each in query.problems(word, known):
            if data is not None or not query.is_template(word):
                sheet.add(_at(sheet, "query", place), each.message, each.remedy)


def _chunks(sheet: Sheet, files: Sequence[ChunkFile]) -> dict[str, Chunking]:
    """The chunkings by the values that their slot has: `whole`, `120 words`, `120 words, overlap 20`."""
    found: dict[str, Chunking] = {}
    for place, each in enumerate(files):
        key = _at(sheet, "chunk", place)
        made = _chunk(sheet, key, each)
        if made is None:
            continue
        if made[0] in found:
            sheet.add(key, f"{sheet.name(key)}: `{made[0]}` is there twice", "Remove one.")
        found[made[0]] = made[1]
    return found


def _chunk(sheet: Sheet, key: Key, file: ChunkFile) -> tuple[str, Chunking] | None:
    given = [name for name in UNITS if getattr(file, name) is not None]
    if file.whole:
        return "whole", Chunking("whole", 1, 0)
    if len(given) != 1:
        if not any(sheet.given(*key, name) and name not in given for name in UNITS):  # else that one is wrong
            example = "Like chunk: {words: 120, overlap: 20}, or whole."
            sheet.add(key, f"{sheet.name(key)} needs one of {', '.join(UNITS)}", example)
        return None
    unit: Any = given[0]
    size, overlap = int(getattr(file, unit)), file.overlap or 0
    where: Key = (*key, "overlap")
    if overlap and unit == "headings":
        sheet.add(where, f"{sheet.name(where)}: {unit} do not overlap", "Leave it out.")
    elif overlap >= size:
        sheet.add(where, f"{sheet.name(where)} must be less than the {size} {unit} of a chunk, not {overlap}")
    elif unit == "headings" and size > 6:
        sheet.add((*key, unit), f"{sheet.name((*key, unit))} must be a level from 1 to 6, not {size}")
    else:
        name = f"{unit} to level {size}" if unit == "headings" else f"{size} {unit if size > 1 else unit[:-1]}"
        return name + (f", overlap {overlap}" if overlap else ""), Chunking(unit, size, overlap)
    return None


def _embedding(
    sheet: Sheet, file: RetrievalFile, endpoint: EndpointFile | None, asked: tuple[Sequence[Model], Sequence[str]]
) -> Model | None:
    """The embedding model: as named; else the embedded engine's own, where the first model is the engine's."""
    models, retrievers = asked
    key: Key = (NAME, "embedding")
    needing = [name for name in retrievers if name in EMBEDDING]
    if file.embedding is not None:
        if not needing and set(retrievers) <= {*KNOWN, *RETRIEVERS}:
            sheet.add(
                key,
                "`retrieval.embedding` has nothing to do",
                f"It serves {', '.join(sorted(EMBEDDING & set(RETRIEVERS)))}.",
            )
        return read_meta(sheet, endpoint, file.embedding, models, key)
    if not needing or sheet.given(*key):
        return None
    first = models[0] if models else None
    if first is None or first.endpoint.embedded:
        name = next(iter(EMBEDDERS))
        return first and Model(name, first.endpoint, name, Price())
    place = _at(sheet, "retriever", retrievers.index(needing[0]))
    remedy = "Name it as its endpoint does: retrieval: {embedding: {id: …}}."
    sheet.add(place, f"the retriever {needing[0]!r} needs an embedding model", remedy)
    return None
