"""What to tell of a corpus and the rows that are asked about it: nothing that stops a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptlab.records import Example
from promptlab.retrieve.library import Library
from promptlab.retrieve.lost import lost, near, told
from promptlab.retrieve.settings import KNOWN
from promptlab.tokens import estimate

SHOWN = 3  # rows that a note names


def notes(library: Library, examples: Sequence[Example], allocate: str = "full") -> Iterator[str]:
    """Sentences: what the corpus holds, a k past it, passages past the limit of tokens, what cannot be found or win.

    The latter are retrievers that know the right passages, and gold that the corpus does not hold.
    """
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
    yield from _skipped(library)
    yield from _cut(library)
    knowing = [each for each in settings.retriever if each in KNOWN[1:]]
    if knowing and allocate != "full":
        yield (
            f"note: {' and '.join(knowing)} know the right passages and cannot win; with `allocate: {allocate}` they "
            "take calls from variants that can: `full` gives each its own"
        )
    yield from _unknown(library, examples)


def _cut(library: Library) -> Iterator[str]:
    """Where the limit of tokens cuts most passages, or leaves out most of those that are asked for.

    By the lengths of the corpus's passages: what a row finds is known only when it was looked for.
    """
    most = library.settings.max_tokens
    for name in library.settings.chunks if most is not None else ():
        sizes = sorted(estimate(each.text) for each in library.pool(name).passages)
        long = sum(size > (most or 0) for size in sizes)
        said = f"note: `retrieval.max_tokens: {most}`"
        if 2 * long > len(sizes):
            yield (
                f"{said} cuts most passages: {long} of {len(sizes)} ({name}) are longer, half of them than "
                f"{sizes[len(sizes) // 2]} tokens; one passage is shown, its beginning alone, and it counts as found "
                "only where the answer or the gold text still stands in it"
            )
            continue
        fit = (most or 0) // max(1, sizes[len(sizes) // 2]) if sizes else 0
        if past := [k for k in library.settings.k if sizes and 2 * fit < min(k, len(sizes))]:
            more = ", ".join(map(str, past))
            yield f"{said} leaves about {fit} of `retrieval.k` {more} passages ({name}): the others are not shown"


def _unknown(library: Library, examples: Sequence[Example]) -> Iterator[str]:
    wanted = [each for each in examples if each.gold]
    if gone := lost(library, wanted):
        said = f"the gold of {len(gone)} of {len(wanted)} rows is nothing that the corpus holds ({told(gone)})"
        yield f"note: {said}. {near(library, gone[0])}".strip()


def _skipped(library: Library) -> Iterator[str]:
    """Files that were passed over, hidden ones aside."""
    over = [each for each in library.skipped if not each.endswith(": hidden")]
    if over:
        more = f" and {len(over) - SHOWN} more" if len(over) > SHOWN else ""
        yield f"note: of the corpus, {len(over)} were passed over ({'; '.join(over[:SHOWN])}{more})"
