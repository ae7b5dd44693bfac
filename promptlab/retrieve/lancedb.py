"""Dense retrieval past memory: vectors in LanceDB, embedded, in a folder on disk (extra ``lancedb``)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from promptlab.records import Flow, Passage
from promptlab.retrieve.dense import filled, model_of, unknown
from promptlab.retrieve.embedding import Vectors, embedded
from promptlab.retrieve.pool import Pool
from promptlab.retrieve.stored import INDEXED, SPARE, engine, folder_of, name_of, ranked, rows_of
from promptlab.retrieve.vectors import kept

REFINED = 20
"""Where there is an index, so many times k candidates are compared exactly."""


class Lance:
    """A Retriever whose vectors stay on disk: it finds what ``dense`` finds, exactly up to ``indexed`` passages."""

    def __init__(self, pool: Pool, indexed: int = INDEXED) -> None:
        self.pool = pool
        self.model = model_of(pool)
        self.indexed = indexed
        self._engine = engine("lancedb", "lancedb")
        self._kept = kept(self.model, pool.vectors)
        self._folder: Path | None = None
        self._table: Any = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The texts that are yet to be embedded, each once."""
        return unknown(self._kept, list(self.pool.texts()))

    def __call__(self, query: str, k: int) -> Flow[tuple[Passage, ...]]:
        """The k nearest passages, best first, ties in the order of the corpus. A blank query finds nothing."""
        k = min(k, len(self.pool.passages))
        if not query.strip() or k <= 0:
            return ()
        if self._table is None:
            yield from self.prepare()
        asked = yield from embedded(self.model, (query,))
        if self._table is None or not asked.size:  # nothing to find, or the endpoint turned the query away
            return ()
        search = self._table.search(asked[0]).distance_type("dot").limit(k + SPARE)
        found = (search.refine_factor(REFINED) if self._table.list_indices() else search).to_arrow()
        rows = found["vector"].to_numpy(zero_copy_only=False)
        return ranked(self.pool, found["place"].to_numpy(), np.stack(rows) if len(rows) else rows, asked[0], k)

    def prepare(self) -> Flow[None]:
        """Embed what is not kept yet, and put all into the table, if that is not done."""
        texts = list(self.pool.texts())
        yield from filled(self._kept, texts, self.pool)
        self._folder = self._folder or folder_of(self, self.pool, "lancedb")
        base = self._engine.connect(str(self._folder))
        name = name_of(self.model)
        count = sum(1 for text in texts if text.strip())
        if name in _tables(base) and base.open_table(name).count_rows() == count:
            self._table = base.open_table(name)
        elif count:
            self._table = self._built(base, name, texts)

    def _built(self, base: Any, name: str, texts: list[str]) -> Any:
        table: Any = None
        for places, rows in rows_of(self._kept, texts):
            part = _arrow(places, rows)
            if table is None:
                table = base.create_table(name, data=part, mode="overwrite")
            else:
                table.add(part)
            self.pool.progress("writing vectors", int(places[-1]) + 1, len(texts))
        if table is not None and table.count_rows() >= self.indexed:
            how = importlib.import_module("lancedb.index").IvfHnswSq(distance_type="dot")
            table.create_index("vector", config=how)
        return table


def lancedb(pool: Pool) -> Lance:
    """The retriever ``lancedb``. Raises BadInput where the extra is not installed, or no embedding model is named."""
    return Lance(pool)


def _arrow(places: Any, rows: Vectors) -> Any:
    arrow = importlib.import_module("pyarrow")
    flat = arrow.array(rows.reshape(-1))
    return arrow.table({"place": places, "vector": arrow.FixedSizeListArray.from_arrays(flat, rows.shape[1])})


def _tables(base: Any) -> list[str]:
    listed = base.list_tables() if hasattr(base, "list_tables") else base.table_names()
    return list(getattr(listed, "tables", listed))
