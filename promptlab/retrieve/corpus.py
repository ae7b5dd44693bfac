"""The user's own texts: folders, globs and files of txt, md, html, pdf, and tables with a text in each row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from promptlab.dataset.file import capped
from promptlab.errors import BadInput, Problem
from promptlab.retrieve.chunk import FRONT
from promptlab.retrieve.decode import binary, decoded
from promptlab.retrieve.document import Document
from promptlab.retrieve.markup import charset, page
from promptlab.retrieve.pdf import pdf
from promptlab.retrieve.spec import Source, Spec, relative, sources
from promptlab.retrieve.table import SUFFIXES, rows

_TITLE = re.compile(r"\s*# +(.+?)[ #]*$", re.MULTILINE)
_FRONT_TITLE = re.compile(r"^title: *(['\"]?)(.+?)\1\s*$", re.MULTILINE)
_KINDS = "Known are txt, md, html, pdf, csv, tsv, jsonl, json and parquet."


@dataclass(frozen=True, slots=True)
class Corpus:
    """What was read. ``duplicates``: ids of documents that were dropped, each with that of the equal one that stays.

    ``dropped`` counts them, and those of one id and text.

    ``skipped``: "path: why" of what was passed over.
    """

    documents: tuple[Document, ...]
    duplicates: Mapping[str, str] = field(default_factory=dict)
    dropped: int = 0
    skipped: tuple[str, ...] = ()


def read(specs: Spec | Sequence[Spec], folder: Path) -> tuple[Document, ...]:
    """The documents of a corpus, in the order of the specs, then by name. Raises BadInput with all problems."""
    return gather(specs, folder).documents


def gather(specs: Spec | Sequence[Spec], folder: Path) -> Corpus:
    """The documents with what was dropped and skipped on the way. Paths are relative to ``folder``.

    Documents of equal text, white space aside, are one: the first. Raises BadInput with all problems: no such file,
    undecodable bytes, a missing column, one id for two texts, nothing to read at all.
    """
    found = sources(specs, folder)
    problems, skipped = found.problems, found.skipped
    read_: list[Document] = []
    for source in found.files.values():
        shown = relative(source.path, folder)
        try:
            documents, passed = _documents(source, shown)
        except BadInput as bad:
            problems += bad.problems
            continue
        read_ += documents
        skipped += [f"{shown}: {passed}"] if passed else []
    documents, duplicates, twice = _distinct(read_)
    problems += capped([_twice(each, first, folder) for each, first in twice])
    if not documents and not problems:
        remedy = f"Passed over: {'; '.join(skipped[:5])}." if skipped else _KINDS
        problems.append(Problem("`retrieval.corpus`: no text was found", str(folder), remedy=remedy))
    if problems:
        raise BadInput(problems)
    return Corpus(tuple(documents), duplicates, len(read_) - len(documents), tuple(skipped))


def _documents(source: Source, shown: str) -> tuple[list[Document], str]:
    """The documents of one file, and what of it was passed over. Binary files that were named are no input."""
    suffix = source.path.suffix.lower()
    if suffix in SUFFIXES:
        found, blank = rows(source.path, shown, source.columns)
        said = f"{blank} row{'' if blank == 1 else 's'} without text" if blank else ""
        return found, said or ("" if found else "no rows")
    try:
        data = source.path.read_bytes()
    except OSError as error:
        raise BadInput(Problem(f"cannot be read: {error.strerror}", str(source.path))) from None
    if suffix != ".pdf" and binary(data):
        if source.named:
            raise BadInput(Problem("is a binary file", str(source.path), remedy=_KINDS))
        return [], "binary"
    title, text = _FORMATS.get(suffix, _plain)(data, str(source.path))
    return ([Document(shown, text, title, shown)], "") if text.strip() else ([], "no text")


def _plain(data: bytes, path: str) -> tuple[str, str]:
    return "", decoded(data, path)


def _markdown(data: bytes, path: str) -> tuple[str, str]:
    text = decoded(data, path)
    front = FRONT.match(text)
    named = _FRONT_TITLE.search(front[0]) if front else None
    heading = _TITLE.match(text, front.end() if front else 0)
    return (named[2] if named else heading[1] if heading else ""), text


def _html(data: bytes, path: str) -> tuple[str, str]:
    return page(decoded(data, path, charset(data)))


_FORMATS: Mapping[str, Callable[[bytes, str], tuple[str, str]]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".html": _html,
    ".htm": _html,
    ".xhtml": _html,
    ".pdf": pdf,
}


def _distinct(
    documents: Iterable[Document],
) -> tuple[list[Document], dict[str, str], list[tuple[Document, Document]]]:
    """The documents, each text once; the ids dropped for which; the documents whose id another text has already."""
    owners: dict[str, tuple[Document, bytes]] = {}
    texts: dict[bytes, str] = {}
    kept: list[Document] = []
    duplicates: dict[str, str] = {}
    twice: list[tuple[Document, Document]] = []
    for each in documents:
        said = hashlib.sha256(" ".join(each.text.split()).encode()).digest()
        owner, text = owners.setdefault(each.id, (each, said))
        if text != said:
            twice.append((each, owner))
        elif said not in texts:
            texts[said] = each.id
            kept.append(each)
        elif texts[said] != each.id:
            duplicates[each.id] = texts[said]
    return kept, duplicates, twice


def _twice(document: Document, first: Document, folder: Path) -> Problem:
    where = f"{first.path}:{first.line}" if first.line else first.path
    message = f"the id {document.id!r} is also that of another text ({where})"
    return Problem(message, str(folder / document.path), document.line, "Give each document an id of its own.")
