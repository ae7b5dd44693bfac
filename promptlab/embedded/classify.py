"""Chooses a label: by the words of its name, of its description, and of the demonstrations that carry it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from promptlab.embedded.features import DIMENSIONS, Floats, Vector, centred, dense, dots, vector
from promptlab.embedded.labels import Label, key
from promptlab.embedded.luck import Luck
from promptlab.embedded.words import content_stems, spoken

FALLBACKS = frozenset(
    (
        "other",
        "others",
        "none",
        "unknown",
        "oos",
        "out of scope",
        "none of the above",
        "none of these",
        "something else",
        "unclear",
    )
)
"""Names of labels that stand for "no other label fits"."""

_NEAREST = np.array([0.6, 0.25, 0.15])  # how a label's three nearest demonstrations count


@dataclass(frozen=True, slots=True)
class Sight:
    """What a model of the engine sees.

    ``wide``: pairs of words and longer n-grams too. ``second_look``: label prototypes too, and bridges between
    passages where the question does not ask for one. ``noise``: the scale of its mistakes at temperature 0.
    """

    wide: bool
    second_look: bool
    noise: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Demonstration texts with the place of their label, first to last."""

    texts: tuple[str, ...] = ()
    places: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A label and why it was chosen."""

    label: str
    reason: str


def gather(labels: Sequence[Label], pairs: Sequence[tuple[str, str]]) -> Evidence:
    """The (text, answer) pairs whose answer is one of ``labels``."""
    place = {key(label.name): i for i, label in enumerate(labels)}
    kept = [(text, place[key(answer)]) for text, answer in pairs if key(answer) in place]
    return Evidence(tuple(text for text, _ in kept), tuple(i for _, i in kept))


def _by_demos(query: Vector, evidence: Evidence, sight: Sight, count: int) -> Floats:
    """For each label the weighted mean of its three nearest demonstrations; the last demonstration counts 10 % more."""
    scores = np.zeros(count)
    if not evidence.texts:
        return scores
    near = centred(query, [vector(text, sight.wide) for text in evidence.texts])
    near = near + 0.1 * np.abs(near) * np.linspace(0, 1, len(near))
    places = np.array(evidence.places)
    for label in set(evidence.places):
        best = np.sort(near[places == label])[::-1][: len(_NEAREST)]
        weights = _NEAREST[: len(best)]
        scores[label] = best @ weights / weights.sum()
    return scores


@lru_cache(maxsize=64)
def _prototypes(labels: tuple[Label, ...], evidence: Evidence, wide: bool) -> Floats:
    """One row per label: all that the prompt says of it, features that many labels share counting less."""
    rows = np.zeros((len(labels), DIMENSIONS))
    texts = [(x.name, i, 1.0) for i, x in enumerate(labels)]
    texts += [(x.description, i, 2.0) for i, x in enumerate(labels) if x.description]
    texts += [(text, i, 2.0) for text, i in zip(evidence.texts, evidence.places, strict=True)]
    for text, i, weight in texts:
        one = vector(spoken(text), wide)
        rows[i, one.index] += weight * one.value
    rows *= np.log(1.0 + len(labels) / np.maximum((rows > 0).sum(axis=0), 1))
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    out: Floats = rows / np.maximum(lengths, 1e-12)
    return out


@lru_cache(maxsize=2)  # all outcomes of one request are looked at one after another
def scores(query: str, labels: tuple[Label, ...], evidence: Evidence, sight: Sight) -> Floats:
    """How well each label fits, before any chance."""
    seen = vector(query, sight.wide)
    full = dense(seen)
    total = 1.5 * dots(full, [vector(spoken(label.name), sight.wide) for label in labels])
    told = [i for i, label in enumerate(labels) if label.description]
    if told:
        total[told] += 2.5 * centred(seen, [vector(labels[i].description, sight.wide) for i in told])
    total += 4.0 * _by_demos(seen, evidence, sight, len(labels))
    if sight.second_look:
        total += 2.0 * (_prototypes(labels, evidence, sight.wide) @ full)
    return np.round(total, 6)


@lru_cache(maxsize=2)  # one query is asked about with each of its labels
def _topics(query: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(content_stems(query)))


def _reason(query: str, label: Label, texts: Sequence[str]) -> str:
    """One true sentence: which words of the input the prompt connects with the label."""
    asked = _topics(query)
    for kind, source in (
        ("its description", label.description),
        ("its name", spoken(label.name)),
        ("an example of it", " ".join(texts)),
    ):
        known = set(content_stems(source))
        shared = [stem for stem in asked if stem in known][:3]
        if shared:
            return f"The text and {kind} share {', '.join(repr(word) for word in shared)}."
    return "No word of the text is told to belong to a label, so this goes by likeness of spelling."


def choose(query: str, labels: tuple[Label, ...], evidence: Evidence, sight: Sight, luck: tuple[Luck, float]) -> Choice:
    """The best label. ``luck``: the request's luck and its temperature, which widens the noise."""
    fate, temperature = luck
    fit = scores(query, labels, evidence, sight)
    best = fate.order(fit, sight.noise + 0.12 * temperature)[0]
    rest = next((i for i, label in enumerate(labels) if key(label.name) in FALLBACKS), None)
    if rest is not None and float(fit.max()) < 0.1:
        best = rest
    texts = [text for text, place in zip(evidence.texts, evidence.places, strict=True) if place == best]
    return Choice(labels[best].name, _reason(query, labels[best], texts))
