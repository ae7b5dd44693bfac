"""From settings to a library: the corpus read, everything named imported, what cannot work told before it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from promptlab.errors import BadInput, Problem
from promptlab.records import Example
from promptlab.retrieve.corpus import Corpus, gather
from promptlab.retrieve.library import Library
from promptlab.retrieve.lost import lost, near, told
from promptlab.retrieve.parts import Parts, loaded
from promptlab.retrieve.pool import Progress, quiet
from promptlab.retrieve.settings import KNOWN, NAME, Complain, Settings

SHOWN = 3  # rows that a message names


def opened(settings: Settings, cache: Path | None = None, progress: Progress = quiet) -> Library:
    """Read the corpus and import what the settings name. Raises BadInput with all problems of both.

    ``cache`` is the folder of indexes and vectors; None = keep none. Nothing is built or embedded yet.
    """
    problems: list[Problem] = []
    corpus, parts = Corpus(()), Parts({})
    try:
        if settings.retrieving:
            corpus = gather(settings.corpus, settings.folder)
    except BadInput as error:
        problems += error.problems
    try:
        parts = loaded(settings, cache, progress)
    except BadInput as error:
        problems += error.problems
    if problems:
        raise BadInput(problems)
    return Library(settings, corpus.documents, parts, corpus.duplicates, corpus.skipped)


def check(library: Library, examples: Iterable[Example], complain: Complain) -> None:
    """Tell what cannot work with this corpus and these rows: a k past it, oracle where nothing is known, lost gold."""
    settings, examples = library.settings, tuple(examples)
    if not settings.retrieving:
        return
    most = max(settings.k)
    for name in settings.chunks:
        count = len(library.pool(name).passages)
        if most > count:
            message = f"`retrieval.k`: {most} is more than the {count} passages of the corpus (chunk: {name})"
            complain((NAME, "k"), message, "Take a lower k, or cut the corpus into smaller chunks.")
    known = sorted(set(settings.retriever) & set(KNOWN[1:]))
    lacking = [each for each in examples if not each.gold and not each.answers] if known else []
    if lacking:
        rows = ", ".join(str(each.row or each.id) for each in lacking[:SHOWN]) + ", …" * (len(lacking) > SHOWN)
        message = (
            f"the retriever {known[0]!r} needs to know what is right, and {len(lacking)} rows have neither gold nor "
        )
        message += f"label: {rows}"
        complain((NAME, "retriever"), message, "Fill the column of `data.gold`, or leave the retriever out.")
    wanted = [each for each in examples if each.gold] if known else []
    gone = lost(library, wanted)
    if gone and len(gone) == len(wanted):
        message = (
            f"the retriever {known[0]!r} shows gold, and the gold of all {len(gone)} rows that have some is nothing "
        )
        message += f"that the corpus holds ({told(gone)})"
        complain((NAME, "retriever"), message, near(library, gone[0]))
    for name in settings.retriever:
        if ":" in name:
            _try(library, name, complain)


def _try(library: Library, name: str, complain: Complain) -> None:
    """Make a user's own retriever, so that one which cannot be made is told before anything is asked."""
    try:
        for chunk in library.settings.chunks:
            library.retriever(name, chunk)
    except BadInput as error:
        for each in error.problems:
            complain((NAME, "retriever"), each.message, each.remedy)
