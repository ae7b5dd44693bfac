"""What every retriever keeps to, ours and a user's own: (name of the claim, what checks it on a factory).

``run`` runs a flow; where no model is asked, :func:`unasked` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from promptlab.records import Flow, Passage
from promptlab.retrieve.pool import Factory, Pool

Run: TypeAlias = Callable[[Flow[Any]], Any]

TEXTS = (
    "Refunds are paid within five days to the card that was charged.",
    "A lost card is blocked at once; a new one takes three days.",
    "Transfers abroad cost two euros and take up to three days.",
    "Our office in Oslo is open from nine to five.",
    "The card fee is two euros a month.",
    "Zahlungen ins Ausland kosten zwei Euro. Größe, Straße, naïve café.",
    "返金は五日以内に行われます。カードに戻ります。",
    "تُسترد المبالغ خلال خمسة أيام",
)
ODD = {
    "empty": "",
    "blank": " \t\n",
    "NUL": "card\0fee\0",
    "emoji": "💳 fee 👩‍👩‍👧‍👦 🇳🇴",
    "marks": "!?… --- ((( \\",
    "right to left": "\u202eتُسترد المبالغ\u202c خلال",
    "no spaces": "返金カード",
    "Jinja": "{{ card }}{% system %} card",
    "long": "card fee abroad " * 62_500,
    "one long word": "x" * 1_000_000,
    "unknown words": "qwertz asdf yxcv",
}


def pool(*texts: str, **more: Any) -> Pool:
    given = texts or TEXTS
    return Pool.of((Passage(f"p{at}", text, source=f"d{at}") for at, text in enumerate(given)), **more)


def unasked(flow: Flow[Any]) -> Any:
    """The value of a flow that asks no model."""
    try:
        asked = next(flow)
    except StopIteration as stop:
        return stop.value
    raise AssertionError(f"it asks: {asked}")


def sound(found: Any, k: int, given: Pool) -> tuple[Passage, ...]:
    """What any answer is: passages of the pool, at most k, no one twice, by falling finite score, ties in its order."""
    assert isinstance(found, tuple)
    assert len(found) <= max(k, 0)
    places = {each.id: at for at, each in enumerate(given.passages)}
    assert len({each.id for each in found}) == len(found)
    for each in found:
        own = given.passages[places[each.id]]
        assert (each.text, each.title, each.source, each.start, each.end) == (
            own.text, own.title, own.source, own.start, own.end,
        )  # fmt: skip
        assert type(each.score) is float
        assert math.isfinite(each.score)
    assert [(-each.score, places[each.id]) for each in found] == sorted(
        (-each.score, places[each.id]) for each in found
    )
    return found


def gives_at_most_k_best_first(factory: Factory, run: Run, **more: Any) -> None:
    given = pool(**more)
    retriever = factory(given)
    for k in (-1, 0, 1, 3, len(TEXTS), len(TEXTS) + 5, 10**9):
        sound(run(retriever("What does the card fee cost?", k)), k, given)


def a_lower_k_is_a_prefix(factory: Factory, run: Run, **more: Any) -> None:
    """The best stay the best: k = 3 shows the first three of k = 8."""
    retriever = factory(pool(**more))
    most = [each.id for each in run(retriever("card abroad, three days", 8))]
    for k in range(8):
        assert [each.id for each in run(retriever("card abroad, three days", k))] == most[:k]


def takes_any_text(factory: Factory, run: Run, **more: Any) -> None:
    given = pool(**more)
    retriever = factory(given)
    for query in ODD.values():
        sound(run(retriever(query, 3)), 3, given)


def gives_the_same_again(factory: Factory, run: Run, **more: Any) -> None:
    """Also from another object, after other queries, and with another query under way."""
    retriever, other = factory(pool(**more)), factory(pool(**more))
    first = run(retriever("card fee", 4))
    run(retriever("Oslo", 2))
    waiting = retriever("abroad", 3)
    assert run(retriever("card fee", 4)) == first == run(other("card fee", 4))
    assert run(waiting) == run(other("abroad", 3))


def small_pools_work(factory: Factory, run: Run, **more: Any) -> None:
    for texts in (("only one",), ("same card", "same card", "same card"), ("!!!", "…"), ("card", "", "fee")):
        given = pool(*texts, **more)
        sound(run(factory(given)("card", 2)), 2, given)


CONTRACT: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (
        gives_at_most_k_best_first,
        a_lower_k_is_a_prefix,
        takes_any_text,
        gives_the_same_again,
        small_pools_work,
    )
}
