"""What is known of a job after a kill: one small JSON file beside its training files, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

TRAINED, MARK, TIMES = "trained", "training", "times"


class Memory:
    """Facts by name. A file that cannot be read is moved aside: what it knew is looked for at the endpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._facts: dict[str, Any] = _read(path)

    def fact(self, name: str) -> Any:
        """A noted fact, or None."""
        return self._facts.get(name)

    @property
    def which(self) -> str:
        """Which one of its recipe this model is: a short hash of its training's mark and of what it is called.

        Empty where no training was marked: then the recipe says it all. (Notes of earlier versions counted instead.)
        """
        mark, times = self._facts.get(MARK), self._facts.get(TIMES)
        if mark is None:
            return str(times) if isinstance(times, int) and times else ""
        told = json.dumps([mark, self._facts.get(TRAINED)], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def begun(self, job: str) -> None:
        """Mark the training that ``job`` names, once: no other one has that mark, wherever and whenever it is made.

        It goes with the notes, so that a folder that is moved or copied has the same models. A model that earlier
        versions trained is what they called it.
        """
        known = self._facts.get(MARK)
        same = isinstance(known, dict) and known.get("job") == job
        if not same and (known is not None or TRAINED not in self._facts):
            self.note(MARK, _mark(job))

    def note(self, name: str, value: Any) -> None:
        """Note a fact; on the disk when this returns."""
        self._facts[name] = value
        self._write()

    def trained(self, model: str) -> None:
        """Note the model that came of it. Another one than before is of another training, whoever trained it."""
        before = self._facts.get(TRAINED)
        if before == model:
            return
        if before is not None:
            known = self._facts.get(MARK)
            self.note(MARK, _mark(str(known.get("job", "")) if isinstance(known, dict) else ""))
        self.note(TRAINED, model)

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
    return {MARK: _mark("")}  # nobody knows what was trained: nothing that is known is taken for it


def _mark(job: str) -> dict[str, str]:
    return {"job": job, "mark": secrets.token_hex(8)}
