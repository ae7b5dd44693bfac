"""From a chat to an answer: a pure function of the messages and the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from promptlab.embedded.classify import FALLBACKS, Sight, choose, gather
from promptlab.embedded.craft import craft, wants_instruction
from promptlab.embedded.extract import find
from promptlab.embedded.judging import verdict, wants_verdict
from promptlab.embedded.labels import Label, key
from promptlab.embedded.luck import Drawn, Luck, outcomes
from promptlab.embedded.noise import generator
from promptlab.embedded.pieces import count, count_chat, cut
from promptlab.embedded.prompt import Ask, read
from promptlab.embedded.replies import Reply, read_reply
from promptlab.embedded.say import Manner, Thought, say
from promptlab.embedded.searching import searching, wants_search
from promptlab.embedded.tuned import SHELF, Lineup

_BASES = {
    "small": Sight(wide=False, second_look=False, noise=0.08),
    "big": Sight(wide=True, second_look=True, noise=0.03),
}
MODELS: Mapping[str, Sight] = Lineup(_BASES, SHELF)
"""The models that the engine offers; tuned ones can be looked up, too."""


@dataclass(frozen=True, slots=True)
class Params:
    """How to answer. ``json_keys`` and ``choices`` come from a response format: keys of the object, allowed answers."""

    model: str = "small"
    temperature: float = 1.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int = 0
    json_keys: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine said; tokens as ``pieces`` counts them."""

    text: str
    finish_reason: Literal["stop", "length"]
    tokens_in: int
    tokens_out: int


def content(value: Any) -> str:
    """A message's content as text: a string, or OpenAI's list of text parts joined; None is empty."""
    if isinstance(value, str):
        return value
    return "\n".join(str(part["text"]) for part in value) if value else ""


def _distinct(names: Sequence[str]) -> tuple[Label, ...]:
    return tuple(Label(name) for name in {key(name): name for name in reversed(names)}.values())[::-1]


def _labelled(ask: Ask, labels: tuple[Label, ...]) -> list[tuple[str, str]]:
    """Passages that name exactly one label: they say something about it, as a demonstration does."""
    out = []
    for passage in ask.passages:
        named = [x.name for x in labels if len(x.name) > 2 and x.name.casefold() in passage.casefold()]
        if len(named) == 1:
            out.append((passage, named[0]))
    return out


def _is_yes_no(labels: Sequence[Label]) -> bool:
    return {"yes", "no"} <= {key(x.name) for x in labels}


def _missing(ask: Ask) -> str:
    """What the prompt wants to hear when the passages do not answer: its own words, or a label of that meaning."""
    lacking = (x.name for x in ask.labels if key(x.name) in FALLBACKS or key(x.name).startswith(("not ", "no ")))
    return ask.form.missing or next(lacking, "")


def _extracted(ask: Ask, sight: Sight, luck: tuple[Luck, float]) -> Thought | None:
    missing = _missing(ask)
    found = find(ask.query, ask.passages, bool(missing), sight, luck)
    if not found.span:
        return Thought(missing, found.reason) if missing else None
    spelled = next((x.name for x in ask.labels if key(x.name) == key(found.span)), found.span)
    return Thought(spelled, found.reason, found.sentence)


def _thought(ask: Ask, replies: Sequence[Reply], params: Params, fate: Luck) -> Thought | None:
    """What the request lets the engine know; None if that is nothing."""
    luck, tuned = (fate, params.temperature), SHELF.get(params.model)
    if tuned is not None and (known := tuned.recalled(ask.query)) is not None:
        return Thought(known, "This was learned by heart.")
    if ask.passages and (not ask.sure or _is_yes_no(ask.labels)):
        return _extracted(ask, MODELS[params.model], luck)
    if ask.form.missing and not ask.labels and "?" in ask.query:
        return Thought(ask.form.missing, "Nothing in this request tells the answer.")
    labels = ask.labels or _distinct([reply.answer for reply in replies if reply.answer])
    labels = labels or (tuned.labels if tuned is not None else ())
    if not labels:
        return None
    pairs = [(demo.text, reply.answer) for demo, reply in zip(ask.demos, replies, strict=True)]
    evidence = gather(labels, pairs + _labelled(ask, labels))
    chosen = tuned.choose if tuned is not None and tuned.labels else choose
    choice = chosen(ask.query, labels, evidence, MODELS[params.model], luck)
    return Thought(choice.label, choice.reason)


