"""A text of the corpus, before it is cut into passages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One text. ``id``: its path below the experiment's folder, or what its row's id column says.

    ``path`` and ``line`` say where it is from; line 0 = a file of its own, or unknown.
    """

    id: str
    text: str
    title: str = ""
    path: str = ""
    line: int = 0
