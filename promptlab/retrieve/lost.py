"""Gold that the corpus does not hold: neither as the id of something in it nor as a text that stands in it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from promptlab.records import Example
from promptlab.retrieve.gold import folded
from promptlab.retrieve.library import Library

SHOWN = 3  # rows that are named
LOOKED_AT = 10**9  # characters that gold texts are looked for in, all together; past that, only ids are


def lost(library: Library, examples: Sequence[Example]) -> list[Example]:
    """The rows whose gold, all of it, is nothing that the corpus holds."""
    ids = _ids(library) | library.names.keys()
    wanted = [each for each in examples if each.gold]
    named = {name for each in wanted for name in each.gold} - ids
    if sum(len(each.text) for each in library.documents) * len(named) <= LOOKED_AT:
        texts = "\0".join(folded(each.text) for each in library.documents)
        named = {name for name in named if folded(name) not in texts}
    return [each for each in wanted if named.issuperset(each.gold)]


def told(rows: Sequence[Example]) -> str:
    """The first of these rows, with what they name."""
    some = ", ".join(f"row {each.row or each.id}: {each.gold[0]!r:.40}" for each in rows[:SHOWN])
    return f"{some}{', …' * (len(rows) > SHOWN)}"


def near(library: Library, row: Example) -> str:
    """The id that a row may have meant, as a remedy; else how ids look."""
    ids = {each.id: each.id for each in library.documents}
    close = difflib.get_close_matches(row.gold[0], ids | library.names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {(ids | library.names)[close[0]]!r}?"
    return f"Ids look like {min(ids)!r}." if ids else ""


def _ids(library: Library) -> set[str]:
    ids = {each.id for each in library.documents}
    return ids | {passage.id for name in library.settings.chunks for passage in library.pool(name).passages}
