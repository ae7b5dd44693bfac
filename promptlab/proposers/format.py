"""The same words in another dress (FormatSpread: Sclar et al. 2024): separators, casing, headings, label wording.

Open texts are laid out anew by a small grammar, their tokens left as they are; the answers of shown demos are spelt in
other ways. Half of the proposals change one choice of a good variant, half are drawn. Asks no model.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np

from promptlab.proposers.demos import good, leaders, showing, shows
from promptlab.records import Flow, Variant
from promptlab.space import TOKEN
from promptlab.view import View

Style = tuple[int, ...]
"""Places in HEADS, SEPARATORS, JOINTS, CASINGS and ENDS."""

HEADS = ("", "Task", "Instruction", "### Task")
SEPARATORS = (": ", ":\n", " - ", "\n")
JOINTS = (" ", "\n", "\n\n", "\n- ")
CASINGS: tuple[Callable[[str], str], ...] = (str, str.upper, str.lower)
ENDS = (".", "", ":")
FORMATS = tuple(
    each
    for each in itertools.product(range(len(HEADS)), range(len(SEPARATORS)), range(len(JOINTS)), range(3), range(3))
    if each[0] or not each[1]  # without a heading there is nothing to separate
)
SPELLINGS: tuple[Callable[[str], str], ...] = (
    str.upper,
    str.lower,
    str.capitalize,
    lambda text: text.replace("_", " "),
    lambda text: f"{text}.",
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")


def format(n: int, view: View, rng: np.random.Generator) -> Flow[tuple[Variant, ...]]:  # noqa: A001 - its name
    """Variants of good ones whose open texts, or the answers of whose demos, look different."""
    yield from ()  # asks no model
    known = {variant.id for variant in view.variants}
    found: list[Variant] = []
    best = leaders(view)
    for _ in range(5 * n + 20):
        parent = good(best, rng)
        if len(found) >= n or parent is None:
            break
        variant = _laid_out(view, parent, rng) if rng.random() < 0.8 else _spelt(view, parent, rng)
        if variant is not None and variant.id not in known:
            known.add(variant.id)
            found.append(variant)
    return tuple(each for each in found if not view.space.excluded(each.slots))


def dressed(text: str, style: Style) -> str:
    """A text in one of FORMATS; its first one joins the sentences by spaces and ends with a full stop."""
    head, separator, joint, casing, end = style
    sentences = [each for each in _SENTENCE.split(text.strip()) if each]
    body = JOINTS[joint].join(sentences)
    body = body[:-1] if body.endswith(".") else body
    body += "" if body.endswith(("⟧", "!", "?", ":")) else ENDS[end]
    heading = HEADS[head] + SEPARATORS[separator] if head else ""
    bullet = "- " if len(sentences) > 1 and JOINTS[joint].endswith("- ") else ""
    return heading + _cased(bullet + body, CASINGS[casing])


def _cased(text: str, casing: Callable[[str], str]) -> str:
    """Tokens stay as they are."""
    return "".join(
        part for pair in itertools.zip_longest(map(casing, TOKEN.split(text)), TOKEN.findall(text), fillvalue="")
        for part in pair
    )  # fmt: skip


def _laid_out(view: View, parent: Variant, rng: np.random.Generator) -> Variant | None:
    slots = view.space.open_slots(parent)
    if not slots:
        return None
    slot = slots[rng.integers(len(slots))].name
    source = _source(view, parent, slot)
    present = view.space.text(parent, slot)
    worn = _looks(source).get(present)
    styles = FORMATS if worn is None or rng.random() < 0.5 else _near(worn)
    style = styles[rng.integers(len(styles))]
    return view.space.rewritten(parent, slot, dressed(source, style), "format", (parent.id,))


@lru_cache(maxsize=256)
def _looks(source: str) -> Mapping[str, Style]:
    """Every look of a text, and the first format that gives it."""
    return {dressed(source, style): style for style in reversed(FORMATS)}


@lru_cache(maxsize=len(FORMATS))
def _near(worn: Style) -> tuple[Style, ...]:
    """The formats that differ in one choice."""
    return tuple(each for each in FORMATS if sum(a != b for a, b in zip(each, worn, strict=True)) == 1)


def _source(view: View, variant: Variant, slot: str) -> str:
    """The text before any of its formats: layouts do not pile up."""
    known = {each.id: each for each in view.variants}
    while variant.origin == "format" and slot in known.get(variant.parents[0], variant).slots:
        if variant.parents[0] not in known:
            break
        variant = known[variant.parents[0]]
    return view.space.text(variant, slot)


def _spelt(view: View, parent: Variant, rng: np.random.Generator) -> Variant | None:
    """The parent's demos with their answers spelt otherwise; what is no plain text stays."""
    if view.bank is None or not shows(view, parent):
        return None
    spelling = SPELLINGS[int(rng.integers(len(SPELLINGS)))]
    answers = {demo.id: demo.answers[0] for demo in view.bank.demos if demo.answers}
    listed = tuple(
        (each, spelling(answers[each])) if isinstance(each, str) and isinstance(answers.get(each), str) else each
        for each in view.bank.listed(parent.slots)
    )
    return showing(view, parent, listed, "format") if listed else None
