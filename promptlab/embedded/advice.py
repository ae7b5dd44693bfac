"""The book of advice that instructions are made with: what helps, what does nothing, what harms, and other wordings."""

from __future__ import annotations

import random
import re

BARE = (
    "Answer with the label only.",
    "Give just the answer, nothing else.",
    "No explanation, no other words.",
    "Reply with the answer alone, in as few words as possible.",
)
"""Cues for the bare answer: an answer in a sentence of its own is often not read as one."""

NEUTRAL = (
    "Take your time.",
    "Read it twice.",
    "Mind the details.",
    "You know this field well.",
    "What matters is what is wanted, not how it is said.",
)
"""Encouragement: this engine takes no heed of it."""

RISKY = (
    "Think step by step.",
    "Explain your choice in one sentence.",
    "Think in one sentence, then give the answer on a line of its own.",
    "Start with a short reason.",
    "Be friendly, and say why.",
)
"""Advice that makes answers longer: good for some tasks and forms, bad for others."""

_WORDINGS = (
    (r"\bclassify\b", ("sort", "categorise", "find the right label for", "write only the label of")),
    (r"\bname\b", ("give", "tell", "write only")),
    (r"\bfind\b", ("look for", "pick out")),
    (r"\bdecide\b", ("work out", "determine", "think about")),
    (r"\banswer the question\b", ("reply to the question", "say what is asked for", "answer what is asked")),
    (r"\bgive the answer\b", ("say the answer", "write just the answer", "explain the answer")),
    (r"\bmessage\b", ("text", "note")),
    (r"\btake\b", ("choose", "go by")),
    (r"\bif there are\b", ("where there are", "should there be")),
    (r"\bonly\b", ("just", "only")),
    (r"\bfrom the\b", ("out of the", "with the help of the")),
)


def reworded(sentence: str, chance: random.Random) -> str:
    """``sentence`` with one wording changed; as it is where none is known."""
    head, line, rest = sentence.partition("\n")
    known = [(pattern, ways) for pattern, ways in _WORDINGS if re.search(pattern, head, re.I)]
    if not known:
        return sentence
    pattern, ways = known[int(chance.random() * len(known))]
    way = ways[int(chance.random() * len(ways))]

    def said(match: re.Match[str]) -> str:
        return way[:1].upper() + way[1:] if match.group()[:1].isupper() else way

    return re.sub(pattern, said, head, count=1, flags=re.I) + line + rest
