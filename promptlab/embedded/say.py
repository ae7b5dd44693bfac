"""Puts a thought into words: in the form asked for, in the form of the demonstrations, or in prose of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from promptlab.embedded.form import Form
from promptlab.embedded.luck import Luck
from promptlab.embedded.replies import REASON_KEYS, Reply, answer_key

_PROSE = (
    'I would say this is "{}", going by the wording.',
    "This looks like {} to me.",
    "The best fit here seems to be {}.",
    "Sure! The text is about {}, I think.",
)


@dataclass(frozen=True, slots=True)
class Thought:
    """What is to be said: the answer, one sentence of reason, and a full sentence that holds the answer ("" = none)."""

    answer: str
    reason: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How it may be said. ``habit``: the form of the demonstrations (None: fewer than two).

    ``chatty``: the share of answers that come in prose where nothing forbids it.
    """

    form: Form
    habit: Reply | None
    chatty: float


def _object(thought: Thought, keys: Sequence[str]) -> str:
    main = answer_key(keys)
    values = {name: thought.reason if name.lower() in REASON_KEYS else None for name in keys}
    values[main] = thought.answer
    return json.dumps(values, ensure_ascii=False)


def _final(thought: Thought, form: Form) -> str:
    """The answer as its own last line: with the marker or in the tag that the prompt shows."""
    if form.json_keys:
        return _object(thought, form.json_keys)
    if form.tag:
        return f"<{form.tag}>{thought.answer}</{form.tag}>"
    return f"{form.marker} {thought.answer}" if form.marker else thought.answer


def _imitated(thought: Thought, habit: Reply) -> str:
    """The answer where the demonstrations have theirs."""
    if habit.json_keys:
        return _object(thought, habit.json_keys)
    *above, mark = habit.before.split("\n")
    lead = f"{thought.reason}\n" if any(line.strip() for line in above) else ""
    return lead + mark + thought.answer + habit.after


def _asked_for(thought: Thought, form: Form, luck: Luck) -> str | None:
    """The answer in the form that the prompt asks for; None if it asks for none."""
    plain = luck.often(0.8)
    if form.quote and thought.sentence and not form.json_keys:
        return f'"{thought.sentence}"\n{_final(thought, form)}'
    if (form.reason or form.quote) and not form.json_keys:
        apart = form.own_line or form.terse or form.marker or form.tag
        return (
            f"{thought.reason}\n{_final(thought, form)}"
            if apart
            else f"{thought.reason} So I would say {thought.answer}."
        )
    if form.json_keys:
        bare = _object(thought, form.json_keys)
        return bare if form.terse or plain else f"Here is the answer:\n```json\n{bare}\n```"
    if form.terse or form.marker or form.tag or form.own_line:
        return _final(thought, form)
    return None


def _prose(thought: Thought, luck: Luck) -> str:
    if thought.sentence:
        return f"According to the passages: {thought.sentence}"
    return _PROSE[luck.one_of(len(_PROSE))].format(thought.answer)


def say(thought: Thought, manner: Manner, luck: Luck) -> str:
    """The engine's words. An explicit order comes first, then the demonstrations' form, then chance."""
    form = manner.form
    text = _asked_for(
        thought, replace(form, reason=False, quote=False) if manner.habit and not form.own_line else form, luck
    )
    if text is not None:
        return text
    if manner.habit is not None:
        return _imitated(thought, manner.habit)
    return _prose(thought, luck) if luck.often(manner.chatty) else thought.answer
