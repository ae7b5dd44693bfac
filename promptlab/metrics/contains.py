"""Contains: an accepted answer stands somewhere in the output.

It over-scores: an output that lists every label, or denies the right one ("not billing"), gets full marks. Fit for
open questions with distinctive answers; for labels take ``exact`` with the parser ``label``.
"""

from __future__ import annotations

import math

from promptlab.metrics.accepted import text_of
from promptlab.records import Completion, Example

_FIRST_UNSPACED = "\u2e80"
"""From here on scripts write no spaces between words, so every place is a word's edge."""


def contains(example: Example, completion: Completion) -> float:
    """1 if an accepted answer occurs in the output's text as whole words (case and white space folded), else 0."""
    if not example.answers:
        return math.nan
    text = _plain(completion.text)
    return float(any(occurs(_plain(text_of(each)), text) for each in example.answers))


def occurs(words: str, text: str) -> bool:
    """Whether ``words`` stands in ``text`` with no letter or digit of the same word before or after it."""
    at = text.find(words) if words else -1
    while at >= 0:
        end = at + len(words)
        if not (at and _joined(text[at - 1], words[0])) and not (end < len(text) and _joined(words[-1], text[end])):
            return True
        at = text.find(words, at + 1)
    return False


def _joined(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word."""
    return all((each.isalnum() or each == "_") and each < _FIRST_UNSPACED for each in (left, right))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
