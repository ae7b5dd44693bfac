"""What to tell of a corpus and the rows that are asked about it: nothing that stops a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptlab.records import Example
from promptlab.retrieve.gold import folded
from promptlab.retrieve.library import Library
from promptlab.retrieve.settings import KNOWN

SHOWN = 3  # rows that a note names
LOOKED_AT = 10**9  # characters that gold texts are looked for in, all together; past that, only ids are


def notes(library: Library, examples: Sequence[Example], allocate: str = "full") -> Iterator[str]:
    """Sentences: what the corpus holds, a k past it, retrievers that cannot win, gold that the corpus does not hold."""
    settings = library.settings
    if not settings.retrieving:
        return
    sizes = {name: len(library.pool(name).passages) for name in settings.chunks}
    some = ", ".join(f"{size:,} passages ({name})" for name, size in sizes.items())
    count = len(library.duplicates)
    dropped = f"; {count} that say the same as another are left out" if count else ""
    yield f"corpus: {len(library.documents):,} documents, {some}{dropped}"
    for name, size in sizes.items():
        if past := [k for k in settings.k if k > size]:
            more = ", ".join(map(str, past))
            yield f"note: `retrieval.k` {more} is more than the {size} passages of the corpus ({name}): all are shown"
    told = [each for each in settings.retriever if each in KNOWN[1:]]
    if told and allocate != "full":
        yield (
            f"note: {' and '.join(told)} know the right passages and cannot win; with `allocate: {allocate}` they take "
            "calls from variants that can: `full` gives each its own"
        )
    yield from _unknown(library, examples)


def _unknown(library: Library, examples: Sequence[Example]) -> Iterator[str]:
    ids = {each.id for each in library.documents}
    ids |= {passage.id for name in library.settings.chunks for passage in library.pool(name).passages}
    wanted = [each for each in examples if each.gold]
    named = {name for each in wanted for name in each.gold} - ids
    if sum(len(each.text) for each in library.documents) * len(named) <= LOOKED_AT:
        texts = "\0".join(folded(each.text) for each in library.documents)
        named = {name for name in named if folded(name) not in texts}
    lost = [each for each in wanted if named.issuperset(each.gold)]
    if lost:
        rows = ", ".join(f"row {each.row or each.id}: {each.gold[0]!r:.40}" for each in lost[:SHOWN])
        yield f"note: the gold of {len(lost)} of {len(wanted)} rows is nothing that the corpus holds ({rows})"
