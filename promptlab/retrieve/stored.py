"""What engines that keep vectors outside of memory have in common: rows to write, and candidates to rank exactly."""

from __future__ import annotations

import hashlib
import importlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptlab.errors import BadInput, Problem
from promptlab.records import CANONICAL, Model, Passage
from promptlab.retrieve.dense import DIGITS
from promptlab.retrieve.embedding import Vectors
from promptlab.retrieve.pool import Pool
from promptlab.retrieve.vectors import Kept, matrix

ROWS = 20_000
"""Rows that are written at once."""
INDEXED = 200_000
"""Rows from which an engine may search by an index; below, every search is exact."""
SPARE = 32
"""Candidates beyond k that are looked at, so that ties stand in corpus order."""


def rows_of(vectors: Kept, texts: Sequence[str], most: int = ROWS) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
    """Kept vectors with the places of their texts, so many texts at once; texts without one are left out."""
    for start in range(0, len(texts), most):
        part = texts[start : start + most]
        known = vectors.known(part)
        places = [at for at, text in enumerate(part) if known.get(text)]
        if places:
            yield np.array(places, dtype=np.int64) + start, matrix([known[part[at]] for at in places])


def ranked(
    pool: Pool, places: NDArray[np.int64], rows: Vectors, asked: NDArray[np.float32], k: int
) -> tuple[Passage, ...]:
    """The k best candidates by the score that ``dense`` gives, ties in the order of the corpus.

    That is the plain product: vectors have length 1 but for what 16 bits round, and an engine must not make it 1 again.
    """
    if not len(places):
        return ()
    scores = np.round(rows.astype(np.float32) @ asked, DIGITS)
    best = np.lexsort((places, -scores))[:k]
    return pool.found(places[best].tolist(), scores[best].tolist())


def name_of(model: Model) -> str:
    """What a table of a model's vectors is called."""
    told = CANONICAL.encode([model.endpoint.identity, model.id, dict(model.params)])
    return "vectors_" + hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def folder_of(owner: Any, pool: Pool, engine: str) -> Path:
    """The folder of an engine's files: below the pool's cache; else one that lives as long as its owner."""
    if pool.cache is not None:
        folder = pool.cache / pool.key / engine
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.mkdtemp(prefix="promptlab-"))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


def engine(module: str, extra: str) -> Any:
    """An engine's package. Raises BadInput where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        remedy = (
            f"Install it: pip install 'promptlab-workbench[{extra}]'; `dense` needs nothing, and holds all in memory."
        )
        raise BadInput(Problem(f"the retriever {extra!r} needs the package {module}", remedy=remedy)) from None
