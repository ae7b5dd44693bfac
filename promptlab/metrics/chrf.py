"""chrF (Popović 2015): F2 of character n-grams, by the package sacrebleu (extra `text`). ``words: 2`` is chrF++."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from promptlab.metrics.accepted import best, text_of
from promptlab.metrics.extra import extra
from promptlab.records import Completion, Example


@dataclass(frozen=True, slots=True)
class Chrf:
    """chrF of the answer and an accepted answer, from 0 to 1, the best over all accepted ones.

    ``words``: the longest n-grams of words that count as well.
    """

    words: int | str = 0
    _metric: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if str(self.words) not in ("0", "1", "2"):
            raise ValueError(f"words {self.words!r} must be 0 (chrF), 1 or 2 (chrF++)")
        package = extra("sacrebleu.metrics", "sacrebleu", "text")
        object.__setattr__(self, "_metric", package.CHRF(word_order=int(self.words)))

    def __call__(self, example: Example, completion: Completion) -> float:
        """The best chrF; 0 without an answer."""
        return best(example, completion, self._overlap)

    def _overlap(self, accepted: Any, answer: Any) -> float:
        return float(self._metric.sentence_score(text_of(answer), [text_of(accepted)]).score) / 100