def _at_a_loss(ask: Ask) -> str:
    if ask.passages:
        return "I do not know: the passages do not seem to answer this."
    if "?" in ask.query and not ask.demos:
        return "I do not know the answer: nothing in this request tells me."
    return "I cannot tell which answers are possible here: the request names no labels and shows no examples."


def _chattiness(ask: Ask, replies: Sequence[Reply]) -> float:
    """The share of prose: less where the prompt says how to answer, ends with ``Label:`` or shows an example."""
    share = 0.6
    if ask.form.asked:
        share = 0.35
    if ask.cued or replies:
        share = min(share, 0.2)
    return share


def _formatted(ask: Ask, params: Params) -> Ask:
    """The request with its response format's keys and choices in place of what the prompt says."""
    if params.json_keys:
        ask = replace(ask, form=replace(ask.form, json_keys=params.json_keys, terse=True))
    if params.choices:
        notes = {key(x.name): x.description for x in ask.labels}
        ask = replace(ask, labels=tuple(Label(c, notes.get(key(c), "")) for c in params.choices), sure=True)
    return ask


def _words(ask: Ask, replies: Sequence[Reply], params: Params, thought: Thought | None, luck: Luck) -> str:
    if thought is None:
        loss = _at_a_loss(ask)
        return loss if not params.json_keys else say(Thought("", loss), Manner(ask.form, None, 0.0), luck)
    tuned = SHELF.get(params.model)
    habit = replies[-1] if len(replies) >= 2 else tuned.habit if tuned is not None else None
    manner = Manner(ask.form, habit, _chattiness(ask, replies))
    return say(thought, manner, luck)


def _stopped(text: str, stop: Sequence[str]) -> str:
    places = [place for mark in stop if mark and (place := text.find(mark)) >= 0]
    return text[: min(places)] if places else text


def _turns(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(str(message["role"]), content(message.get("content"))) for message in messages]


def _replies(ask: Ask) -> list[Reply]:
    return [read_reply(demo.output, ask.labels) for demo in ask.demos]


def _settled(chat: Sequence[tuple[str, str]]) -> str | None:
    """What there is no choice about: a verdict, or what a search asks for; None where neither is wanted."""
    if wants_verdict(chat):
        return verdict(chat)
    return searching(chat) if wants_search(chat) else None


def answers(messages: Sequence[Mapping[str, Any]], params: Params, seeds: Sequence[int]) -> list[Answer]:
    """What ``answer`` says with each of ``seeds``; the messages are read once."""
    chat = _turns(messages)
    tokens_in, meta, told = count_chat(text for _, text in chat), wants_instruction(chat), _settled(chat)
    ask = Ask("") if meta or told is not None else _formatted(read(chat), params)
    replies = _replies(ask)

    def draw(seed: int) -> Answer:
        chance, cut_off = generator(chat, seed), False
        luck = Drawn(chance)
        if meta or told is not None:
            text = craft(chat, chance) if meta else str(told)
        else:
            text = _words(ask, replies, params, _thought(ask, replies, params, luck), luck)
        text = _stopped(text, params.stop)
        if params.max_tokens is not None:
            text, cut_off = cut(text, params.max_tokens)
        return Answer(text, "length" if cut_off else "stop", tokens_in, count(text))

    return [draw(seed) for seed in seeds]


def answer(messages: Sequence[Mapping[str, Any]], params: Params = Params()) -> Answer:
    """Answers ``messages`` (role and content each). The same arguments give the same answer, always and everywhere."""
    return answers(messages, params, [params.seed])[0]


def outlook(messages: Sequence[Mapping[str, Any]], params: Params = Params()) -> dict[str, float]:
    """Every text that the engine may say here, whatever the seed, with its probability; max_tokens cuts none.

    The odds are those of the engine's own decisions: the softmax of its scores of the labels (or of the sentences of
    the passages), times the odds of the wordings. They are exact but for two things: of more than 256 labels the best
    256 are followed, and a bridge between passages is looked for below the top sentence in the order of the scores.
    Instructions that are asked for are too many to look ahead to: nothing is told of them.
    """
    chat = _turns(messages)
    if wants_instruction(chat):
        return {}
    if (told := _settled(chat)) is not None:
        return {_stopped(told, params.stop): 1.0}
    ask = _formatted(read(chat), params)
    replies = _replies(ask)
    texts: dict[str, float] = {}
    for odds, thought in outcomes(partial(_thought, ask, replies, params)):
        for share, text in outcomes(partial(_words, ask, replies, params, thought)):
            said = _stopped(text, params.stop)
            texts[said] = texts.get(said, 0.0) + odds * share
    return texts
