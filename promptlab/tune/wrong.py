"""Wrong answers that a run has recorded: what DPO pairs a right answer with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from promptlab.metrics.accepted import text_of
from promptlab.tune.formats import Pairs
from promptlab.tune.rows import TrainingRow, target

if TYPE_CHECKING:
    import pandas as pd

MOST = 2
"""Wrong answers to one row."""


def recorded(rows: Iterable[TrainingRow], predictions: pd.DataFrame, word: str) -> Pairs:
    """Wrong answers by row: its own where any were recorded, else those that rows of its label got most often on dev.

    Never a text of a dev or test row: of these, only which answer was taken for which. Test is not looked at.
    ``word`` is the parser of the template, for the form of an answer.
    """
    bad = predictions[(predictions["status"] == "ok") & (predictions["score"] == 0) & (predictions["split"] != "test")]
    own: dict[str, list[str]] = defaultdict(list)
    mixed: dict[str, Counter[str]] = defaultdict(Counter)
    for example, label, answer in zip(bad["example"], bad["label"], bad["answer"], strict=True):
        if isinstance(answer, str) and answer:
            own[str(example)].append(answer)
            mixed[str(label)][answer] += 1
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.example is None:
            continue
        wrong = Counter(own[row.example_id]) if row.example_id in own else mixed[_label(row.example.answers)]
        right = {text_of(each) for each in row.example.answers}
        some = [each for each, _ in Counter(wrong).most_common() if each not in right][:MOST]
        if some:
            found[row.example_id] = [target(word, each) for each in some]
    return found


def _label(answers: tuple[Any, ...]) -> str:
    return text_of(answers[0]) if answers else ""
