"""How well passages were found, whatever was answered: hit, recall, reciprocal rank, nDCG and the rank of the answer.

Each is the field's own (Manning, Raghavan and Schütze 2008, Introduction to information retrieval, 8), with gains of 1
or 0: a passage counts where it brings a gold passage, document or text that none before it brought.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from functools import lru_cache

from promptlab.records import Passage
from promptlab.retrieve.gold import Answers, folded
from promptlab.retrieve.limit import Cut
from promptlab.tokens import estimate

NAMES = ("hit_at_k", "recall_at_k", "mrr", "ndcg", "gold_rank", "passage_tokens")


def measures(
    found: Sequence[Passage],
    gold: Sequence[str],
    k: int | None = None,
    ids: Container[str] | None = None,
    answers: Answers | None = None,
) -> dict[str, float]:
    """The measures of one row by name; NaN where it has no gold, for ``gold_rank`` also where none was found.

    ``found``: best first, the order of the retriever, not that of the prompt. ``k``: how many were asked for, by
    default as many as there are; the ideal that nDCG divides by has so many places. ``ids``: those of the corpus, see
    ``matches``. ``answers``: the row's, which a passage that was cut has to say still; without them only a gold text
    counts in it. ``passage_tokens``: an estimate for all of them together.
    """
    tokens = float(sum(_tokens(each.text) for each in found))
    wanted = tuple(dict.fromkeys(each for each in gold if each.strip()))
    if not wanted:
        return {**dict.fromkeys(NAMES, math.nan), "passage_tokens": tokens}
    gains = new(found, wanted, ids, answers)
    first = next((rank for rank, gain in enumerate(gains, 1) if gain), 0)
    ideal = [1.0] * min(len(wanted), max(len(found) if k is None else k, 1))
    return {
        "hit_at_k": float(first > 0),
        "recall_at_k": sum(gains) / len(wanted),
        "mrr": 1 / first if first else 0.0,
        "ndcg": min(1.0, discounted(gains) / discounted(ideal)),
        "gold_rank": float(first) if first else math.nan,
        "passage_tokens": tokens,
    }


def new(
    found: Sequence[Passage],
    gold: Sequence[str],
    ids: Container[str] | None = None,
    answers: Answers | None = None,
) -> list[int]:
    """For each passage, how many of the gold ones it brings that none before it brought."""
    left = list(gold)
    gains = []
    for passage in found:
        brought = [each for each in left if matches(passage, each, ids, answers)]
        left = [each for each in left if each not in brought]
        gains.append(len(brought))
    return gains


def matches(passage: Passage, gold: str, ids: Container[str] | None = None, answers: Answers | None = None) -> bool:
    """Whether a gold entry is the passage's id, its document's id, or a text that stands in it.

    What is none of the ``ids`` of passages and documents is a text. Where they are not known, a text has white space
    inside, and a single word is an id: `4` is no passage that says "a set of 4". A passage that a limit of tokens cut
    is not known by its id: one of the ``answers`` has to stand in what is left of it.
    """
    if gold == passage.id or (gold == passage.source and gold != ""):
        return not isinstance(passage, Cut) or (answers is not None and answers.stand_in(passage))
    if ids is not None and gold in ids:
        return False
    wanted = folded(gold)
    return (" " in wanted or (ids is not None and wanted != "")) and wanted in folded(passage.text)


@lru_cache(maxsize=8192)
def _tokens(text: str) -> int:
    """The estimate of one passage; the same ones come in row after row."""
    return estimate(text)


def discounted(gains: Sequence[float]) -> float:
    """The discounted cumulative gain (Järvelin and Kekäläinen 2002): each gain over log2 of its rank plus one."""
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
