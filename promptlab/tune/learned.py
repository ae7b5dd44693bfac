"""Which rows a model was taught: found again wherever they stand by now, in another split or file, under another id.

taught.json holds the id of each training row and, of its inputs, a mark (a hash of what they say but for case and
punctuation) and a sketch (some of its words, hashed): a row of a known id is the same row as long as most of the
sketch is (MinHash by its bottom k: Broder 1997), so that one whose text was mended is found, and one that merely has
the number of another row is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptlab.dataset.leak import wording
from promptlab.records import Example
from promptlab.tune.rows import TrainingRow

WORDS, DIGITS = 8, 6  # words of a sketch, and hexadecimal digits of each
ALIKE = 0.6  # of the sketch of two rows of one id
NEARER = 0.3  # so much more of its own sketch than of another row's, on average


@dataclass(frozen=True, slots=True)
class Learned:
    """Training rows: by id their sketch ("" where it is not known, as of older files), and the marks of all."""

    ids: Mapping[str, str] = field(default_factory=dict)
    marks: frozenset[str] = frozenset()

    def among(self, examples: Iterable[Example], *, numbered: bool = True) -> list[Example]:
        """Those of the examples that were taught; ``numbered``: their ids are those of the training rows."""
        return [each for each in examples if self._has(each, numbered=numbered)]

    def numbers(self, examples: Iterable[Example]) -> bool:
        """Whether ids mean what they meant, and do not number other rows, as those of every new file from 1 on.

        They do where half of the examples with the id of a training row say the same still, or where they are clearly
        more like that row than like another one: rows made by one pattern are alike all the same.
        """
        known = [example for example in examples if example.id in self.ids]
        if not self.marks or 2 * sum(mark(example) in self.marks for example in known) >= len(known):
            return True
        names = list(self.ids)
        others = dict(zip(names, [*names[1:], names[0]], strict=True))
        sketches = [(sketch(each), self.ids[each.id], self.ids[others[each.id]]) for each in known]
        nearer = [_alike(now, own) - _alike(now, other) for now, own, other in sketches]
        return sum(nearer) / len(nearer) >= NEARER

    def _has(self, example: Example, *, numbered: bool) -> bool:
        if self.marks and mark(example) in self.marks:
            return True
        known = self.ids.get(example.id) if numbered else None
        if known is None:
            return False
        return not known or _alike(known, sketch(example)) >= ALIKE


def traces(rows: Sequence[TrainingRow]) -> dict[str, list[str]]:
    """What taught.json says of all rows, in their order."""
    examples = [row.example for row in rows]
    return {
        "examples": [row.example_id for row in rows],
        "marks": ["" if each is None else mark(each) for each in examples],
        "sketches": ["" if each is None else sketch(each) for each in examples],
    }


def learned(value: Mapping[str, Any]) -> Learned:
    """The rows that a taught.json names. Raises TypeError where it names none, as no such file ever did."""
    ids = [str(each) for each in value.get("examples", ())]
    sketches = [str(each) for each in value.get("sketches", ())]
    marks = frozenset(filter(None, map(str, value.get("marks", ()))))
    if len(sketches) != len(ids):
        sketches = [""] * len(ids)
    return Learned(dict(zip(ids, sketches, strict=True)), marks)


def mark(example: Example) -> str:
    """A short hash of what the inputs say, case and punctuation aside; empty where they say nothing."""
    said = wording(example)
    return _digits(json.dumps(said), 16) if said[0] else ""


def sketch(example: Example) -> str:
    """The least of the hashes of its words."""
    words = {*wording(example)[0].split(), *wording(example)[1]}
    return "".join(sorted(_digits(word, DIGITS) for word in words)[:WORDS])


def _alike(one: str, other: str) -> float:
    """The share of words that two sketches have in common, as their sketch estimates it."""
    mine, theirs = _parts(one), _parts(other)
    least = sorted(mine | theirs)[:WORDS]
    return sum(each in mine and each in theirs for each in least) / max(1, len(least))


def _parts(sketch: str) -> set[str]:
    return {sketch[place : place + DIGITS] for place in range(0, len(sketch), DIGITS)}


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:count]
