"""Files in memory, as ``/v1/files`` keeps them: nothing is written to disk, and all of it together has a bound."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.embedded.checks import ApiError
from promptlab.embedded.pages import page

PURPOSES = ("batch", "fine-tune")
LARGEST_FILE = 200 * 2**20
_ROOM = 512 * 2**20
_MOST_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class File:
    """A file and its bytes; ``created`` is in seconds since 1970."""

    id: str
    filename: str
    purpose: str
    created: int
    content: bytes

    def body(self) -> dict[str, Any]:
        """The file as OpenAI's JSON, without its content."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
            "expires_at": None,
        }


class Files:
    """The files of one server. Whoever fills memory for them takes room first, and gives it back if nothing comes."""

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._left = room
        self._kept: dict[str, File] = {}

    def take(self, size: int) -> None:
        """Takes room for ``size`` more bytes; ApiError 413 if there is none."""
        if size > self._left:
            message = f"This server keeps at most {self._room / 2**20:g} MB of files in memory: delete some first."
            raise ApiError(message, "file", "storage_full", 413)
        self._left -= size

    def give(self, size: int) -> None:
        """Gives back room that was taken."""
        self._left += size

    def add(self, content: bytes, filename: str, purpose: str, created: float) -> File:
        """Keeps a file whose room is taken already."""
        made = File(f"file-{uuid.uuid4().hex[:24]}", filename, purpose, int(created), content)
        self._kept[made.id] = made
        return made

    def get(self, name: str, param: str = "file_id") -> File:
        """The file of that id; ApiError 404 if there is none."""
        if name not in self._kept:
            raise ApiError(f"No such File object: {name[:80]}", param, "file_not_found", 404)
        return self._kept[name]

    def delete(self, name: str) -> dict[str, Any]:
        """Forgets a file; its room is free again."""
        self.give(len(self.get(name).content))
        del self._kept[name]
        return {"id": name, "object": "file", "deleted": True}

    def list(self, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of the files, newest first unless ``order`` is asc; of one ``purpose`` if it is named."""
        found: Iterable[File] = self._kept.values() if asked.get("order") == "asc" else reversed(self._kept.values())
        purpose = asked.get("purpose")
        return page([one.body() for one in found if purpose in (None, one.purpose)], asked, _MOST_LISTED)
