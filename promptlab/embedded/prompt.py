"""Reads a chat: labels, demonstrations, passages, the form asked for, and the text to be answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from promptlab.embedded.fields import Demo, read_fields
from promptlab.embedded.form import Form, find_form
from promptlab.embedded.labels import Label, find_labels
from promptlab.embedded.passages import take_passages

Chat = Sequence[tuple[str, str]]
"""(role, text) of each message, in order."""

_ORDER = re.compile(
    r"^\s*(?:#+\s*|\*\*)?(?:now,? |then,? |please |finally,? )?(?:answer|reply|respond|return|output|give"
    r"|print|write|classify|choose|select|pick|label|decide|"
    r"determine|identify|categori[sz]e|assign|tell|think|explain|use|do not|don't|only|read|your task|you are"
    r"|you will|you have|"
    r"the possible|possible|allowed|one of|labels?|categories|intents?)\b",
    re.I,
)
_DELIMITED = re.compile(r"\"\"\"\s*(.+?)\s*\"\"\"|```(?:\w*\n)?\s*(.+?)\s*```", re.S)


@dataclass(frozen=True, slots=True)
class Ask:
    """Everything that the engine knows about a request. ``sure``: the labels are the answers without doubt."""

    query: str
    instructions: str = ""
    labels: tuple[Label, ...] = ()
    sure: bool = False
    demos: tuple[Demo, ...] = ()
    passages: tuple[str, ...] = ()
    form: Form = field(default_factory=Form)
    cued: bool = False


def _turns(chat: Chat) -> tuple[str, list[Demo], str]:
    """System text, finished user/assistant turns, and the last open user text."""
    system: list[str] = []
    turns: list[Demo] = []
    user: list[str] = []
    for role, text in chat:
        if role in ("system", "developer"):
            system.append(text)
        elif role == "user":
            user.append(text)
        elif user:
            turns.append(Demo("\n".join(user), text))
            user = []
    if not user and turns:  # the chat ends with an assistant's words: they are the start of an answer, not a demo
        user = [turns.pop().text]
    return "\n".join(system), turns, "\n".join(user)


def _shared(texts: Sequence[str]) -> tuple[int, int]:
    """How many first and last lines all texts share, leaving each at least one line of its own."""
    split = [text.splitlines() for text in texts]
    least = min(len(lines) for lines in split)
    top = 0
    while top < least - 1 and len({lines[top] for lines in split}) == 1:
        top += 1
    bottom = 0
    while bottom < least - 1 - top and len({lines[-1 - bottom] for lines in split}) == 1:
        bottom += 1
    return top, bottom


def _inner(text: str, top: int, bottom: int) -> str:
    lines = text.splitlines()
    return "\n".join(lines[top : len(lines) - bottom]).strip()


def _unframed(turns: list[Demo], last: str) -> tuple[str, list[Demo], str]:
    """Turns often repeat the instruction around each text: (the repeated lines, turns and last text without them)."""
    if not turns:
        return "", turns, last
    top, bottom = _shared([*(turn.text for turn in turns), last])
    if not top and not bottom:
        return "", turns, last
    lines = last.splitlines()
    frame = "\n".join([*lines[:top], *lines[len(lines) - bottom :]])
    inner = [Demo(_inner(turn.text, top, bottom), turn.output) for turn in turns]
    return frame, inner, _inner(last, top, bottom)


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def _is_order(text: str, plain: bool) -> bool:
    """Whether a paragraph tells what to do.

    Beside other instructions (not ``plain``) it must also name labels or a form: customers write "please tell me".
    """
    if not _ORDER.match(text):
        return False
    form = find_form(text)
    return plain or form.terse or form.own_line or bool(form.json_keys) or find_labels(text).sure


def _without_orders(text: str, leading: bool) -> tuple[str, str]:
    """(the text to be answered, the orders around it). Something to answer is always left."""
    parts = _paragraphs(text)
    if len(parts) < 2:
        parts = [line for line in text.splitlines() if line.strip()]
    first, last = 0, len(parts)
    while last - first > 1 and _is_order(parts[last - 1], leading):
        last -= 1
    if leading:
        named = [i for i in range(first, last - 1) if find_labels(parts[i]).sure]
        first = named[-1] + 1 if named else first
        while last - first > 1 and _ORDER.match(parts[first]):
            first += 1
    return "\n\n".join(parts[first:last]), "\n\n".join([*parts[:first], *parts[last:]])


def _alone(text: str, lead: bool) -> tuple[str, str]:
    """Splits a text without fields into (what is to be answered, orders)."""
    delimited = _DELIMITED.search(text[:200_000])
    if delimited and lead:
        inner = next(group for group in reversed(delimited.groups()) if group is not None)
        return inner, (text[: delimited.start()] + "\n" + text[delimited.end() :]).strip()
    query, orders = _without_orders(text, lead)
    if lead and not orders and "\n" not in text and _ORDER.match(text) and ": " in text:
        order, _, query = text.partition(": ")  # "Classify as good or bad: I loved it"
        if find_labels(order).labels:
            return query.strip(), order
        order, _, query = text.rpartition(": ")
        return query.strip(), order
    return query, orders


def _demo(turn: Demo) -> Demo:
    """A finished turn with its text freed of field names."""
    fields = read_fields(turn.text)
    return Demo(fields.query if fields.query else turn.text, turn.output)


def read(chat: Chat) -> Ask:
    """What ``chat`` holds for the engine. Text to be answered is data: no cue is read from it."""
    system, turns, last = _turns(chat)
    if not last:
        system, last = "", system
    above = take_passages(system, holds_query=False)
    ordered = read_fields(above.rest)
    frame, turns, last = _unframed(turns, last)
    here = take_passages(last)
    fields = read_fields(here.rest)
    passages = (*above.passages, *here.passages)
    demos = (*ordered.demos, *fields.demos, *(_demo(turn) for turn in turns))
    known = bool(above.rest.strip() or demos)
    if fields.query is not None:
        query, tail = _without_orders(fields.query, leading=False)
        orders = f"{fields.head}\n{tail}"
    elif not here.rest.strip():
        query, orders = ("", "") if passages else (last, "")
    else:
        body = fields.head if fields.demos else here.rest
        query, orders = _alone(body, lead=not known or bool(passages))
    head = ordered.head if ordered.demos else above.rest
    instructions = "\n".join(part for part in (head, frame, orders) if part.strip())
    if not query and len(passages) == 1 and not here.rest.strip():
        query, passages = passages[0], ()  # "Passage: ..." alone is what is to be classified
    named = find_labels(instructions)
    return Ask(query, instructions, named.labels, named.sure, demos, passages, find_form(instructions), fields.cued)
