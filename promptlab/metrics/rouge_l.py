"""ROUGE-L (Lin 2004): F1 of the longest common subsequence of words, by the package rouge-score (extra `text`).

That package's own words are runs of a-z and 0-9. Here they are runs of letters and digits of any script (Chinese and
Japanese characters are words of their own): the same for ASCII text, and no zero for all that is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from promptlab.metrics.accepted import best, text_of
from promptlab.metrics.extra import extra
from promptlab.records import Completion, Example

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|(?:(?![\u3040-\u30ff\u3400-\u9fff])[^\W_])+")


class Words:
    """Splits texts as said above; with ``stemmer`` English words lose their endings."""

    def __init__(self, stemmer: Any = None) -> None:
        self.stemmer = stemmer

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        found = _WORD.findall(text.lower())
        return [self.stemmer.stem(word) if len(word) > 3 else word for word in found] if self.stemmer else found


@dataclass(frozen=True, slots=True)
class RougeL:
    """ROUGE-L of the answer and an accepted answer, from 0 to 1, the best over all accepted ones.

    ``stem``: English words count as equal where their Porter stems are.
    """

    stem: bool = False
    _scorer: Any = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        package = extra("rouge_score.rouge_scorer", "rouge-score", "text")
        stemmer = extra("nltk.stem.porter", "nltk", "text").PorterStemmer() if self.stem else None
        object.__setattr__(self, "_scorer", package.RougeScorer(["rougeL"], tokenizer=Words(stemmer)))

    def __call__(self, example: Example, completion: Completion) -> float:
        """The best ROUGE-L; 0 without an answer."""
        return best(example, completion, self._overlap)

    def _overlap(self, accepted: Any, answer: Any) -> float:
        return float(self._scorer.score(text_of(accepted), text_of(answer))["rougeL"].fmeasure)
