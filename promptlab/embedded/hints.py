"""From worked examples to a word on each answer: which words go with it."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.embedded.words import FUNCTION_WORDS, QUESTION_WORDS, stem, words

_RIGHT = "right answer"
_HEADS = ("The labels, and what tells them:", "Each answer and its signs:", "Labels and the words that speak for them:")
_FEW_WORDS = "Answer in as few words as possible."


def hints(rows: Sequence[Mapping[str, Any]], chance: random.Random) -> str:
    """A list of answers with their words; where answers do not repeat, a word on length; else nothing."""
    known = [(str(row[_RIGHT]).strip(), _text(row)) for row in rows if str(row.get(_RIGHT, "")).strip()]
    answers = Counter(answer for answer, _ in known)
    if len(known) < 2:
        return ""
    if 2 <= len(answers) <= 0.7 * len(known):
        most = 4 + int(chance.random() * 9)
        lines = [f"- {answer}: {', '.join(found[:most])}" for answer, found in _signs(known).items() if found]
        return "\n".join([_HEADS[int(chance.random() * len(_HEADS))], *lines]) if len(lines) > 1 else ""
    short = sum(len(answer.split()) for answer, _ in known) <= 4 * len(known)
    return _FEW_WORDS if short else ""


def _text(row: Mapping[str, Any]) -> str:
    return " ".join(str(value) for name, value in row.items() if name != _RIGHT)


def _signs(known: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """For each answer the words that its texts hold and others do not, best first; one spelling of each stem."""
    held: defaultdict[str, Counter[str]] = defaultdict(Counter)
    spelt: dict[str, str] = {}
    for answer, text in known:
        for word in dict.fromkeys(words(text)):
            if word not in FUNCTION_WORDS and word not in QUESTION_WORDS and word.isalpha() and len(word) > 2:
                spelt.setdefault(stem(word), word)
                held[stem(word)][answer] += 1
    worth: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for root, counts in held.items():
        answer, count = min(counts.items(), key=lambda each: (-each[1], each[0]))
        if 2 * count > counts.total():
            worth[answer].append((-count * math.log(2 * count / counts.total()), spelt[root]))
    return {answer: [word for _, word in sorted(worth[answer])] for answer in dict.fromkeys(a for a, _ in known)}
