"""Answers for a judge: how many words an output shares with the reference, or without one with input and rubric.

Nothing is understood: a copied word counts, whatever the sentence says. It lets a judge run offline, and shows no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SCALE = re.compile(r"give the verdict: one number from (-?[\d.]+) \(worst\) to (-?[\d.]+) \(best\)")
_PAIR = re.compile(r"give the verdict: A, B or tie\b")
_RUBRIC = re.compile(r"^Rubric:\n(.*?)(?=\n\n[^\n]*give (?:your|the) |\Z)", re.S | re.M)
_WORD = re.compile(r"[^\W_]{3,}")
_CLOSE = 0.05  # difference in overlap up to which two outputs are as good


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged: the words that count, and the outputs by name."""

    words: frozenset[str]
    outputs: Mapping[str, str]
    reference: bool


def wants_verdict(chat: Sequence[tuple[str, str]]) -> bool:
    """Whether the chat's system asks for a verdict on data that follows as JSON."""
    return any(_SCALE.search(text) or _PAIR.search(text) for role, text in chat if role in ("system", "developer"))


def verdict(chat: Sequence[tuple[str, str]]) -> str:
    """One sentence about the words, and the verdict on a line of its own."""
    orders = "\n".join(text for role, text in chat if role in ("system", "developer"))
    case = _case(orders, next((text for role, text in reversed(chat) if role == "user"), ""))
    if case is None:
        return "I find nothing to judge: the message is not a JSON object with an output."
    shares = {name: _share(case.words, text) for name, text in case.outputs.items()}
    against = "the reference" if case.reference else "the input and the rubric"
    told = " and ".join(f"{100 * share:.0f} %" for share in shares.values())
    scale = _SCALE.search(orders)
    if scale is None:
        gap = shares.get("A", 0.0) - shares.get("B", 0.0)
        word = "tie" if abs(gap) <= _CLOSE else "A" if gap > 0 else "B"
        return f"A and B share {told} of their words with {against}.\n{word}"
    low, high = float(scale.group(1)), float(scale.group(2))
    value = low + shares.get("output", 0.0) * (high - low)
    whole = low == int(low) and high == int(high) and high - low > 1
    return f"The output shares {told} of its words with {against}.\n{round(value) if whole else round(value, 2):g}"


def _case(orders: str, data: str) -> Case | None:
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    outputs = {name: str(value[name]) for name in ("output", "A", "B") if name in value}
    if not outputs:
        return None
    if value.get("reference"):
        return Case(_words(json.dumps(value["reference"], ensure_ascii=False)), outputs, reference=True)
    rubric = _RUBRIC.search(orders)
    told = json.dumps(value.get("input", ""), ensure_ascii=False) + (rubric.group(1) if rubric else "")
    return Case(_words(told), outputs, reference=False)


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _share(wanted: frozenset[str], output: str) -> float:
    """F1 of the words that count and the output's, each word once."""
    said = _words(output)
    return 2 * len(wanted & said) / (len(wanted) + len(said)) if wanted and said else 0.0
