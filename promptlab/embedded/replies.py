"""Reads what demonstrations answered, and in which form, so that the form can be imitated."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from promptlab.embedded.labels import Label, key

_REASON_KEYS_TEXT = """
reason reasoning explanation rationale thought thoughts why evidence analysis justification
"""
REASON_KEYS = frozenset(_REASON_KEYS_TEXT.split())
_MARKED = re.compile(r"^[A-Za-z][\w ]{0,30}:\s*(?P<value>\S.*)$")


@dataclass(frozen=True, slots=True)
class Reply:
    """A demonstration's answer; ``before`` and ``after`` stand around it, or ``json_keys`` name its object's keys."""

    answer: str
    before: str = ""
    after: str = ""
    json_keys: tuple[str, ...] = ()


def answer_key(keys: Sequence[str]) -> str:
    """The key that holds the answer: the first that is not a reason."""
    return next((name for name in keys if name.lower() not in REASON_KEYS), keys[0] if keys else "answer")


def _from_json(output: str) -> Reply | None:
    if not output.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not value:
        return None
    chosen = value[answer_key(list(value))]
    return Reply(chosen if isinstance(chosen, str) else json.dumps(chosen), json_keys=tuple(value))


def _named_in(output: str, labels: Sequence[Label]) -> Reply | None:
    """The label that stands last in ``output`` as a word of its own, with what is written around it."""
    best: tuple[int, int, str] | None = None
    for label in labels:
        for match in re.finditer(rf"(?<!\w){re.escape(label.name)}(?!\w)", output, re.I):
            if best is None or (match.end(), match.end() - match.start()) > (best[1], best[1] - best[0]):
                best = (match.start(), match.end(), label.name)
    return Reply(best[2], output[: best[0]], output[best[1] :]) if best else None


@lru_cache(maxsize=2048)
def _read(output: str, labels: tuple[Label, ...]) -> Reply:
    found = _from_json(output)
    if found:
        same = next((x.name for x in labels if key(x.name) == key(found.answer)), found.answer)
        return Reply(same, json_keys=found.json_keys)
    exact = next((x.name for x in labels if key(x.name) == key(output)), None)
    if exact:
        return Reply(exact)
    named = _named_in(output, labels)
    if named:
        return named
    last = output.splitlines()[-1].strip() if output else ""
    marked = _MARKED.match(last)
    value = marked["value"].strip() if marked else last
    return Reply(value, output[: len(output) - len(value)])


def read_reply(output: str, labels: tuple[Label, ...]) -> Reply:
    """What ``output`` answers: a JSON value, one of ``labels``, or else its last line."""
    return _read(output.strip()[:4000], labels)
