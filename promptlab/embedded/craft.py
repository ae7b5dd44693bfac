"""Writes instructions for a chat that asks for one: a recombination of what it shows, and cues of a small book.

Nothing is understood. Sentences of the instructions that are shown are kept, reworded or left out, those of better
scored ones more often; worked examples become a list of words per answer; mistakes that hold the right answer among
other words become a word on form. The book holds good advice and bad, so some texts are better and some are worse.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from promptlab.embedded.advice import BARE, NEUTRAL, RISKY, reworded
from promptlab.embedded.hints import hints

_ASKED = re.compile(r"\bbetween <prompt> and </prompt>")
_SHOWN = re.compile(r"<instruction(?: score=\"(?P<score>[^\"\n]*)\")?>\n(?P<text>.*?)\n</instruction>", re.S)
_FENCED = re.compile(r"```\n(.*?)\n```", re.S)
_ROWS = re.compile(r"<(?P<name>examples|mistakes)>\n(?P<lines>.*?)\n</(?P=name)>", re.S)
_MOST = re.compile(r"\bat most (\d{1,5}) words\b")
_MARK = re.compile("⟦[0-9]+⟧")
_END = re.compile(r"(?<=[.!?:])[ \t]+(?=\S)")
_LONGEST = 50_000  # characters that are read


@dataclass(frozen=True, slots=True)
class Draft:
    """An instruction that the chat shows: its sentences, and its score (None: not told)."""

    parts: tuple[str, ...]
    score: float | None = None


def wants_instruction(chat: Sequence[tuple[str, str]]) -> bool:
    """Whether the chat asks for an instruction ``between <prompt> and </prompt>``: its system's words do, or its last.

    The last line counts only in a chat without system's words: what users send with an order above it is data.
    """
    orders = [text for role, text in chat if role in ("system", "developer")]
    return any(map(_ASKED.search, orders or [text.rpartition("\n")[2] for _, text in chat[-1:]]))


def craft(chat: Sequence[tuple[str, str]], chance: random.Random) -> str:
    """One sentence about what was done, and the new instruction between its tags."""
    orders = "\n".join(text for role, text in chat if role != "user")
    shown = "\n".join(text for role, text in chat if role == "user")[:_LONGEST]
    drafts = [Draft(_parts(each["text"]), _number(each["score"])) for each in _SHOWN.finditer(shown)]
    drafts = drafts or [Draft(_parts(text)) for text in _FENCED.findall(shown)[:1]]
    rows = {each["name"]: _rows(each["lines"]) for each in _ROWS.finditer(shown)}
    least = _MOST.search(orders)
    parts = _mixed(drafts, chance) or ["Give the answer that fits the text."]
    why = "I put it in other words."
    parts = [part if _MARK.search(part) or chance.random() < 0.5 else reworded(part, chance) for part in parts]
    if _is_wordy(rows.get("mistakes", [])):
        why = "The right answers were there, but among other words."
        parts = _added(parts, _one(BARE, chance)) if chance.random() < 0.8 else parts
    told = hints(rows.get("examples", []), chance)
    if told:
        why = "I read from the examples what goes with which answer."
        parts = [*[part for part in parts if "\n" not in part or _MARK.search(part)], told]
    parts = _advised(parts, chance)
    return f"{why}\n<prompt>\n{_fitting(parts, int(least.group(1)) if least else 200)}\n</prompt>"


def _advised(parts: list[str], chance: random.Random) -> list[str]:
    """Now and then a piece of advice more, good or bad, or a sentence less."""
    draw = chance.random()
    if draw < 0.3:
        return _added(parts, _one(BARE, chance))
    if draw < 0.5:
        return _added(parts, _one(NEUTRAL, chance))
    if draw < 0.65:
        return _added(parts, _one(RISKY, chance))
    loose = [place for place, part in enumerate(parts) if place and not _MARK.search(part)]
    if draw < 0.75 and loose:
        gone = _one(loose, chance)
        return [part for place, part in enumerate(parts) if place != gone]
    return parts


def _mixed(drafts: Sequence[Draft], chance: random.Random) -> list[str]:
    """The sentences of one draft, the better scored the likelier, and some of the others' that do well."""
    if not drafts:
        return []
    told = [draft.score for draft in drafts if draft.score is not None]
    middle = sum(told) / len(told) if told else 0.0
    ranked = sorted(drafts, key=lambda draft: -(middle if draft.score is None else draft.score))
    base = ranked[0 if chance.random() < 0.6 else _one(range(len(ranked)), chance)]
    parts = list(base.parts)
    for draft in ranked:
        better = draft.score is None or draft.score >= middle
        for part in draft.parts:
            if better and part not in parts and not _MARK.search(part) and chance.random() < 0.4:
                parts = _added(parts, part)
    return parts


def _added(parts: list[str], part: str) -> list[str]:
    """With ``part`` after the sentences and before the lists."""
    if part in parts:
        return parts
    place = next((place for place, each in enumerate(parts) if "\n" in each), len(parts))
    return [*parts, part] if "\n" in part else [*parts[:place], part, *parts[place:]]


def _parts(text: str) -> tuple[str, ...]:
    """Sentences; a line and the list below it are one."""
    out: list[str] = []
    for line in text.split("\n"):
        if re.match(r"\s*[-*\u2022] ", line) and out:
            out[-1] += "\n" + line
        else:
            out += [part for part in _END.split(line.strip()) if part]
    return tuple(out)


def _fitting(parts: Sequence[str], most: int) -> str:
    """As many parts as ``most`` words allow; the first, and those with marks, at any rate. Lists stand on own lines."""
    left = most - sum(len(part.split()) for place, part in enumerate(parts) if not place or _MARK.search(part))
    text = ""
    for place, part in enumerate(parts):
        said = part
        if place and not _MARK.search(part):
            said = _cut(part, left)
            left -= len(said.split())
        if said:
            text += ("\n" if "\n" in said or text.rpartition("\n")[2].startswith("- ") else " ") * bool(text) + said
    return text


def _cut(part: str, most: int) -> str:
    """A list with as many words on each line as ``most`` words allow, at least two; what is no list, or nothing."""
    for size in range(40, 3, -1):
        lines = [" ".join(line.split()[:size]).rstrip(",") for line in part.split("\n")] if "\n" in part else [part]
        if sum(len(line.split()) for line in lines) <= most:
            return "\n".join(lines)
    return ""


def _is_wordy(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether a mistake said the right answer, and more."""
    for row in rows:
        given, right = str(row.get("answer given", "")).strip(), str(row.get("right answer", "")).strip()
        if right and right.casefold() in given.casefold() and len(given) > len(right) + 2:
            return True
    return False


def _rows(lines: str) -> list[dict[str, Any]]:
    out = []
    for line in lines.split("\n"):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            out.append(value)
    return out


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _one(of: Sequence[Any], chance: random.Random) -> Any:
    return of[int(chance.random() * len(of))]
