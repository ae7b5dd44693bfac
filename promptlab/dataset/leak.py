"""Rows that say the same: what must stay on one side of a split, and what must not be a demo of a scored row.

Two texts are the same if they are equal once case, punctuation, white space and numbers are folded, or nearly equal
(near.py). Texts that differ in numbers ("where is order 17?", "where is order 23?") are the same only where numbers
cannot matter to the answer: every row of that wording has the same label. So "what is 17 * 23" and "what is 90 * 12",
or "is 17 prime?" and "is 23 prime?" beside "is 18 prime?", stay rows of their own; so do unlabelled rows.
Texts under four words are the same only if they are equal: "cancel my order", "cancel my orders please" are two rows.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptlab.dataset.near import near_pairs
from promptlab.records import Example

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# scripts without spaces between words: a character is a word
_WORD = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u0e00-\u0eff"
                   r"\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")  # fmt: skip


def normalise(text: str) -> str:
    """The text with case, punctuation, numbers (to 0) and white space folded; signs such as + $ and emoji stay.

    A text of nothing but punctuation stays what it is.
    """
    folded = _NUMBER.sub("0", _plain(text))
    folded = folded.translate({ord(each): _fold(each) for each in set(folded)})
    return " ".join(folded.split()) or text.strip()


def text_of(example: Example, columns: Iterable[str] | None = None) -> str:
    """The inputs (or the named ones among them) joined by line ends in order of name; JSON for what is not text."""
    names = sorted(example.inputs if columns is None else set(columns) & set(example.inputs))
    return "\n".join(_text(example.inputs[name]) for name in names)


def wording(example: Example) -> tuple[str, tuple[str, ...]]:
    """What the inputs say, normalised, and the numbers in them: two rows that share both say the same for sure."""
    text = text_of(example)
    return normalise(text), _numbers(text)


def words(text: str) -> tuple[str, ...]:
    """The words of a text, normalised but for its numbers."""
    said = " ".join(_plain(text).translate({ord(each): _fold(each) for each in set(_plain(text))}).split())
    return tuple(_WORD.findall(said))


def groups(examples: Sequence[Example]) -> list[int]:
    """The group of each example, numbered by first appearance: same ``Example.group``, or texts that say the same.

    Being in one group is transitive. Which rows are together does not depend on their order.
    """
    parent = list(range(len(examples)))
    members: dict[str, int] = {}
    for place, example in enumerate(examples):
        if example.group:
            _unite(parent, members.setdefault(example.group, place), place)
    wordings = _wordings([text_of(each) for each in examples], examples, len(examples))
    for wording in wordings:
        for same, _ in _same(wording, wording):
            for place in same:
                _unite(parent, same[0], place)

    def parts() -> NDArray[np.int64]:
        # a wording whose rows are not all together has a part to itself: a pair with it may still unite rows
        whole = (each.answers or len(each.rows) == 1 for each in wordings)
        roots = (_root(parent, each.places[0]) for each in wordings)
        return np.array([root if one else ~i for i, (root, one) in enumerate(zip(roots, whole, strict=True))])

    for i, j, _ in near_pairs([each.words for each in wordings], len(wordings), parts):
        for one, other in _same(wordings[i], wordings[j]):
            _unite(parent, one[0], other[0])
    numbers: dict[int, int] = {}
    return [numbers.setdefault(_root(parent, place), len(numbers)) for place in range(len(examples))]


def overlaps(demos: Sequence[Example], rows: Sequence[Example]) -> list[tuple[int, int, float]]:
    """(Demo index, row index, similarity) of each demo that says the same as a row, in order of index.

    Compared are the inputs that all of them have, so that a bank may lack columns of the set. Equal texts have
    similarity 1, nearly equal ones the larger of Jaccard and cosine.
    """
    examples = [*demos, *rows]
    shared = set.intersection(*(set(each.inputs) for each in examples)) if examples else set()
    wordings = _wordings([text_of(each, shared or None) for each in examples], examples, len(demos))
    of_demos = sum(each.places[0] < len(demos) for each in wordings)
    found: dict[tuple[int, int], float] = {}
    equal = ((place, place, 1.0) for place in range(of_demos))
    for i, j, similarity in (*equal, *near_pairs([each.words for each in wordings], of_demos)):
        for one, other in _same(wordings[i], wordings[j]):
            for pair in _across(one, other, len(demos)):
                found[pair] = max(similarity, found.get(pair, 0.0))
    return [(demo, row, found[demo, row]) for demo, row in sorted(found)]


@dataclass(frozen=True, slots=True)
class _Wording:
    """Rows whose normalised texts are equal: their places, all and by the numbers in them, and what answers all accept.

    No such answer means that the numbers matter (or that nobody labelled the rows).
    """

    words: tuple[str, ...]
    places: list[int]
    rows: dict[tuple[str, ...], list[int]]
    answers: frozenset[str]


def _wordings(texts: Sequence[str], examples: Sequence[Example], first: int) -> list[_Wording]:
    """The wordings of the texts, sorted; those that the ``first`` examples use come before the others.

    Empty texts have none: nothing is known to equal them.
    """
    rows: dict[str, dict[tuple[str, ...], list[int]]] = {}
    for place, text in enumerate(texts):
        if key := normalise(text):
            rows.setdefault(key, {}).setdefault(_numbers(text), []).append(place)
    wordings = []
    for key, by_numbers in sorted(rows.items()):
        places = sorted(chain.from_iterable(by_numbers.values()))
        answers = frozenset.intersection(*(frozenset(map(_text, examples[place].answers)) for place in places))
        wordings.append(_Wording(tuple(_WORD.findall(key)), places, by_numbers, answers))
    return sorted(wordings, key=lambda each: each.places[0] >= first)


def _same(one: _Wording, other: _Wording) -> Iterator[tuple[list[int], list[int]]]:
    """The rows of two alike wordings that say the same: all if numbers cannot matter, else those of equal numbers."""
    if one.answers & other.answers:
        yield one.places, other.places
        return
    for numbers in one.rows.keys() & other.rows.keys():
        yield one.rows[numbers], other.rows[numbers]


def _across(one: list[int], other: list[int], demos: int) -> Iterator[tuple[int, int]]:
    """Every (demo, row) with one in the first list and one in the second."""
    for left, right in ((one, other), (other, one)):
        behind = [place - demos for place in right if place >= demos]
        yield from ((demo, row) for demo in left if demo < demos for row in behind)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _numbers(text: str) -> tuple[str, ...]:
    """The numbers in a text without their separators: 1,200 and 1200 are one number."""
    return tuple(re.sub("[.,]", "", number) for number in _NUMBER.findall(_plain(text)))


@cache
def _fold(character: str) -> str:
    """Letters, marks, digits stay; signs become words; format characters, apostrophes go; the rest parts words."""
    category = unicodedata.category(character)
    if category[0] in "LMN":
        return character
    if category in {"Sm", "Sc", "So"}:
        return f" {character} "
    return "" if category == "Cf" or character in "'\u2019" else " "


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _root(parent: list[int], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


def _unite(parent: list[int], one: int, other: int) -> None:
    one, other = sorted((_root(parent, one), _root(parent, other)))
    parent[other] = one
