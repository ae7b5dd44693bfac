"""Phrases of the user's own texts that go with an answer, told in the instruction. Asks no model.

Source: LPAQA (Jiang et al., TACL 2020) mines a prompt's wording from sentences in which both ends of a relation occur.
Here: word sequences of train's inputs that occur with one answer and hardly with others; and where answers are spans of
the row's own texts, the words that stand before them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import numpy as np

from promptlab.proposers.rewrite import MOST, made, material, new, parents, spot, whole
from promptlab.records import Example, Flow, Variant
from promptlab.view import View

MOST_ANSWERS = 60  # with more different ones they are no labels
LONGEST = 5000  # characters of a row's text that are read
LEADS = (
    "What each answer goes with:",
    "Labels, and words that they often come with:",
    "Answers, and how people put it when that is what they mean:",
)
Heard = tuple[frozenset[str], ...]
_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:['\u2019][^\W\d_]+)*(?!\w)")  # no numbers: they name one order, not a kind


@dataclass(frozen=True, slots=True)
class Corpus:
    """Tells up to ``phrases`` per answer, of up to ``words`` words, that stand in at least ``least`` rows of train."""

    phrases: int = 8
    words: int = 3
    least: int = 2
    parents: int = 3
    most: int = MOST
    needs_open: ClassVar[bool] = True
    needs_train: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """ValueError for an option out of its range."""
        whole(self)

    def __call__(self, n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant | None, ...]]:
        """At most ``n`` variants whose open text ends in phrases: other texts, other phrases, more or fewer of them."""
        yield from ()  # asks no model
        best = parents(view, rng)[: self.parents]
        most = min(n, self.most)
        rows = [row for row in material(view) if row.answers]
        heard = told_often([heard_in(row, self.words) for row in rows], self.least)
        children: list[Variant | None] = []
        for place in range(3 * most if best and rows else 0):  # some draws are alike
            at = spot(view, best[place % len(best)], rng)
            text = self._told(at.text, rows, heard, rng)
            children += [made(view, at, text, "corpus")] if text else []
            if len(children) >= most and len(new(view, children)) >= most:
                break
        return new(view, children)[:most]

    def _told(
        self, text: str, train: Sequence[Example], heard: Sequence[Heard], rng: np.random.Generator
    ) -> str | None:
        """The text with phrases below it, mined from four fifths of train; None where they tell none."""
        places = np.flatnonzero(rng.random(len(train)) < 0.8).tolist()
        rows = [train[place] for place in places]
        longest, count = int(rng.integers(1, self.words + 1)), int(rng.integers(1, self.phrases + 1))
        lead = LEADS[int(rng.integers(len(LEADS)))]
        for known in LEADS:
            text = text.partition(f"\n{known}")[0]
        phrases = phrases_of(rows, [heard[place] for place in places], longest, self.least)
        if len(phrases) >= 2:
            lines = (f"- {answer}: {', '.join(found[:count])}" for answer, found in phrases.items())
            return "\n".join([text, lead, *lines])
        before = before_answers(rows, longest, self.least)[:count]
        return f"{text} The answer often stands after words like: {', '.join(before)}." if before else None


def phrases_of(rows: Sequence[Example], heard: Sequence[Heard], longest: int, least: int) -> dict[str, list[str]]:
    """For each answer, best first, what its inputs say and others hardly; empty where answers are no labels.

    ``heard``: each row's word sequences by their length; those of up to ``longest`` words count.
    A phrase counts where it takes the answer at least half of the way from its usual share to a certainty. It is worth
    the rows of the answer that hold it, times the answer's share of all that do.
    """
    total = Counter(str(row.answers[0]) for row in rows)
    if not 2 <= len(total) <= min(MOST_ANSWERS, len(rows) / 2):
        return {}
    held: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, told in zip(rows, heard, strict=True):
        for phrase in chain.from_iterable(told[:longest]):
            held[phrase][str(row.answers[0])] += 1
    worth: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for phrase, counts in held.items():
        answer, count = min(counts.items(), key=lambda each: (-each[1], each[0]))
        share, usual = count / counts.total(), total[answer] / len(rows)
        if count >= least and share > (1 + usual) / 2:
            worth[answer].append((-count * share, phrase))
    return {answer: _apart([phrase for _, phrase in sorted(worth[answer])]) for answer in total if worth[answer]}


def before_answers(rows: Sequence[Example], longest: int, least: int) -> list[str]:
    """The words that stand before an answer in the row's own texts, the commonest first."""
    counts: Counter[str] = Counter()
    for row in rows:
        answer = str(row.answers[0])
        texts = [*(str(value) for value in row.inputs.values()), *(each.text for each in row.passages)]
        for text in texts if len(answer) > 1 else ():
            head, found, _ = text[:LONGEST].partition(answer)
            words = _WORD.findall(head.rpartition(".")[2])[-longest:]
            if found and words:
                counts[" ".join(words).lower()] += 1
    return [phrase for phrase, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])) if count >= least]


def heard_in(row: Example, longest: int) -> Heard:
    """The word sequences of a row's inputs: those of one word, of two, and so on."""
    words = _WORD.findall(" ".join(str(value)[:LONGEST] for value in row.inputs.values()).lower())
    return tuple(
        frozenset(
            " ".join(words[start : start + size])
            for start in range(len(words) - size + 1)
            if len("".join(words[start : start + size])) > 2
        )
        for size in range(1, longest + 1)
    )


def told_often(heard: Sequence[Heard], least: int) -> list[Heard]:
    """Without what fewer than ``least`` rows say: most of it, and never told."""
    counts = Counter(chain.from_iterable(chain.from_iterable(heard)))
    often = {phrase for phrase, count in counts.items() if count >= least}
    return [tuple(told & often for told in row) for row in heard]


def _apart(phrases: Sequence[str]) -> list[str]:
    """Without those that hold an earlier one, or are held by it."""
    kept: list[str] = []
    for phrase in phrases:
        if not any(f" {one} " in f" {phrase} " or f" {phrase} " in f" {one} " for one in kept[:50]):
            kept.append(phrase)
    return kept
