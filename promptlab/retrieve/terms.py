"""The words of a text as a search sees them: folded; scripts without spaces by letters; plurals as other forms."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

VERSION = 2  # raise it whenever a text gives other terms: kept indexes are then built anew
OTHER = 0.2
"""What the plural of a query's word, or its singular, counts beside the word itself.

Measured: more loses passages whose own words a query has; none loses those that a question asks for otherwise.
"""

_ASCII = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256))
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = "\u0900-\u0963\u0966-\u0dff"  # vowel signs of Indic scripts, which are no letters to \w
_RUN = re.compile(rf"([{UNSPACED}]+)|((?:(?![{UNSPACED}])[^\W_]|[{_MARKS}])+)")


def words(text: str) -> list[str]:
    """The words in order, lower case. Of scripts that put no spaces: every letter and every pair of neighbours."""
    if text.isascii():  # three times as fast as a regular expression
        return text.encode("ascii").translate(_ASCII).decode("ascii").split()
    found: list[str] = []
    for unspaced, word in _RUN.findall(unicodedata.normalize("NFKC", text).casefold()):
        if word:
            found.append(word)
        else:
            found += unspaced
            found += map("".join, pairwise(unspaced))
    return found


def stem(word: str) -> str:
    """An English word without its plural ending: Harman's S-stemmer ("How effective is suffixing?", JASIS 1991)."""
    if len(word) < 3 or not word.endswith("s") or word[-2] in "us":
        return word
    if word.endswith("ies") and len(word) > 4 and word[-4] not in "ae":
        return f"{word[:-3]}y"
    return word[:-1]


def forms(word: str) -> set[str]:
    """The other words of the same stem."""
    root = stem(word)
    found = {root, f"{root}s", f"{root[:-1]}ies" if root.endswith("y") else root}
    return {each for each in found if each != word and stem(each) == root}


def once(number: int) -> float:  # noqa: ARG001 - what `weighed` takes
    """A word that a query repeats counts as one that it says once."""
    return 1.0


def weighed(query: str, often: Callable[[int], float] = once) -> dict[str, float]:
    """The words of a query by what each counts there, ``often`` of its number, and their other forms, OTHER of that."""
    asked = Counter(words(query))
    found: dict[str, float] = {}
    for word, number in asked.items():
        for form in forms(word) - asked.keys():
            found[form] = max(found.get(form, 0.0), OTHER * often(number))
    return {word: often(number) for word, number in asked.items()} | found


def terms(text: str) -> list[str]:
    """The stems of the words, in order."""
    return [stem(word) for word in words(text)]
