"""How well passages were found, and what that was worth, as columns of results.csv. Pure; absent = not measured.

The mean score is P(hit)·score_hit + P(miss)·score_miss over the rows whose right passages are known: that says whether
the retriever or the prompt is to be mended.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from promptlab.findings import Findings
from promptlab.measured import means, whole
from promptlab.predict import Task
from promptlab.records import Example, Prediction
from promptlab.stats.paired import mean

RANKED = ("hit_at_k", "recall_at_k", "mrr", "ndcg", "gold_rank")
SPLIT = ("score_hit", "score_miss")
ALWAYS = ("passage_tokens", "grounded", "quoted", "cite_precision", "cite_recall")


def measured_names(found: Findings) -> list[str]:
    """The measures that a run has: those that need to know right passages where any row says them."""
    shelf = found.task.shelf
    if shelf is None or not shelf.settings.retrieving:
        return []
    known = any(each.gold for each in (*found.search.view.dev, *found.test_rows))
    worth = () if whole(found.task) else SPLIT
    return [*((*RANKED, *worth) if known else ()), *ALWAYS]


def hits(task: Task, splits: Mapping[str, Sequence[Prediction]], examples: Mapping[str, Example]) -> dict[str, float]:
    """The measures of one variant, ``split.name`` by split; none of a variant that looks for no passages."""
    found: dict[str, float] = {}
    for split, rows in splits.items():
        done = [row for row in rows if row.status != "error" and row.measures]
        for name in (*RANKED, *ALWAYS):
            found[f"{split}.{name}"] = _mean(done, [row.measures.get(name, math.nan) for row in done], examples)
        for name, hit in zip(() if whole(task) else SPLIT, (1.0, 0.0), strict=False):
            some = [row for row in done if row.measures.get("hit_at_k") == hit]
            found[f"{split}.{name}"] = _mean(some, [row.score for row in some], examples)
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _mean(rows: Sequence[Prediction], values: Sequence[float], examples: Mapping[str, Example]) -> float:
    """The weighted mean over examples, repeats averaged first; NaN where there is nothing."""
    known = means(rows, values)
    return mean(list(known.values()), [examples[each].weight for each in known]) if known else math.nan
