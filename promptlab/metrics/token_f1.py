"""Token F1: the overlap of an answer's words with those of an accepted answer, the best over all accepted ones.

Source: the evaluation script of SQuAD 1.1 (Rajpurkar et al. 2016, arXiv:1606.05250). Chinese and Japanese
characters are words of their own, as in MLQA (Lewis et al. 2020, arXiv:1910.07475).
"""

from __future__ import annotations

import re
from collections import Counter

from promptlab.metrics.accepted import best, text_of
from promptlab.metrics.normalised import folded
from promptlab.records import Completion, Example

_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u9fff])")


def token_f1(example: Example, completion: Completion) -> float:
    """F1 of the folded words of the answer and of the nearest accepted answer; 0 without an answer."""
    return best(example, completion, lambda accepted, answer: overlap(text_of(accepted), text_of(answer)))


def overlap(left: str, right: str) -> float:
    """F1 of two bags of words, in [0, 1] and symmetric; two texts without words are equal."""
    ours, theirs = _words(left), _words(right)
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (ours & theirs).total()
    return 2 * shared / (ours.total() + theirs.total())


def _words(text: str) -> Counter[str]:
    return Counter(_UNSPACED.sub(r" \1 ", folded(text)).split())
