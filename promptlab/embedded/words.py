"""Words, light stems and function words: all the language that the engine knows."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")

_FUNCTION_WORDS_TEXT = """
a an and are as at be been but by can could did do does for from had has have i if in into is it its me my of on
or our s she so some such t than that the their them then there these they this those to us was we were will
with would you your he her him his not no about just also please any all am being what's i'm it's i've
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_TEXT.split())
"""English words that carry grammar rather than a topic; without question words, which tell kinds apart."""

_QUESTION_WORDS_TEXT = """
who whom whose what which when where why how
"""
QUESTION_WORDS = frozenset(_QUESTION_WORDS_TEXT.split())


def words(text: str) -> list[str]:
    """The words of ``text`` in order, lower case."""
    return _WORD.findall(text.lower())


def spoken(name: str) -> str:
    """A label's name as words: ``card_lost`` and ``cardLost`` read ``card lost``."""
    return _CAMEL.sub(" ", name.replace("_", " ").replace("-", " "))


def stem(word: str) -> str:
    """``word`` without its commonest English endings, so that ``charged`` meets ``charges``."""
    word = word.removesuffix("'s").removesuffix("\u2019s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending, least in (("ing", 6), ("ed", 5), ("es", 5), ("s", 4)):
        if len(word) >= least and word.endswith(ending) and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        return word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def content_stems(text: str) -> list[str]:
    """The stems of the words that carry a topic, in order, question words left out."""
    return [stem(w) for w in words(text) if w not in FUNCTION_WORDS and w not in QUESTION_WORDS]
