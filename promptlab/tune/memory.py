"""What is known of a job after a kill: one small JSON file beside its training files, whole or not at all."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

TRAINED, TIMES = "trained", "times"


class Memory:
    """Facts by name. A file that cannot be read is moved aside: what it knew is looked for at the endpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts: dict[str, Any] = _read(path)

    def fact(self, name: str) -> Any:
        """A noted fact, or None."""
        return self._facts.get(name)

    @property
    def times(self) -> int:
        """How often a model that was trained was forgotten: what comes next is another one of the same recipe."""
        known = self._facts.get(TIMES)
        return known if isinstance(known, int) else 0

    def note(self, name: str, value: Any) -> None:
        """Note a fact; on the disk when this returns."""
        self._facts[name] = value
        self._write()

    def trained(self, model: str) -> None:
        """Note the model that came of it. Another one than before is one more, whoever trained it."""
        before = self._facts.get(TRAINED)
        if before != model:
            self._facts[TIMES] = self.times + (before is not None)
            self.note(TRAINED, model)

    def forget(self) -> None:
        """Begin anew; how often that was after a training is kept."""
        times = self.times + (TRAINED in self._facts)
        self._facts.clear()
        if times:
            self._facts[TIMES] = times
        self._write()

    def _write(self) -> None:
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            json.dump(self._facts, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        value = None
    if isinstance(value, dict):
        return value
    path.replace(path.with_name(f"{path.name}.damaged"))
    return {TIMES: int(time.time())}  # nobody knows how often: a number that was never used
