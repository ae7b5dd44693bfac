"""What is known of a job after a kill: one small JSON file beside its training files, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Memory:
    """Facts by name. A file that cannot be read is moved aside: what it knew is looked for at the endpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts: dict[str, Any] = _read(path)

    def fact(self, name: str) -> Any:
        """A noted fact, or None."""
        return self._facts.get(name)

    def note(self, name: str, value: Any) -> None:
        """Note a fact; on the disk when this returns."""
        self._facts[name] = value
        self._write()

    def forget(self) -> None:
        """Begin anew."""
        self._facts.clear()
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
    return {}
