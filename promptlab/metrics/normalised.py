"""Normalised exact match: equal once case, punctuation, articles and white space are folded.

Source: the evaluation script of SQuAD 1.1 (Rajpurkar et al. 2016, arXiv:1606.05250). Three differences, so that
folding never makes different answers equal: a decimal point and a leading minus sign stay, thousands separators
go, and an answer that folds to nothing (an article, a mark) stays as it is.
"""

from __future__ import annotations

import re
import unicodedata

from promptlab.metrics.accepted import best, text_of
from promptlab.records import Completion, Example

_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_PUNCTUATION = re.compile(r"(?!(?<=\d)\.\d)(?!(?<![\w.])-\.?\d)[^\w\s]|_")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def normalised(example: Example, completion: Completion) -> float:
    """1 if the answer equals an accepted answer once both are folded, else 0."""
    return best(example, completion, lambda accepted, answer: folded(text_of(accepted)) == folded(text_of(answer)))


def folded(text: str) -> str:
    """The text without case, punctuation, English articles and repeated white space."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2212", "-")
    bare = _PUNCTUATION.sub("", _THOUSANDS.sub("", text))
    return " ".join(_ARTICLE.sub(" ", bare).split()) or " ".join(bare.split()) or " ".join(text.split())
