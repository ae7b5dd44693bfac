"""Vectors of texts, kept on disk by endpoint, model and text, so that no text is ever embedded twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from promptlab.errors import BadInput, EndpointUnusable, Problem
from promptlab.records import CANONICAL, Model
from promptlab.retrieve.embedding import Vectors

_LOOKED_UP = 500  # texts of one select


@dataclass(frozen=True)
class Kept:
    """The vectors of one embedding model, as 16-bit floats: in a file, or in memory where ``path`` is None."""

    path: Path | None
    model: Model
    _memory: dict[bytes, bytes] = field(default_factory=dict, repr=False, compare=False)

    def known(self, texts: Sequence[str]) -> dict[str, bytes]:
        """The vectors of those texts that are here, as bytes."""
        if self.path is None:
            return {text: self._memory[key] for text in texts if (key := _key(text)) in self._memory}
        if not self.path.exists():
            return {}
        found: dict[bytes, bytes] = {}
        keys = {_key(text): text for text in texts}
        listed = list(keys)
        with self._opened() as base:
            for start in range(0, len(listed), _LOOKED_UP):
                part = listed[start : start + _LOOKED_UP]
                marks = ",".join("?" * len(part))
                found |= dict(base.execute(f"select text, vector from vectors where text in ({marks})", part))  # noqa: S608 - marks alone
        return {keys[key]: vector for key, vector in found.items()}

    def keep(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Keep vectors, one row per text. Raises EndpointUnusable if those kept so far have another dimension."""
        rows = [(_key(text), row.astype("<f2").tobytes()) for text, row in zip(texts, vectors, strict=True)]
        if not rows or not vectors.shape[1]:  # nothing, or all of it turned away
            return
        if self.path is None:
            self._check(next(iter(self._memory.values()), rows[0][1]), rows[0][1])
            self._memory.update(rows)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened() as base:
            first = base.execute("select vector from vectors limit 1").fetchone()
            self._check(first[0] if first else rows[0][1], rows[0][1])
            base.executemany("insert or ignore into vectors values (?, ?)", rows)

    def _check(self, before: bytes, now: bytes) -> None:
        if len(before) != len(now):
            where = f" in {self.path}" if self.path else ""
            raise EndpointUnusable(
                f"the embedding model {self.model.id!r} of {self.model.endpoint.host} gives {len(now) // 2} "
                f"dimensions, and the vectors kept{where} have {len(before) // 2}: it is not the model that it was. "
                + (f"Delete {self.path.name} and run again: the corpus is embedded anew." if self.path else "")
            )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The file, open for one transaction."""
        base = None
        try:
            base = sqlite3.connect(str(self.path), timeout=60)
            base.execute(
                "create table if not exists vectors (text blob primary key, vector blob not null) without rowid"
            )
            with base:
                yield base
        except sqlite3.Error as error:
            remedy = "Delete it and run again: the corpus is embedded anew."
            raise BadInput(Problem(f"the kept vectors cannot be used: {error}", str(self.path), 0, remedy)) from error
        finally:
            if base is not None:
                base.close()


def kept(model: Model, cache: Path | None) -> Kept:
    """Where the vectors of a model are kept below a cache's folder; None = in memory alone."""
    told = CANONICAL.encode([model.endpoint.identity, model.id, dict(model.params)])
    name = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return Kept(None if cache is None else cache / "vectors" / f"{name}.sqlite", model)


def matrix(found: Sequence[bytes | None]) -> Vectors:
    """Kept vectors as rows; zeros where there is none. ValueError if they have several dimensions."""
    width = next((len(each) for each in found if each), 0)
    blank = bytes(width)
    whole = b"".join(blank if each is None else each for each in found)
    if len(whole) != width * len(found):
        raise ValueError("vectors of several dimensions")
    return np.frombuffer(whole, dtype="<f2").reshape(len(found), width // 2).astype(np.float32)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
