"""Models of the engine that were tuned: what they learned, where that is kept, and how it changes an answer."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from promptlab.embedded.classify import Choice, Evidence, Sight, scores
from promptlab.embedded.features import DIMENSIONS, Floats, vector
from promptlab.embedded.labels import Label, key
from promptlab.embedded.luck import Luck
from promptlab.embedded.replies import Reply, read_reply

T = TypeVar("T")

MOST = 500
"""Tuned models that one process remembers; each takes up to a few MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """A tuned model: a softmax head over the features of the text, or answers by heart where they are no labels.

    ``weights`` has a row for each of ``labels``; ``memory`` maps texts (as ``folded``) to answers; ``sample`` is one
    answer as it was taught: the form that this model has learned to answer in.
    """

    id: str
    base: str
    created: int
    labels: tuple[Label, ...] = ()
    weights: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, DIMENSIONS), dtype=np.float32))
    memory: Mapping[str, str] = field(default_factory=dict)
    sample: str = ""

    @property
    def habit(self) -> Reply:
        """The form of its answers."""
        return read_reply(self.sample, self.labels)

    def recalled(self, query: str) -> str | None:
        """The answer that was taught for this very text."""
        return self.memory.get(folded(query))

    def fit(self, query: str, labels: tuple[Label, ...], wide: bool) -> Floats:
        """What the head adds to the score of each label; a label that it was never taught gets its lowest."""
        seen = vector(query, wide)
        own = self.weights[:, seen.index].astype(np.float64) @ seen.value
        own = np.round(own - own.mean(), 6)
        known = {key(label.name): float(value) for label, value in zip(self.labels, own, strict=True)}
        least = float(own.min())
        return np.array([known.get(key(label.name), least) for label in labels])

    def choose(
        self, query: str, labels: tuple[Label, ...], evidence: Evidence, sight: Sight, luck: tuple[Luck, float]
    ) -> Choice:
        """As classify's: what the prompt tells, and what was learned beside it."""
        fate, temperature = luck
        total = scores(query, labels, evidence, sight) + self.fit(query, labels, sight.wide)
        best = fate.order(total, sight.noise + 0.12 * temperature)[0]
        return Choice(labels[best].name, "The text is like those that this answer was learned from.")


def folded(text: str) -> str:
    """A text as it is remembered: case and white space do not matter."""
    return " ".join(text.casefold().split())


class Shelf:
    """Tuned models by id. An id says what was learned, so that it means the same in every server and process.

    Without a folder they last as long as the process; ``keep_in`` names one where they outlive it.
    """

    def __init__(self) -> None:
        self._known: dict[str, Tuned] = {}
        self._folder: Path | None = None

    def keep_in(self, folder: Path | None) -> None:
        """From now on, what is put here is written to ``folder``, and what is not known is looked for there."""
        self._folder = folder

    def put(self, tuned: Tuned) -> None:
        """One more."""
        self._known[tuned.id] = tuned
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        if self._folder is not None:
            _write(_path(self._folder, tuned.id), tuned)

    def get(self, name: str) -> Tuned | None:
        """The model of that id; None if there is none."""
        if name not in self._known and name.startswith("ft:") and self._folder is not None:
            found = _read(_path(self._folder, name), name)
            if found is not None:
                self._known[name] = found
        return self._known.get(name)

    def drop(self, name: str) -> None:
        """Forget one, its file too."""
        self._known.pop(name, None)
        if self._folder is not None:
            _path(self._folder, name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all, and the folder; its files stay."""
        self._known.clear()
        self._folder = None

    def names(self) -> list[str]:
        """The ids, in the order of their making; those of the folder last."""
        folder = self._folder
        if folder is not None and folder.is_dir():
            here = {_path(folder, name) for name in self._known}
            read = [_read(path) for path in sorted(folder.glob("*.npz")) if path not in here]
            self._known |= {tuned.id: tuned for tuned in read if tuned is not None}
        return list(self._known)


SHELF = Shelf()
"""The process's own: like a cache, it never says two things of one id."""


class Lineup(Mapping[str, T]):
    """The engine's models by name, tuned ones as their base; only the base models are listed."""

    def __init__(self, bases: Mapping[str, T], shelf: Shelf) -> None:
        self._bases = dict(bases)
        self._shelf = shelf

    def __getitem__(self, name: str) -> T:
        if name in self._bases:
            return self._bases[name]
        tuned = self._shelf.get(name)
        if tuned is None:
            raise KeyError(name)
        return self._bases[tuned.base]

    def __iter__(self) -> Iterator[str]:
        return iter(self._bases)

    def __len__(self) -> int:
        return len(self._bases)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:32]}.npz"


def _write(path: Path, tuned: Tuned) -> None:
    """The whole file, or none."""
    about = {
        "id": tuned.id,
        "base": tuned.base,
        "created": tuned.created,
        "labels": [label.name for label in tuned.labels],
        "memory": dict(tuned.memory),
        "sample": tuned.sample,
    }
    data = io.BytesIO()
    np.savez_compressed(data, weights=tuned.weights, about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data.getvalue())
    draft.replace(path)


def _read(path: Path, name: str = "") -> Tuned | None:
    """What a file holds; None if it is not there, damaged, or of another id."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            about: dict[str, Any] = json.loads(held["about"].tobytes())
            weights = np.asarray(held["weights"], dtype=np.float32)
        labels = tuple(Label(str(each)) for each in about["labels"])
        made = Tuned(
            about["id"], about["base"], int(about["created"]), labels, weights, about["memory"], about["sample"]
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    whole = made.weights.shape == (len(labels), DIMENSIONS)
    return made if whole and name in ("", made.id) else None
