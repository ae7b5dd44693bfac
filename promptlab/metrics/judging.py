"""What a judge is asked, and how its verdict is read. What is judged is data: JSON in a message of its own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.answer import last_line
from promptlab.json_answer import read_json
from promptlab.metrics.accepted import text_of
from promptlab.records import CANONICAL, Completion, Example, Model, Request

CHAT = "/chat/completions"
MOST = 512
"""Tokens that a verdict with its reason may have, where the judge's own parameters do not say."""
LONGEST_REASON = 500
BYTES = 8
"""Bytes of an output token, as foreseen for the requests that will quote the output: twice what is usual."""

_REFUSED = "the judge refused"
_FAILED = {"content_filter": _REFUSED, "refusal": _REFUSED, "context_overflow": "too long to judge"}
_DRESS = " *_`\"'.#"
_NUMBER = re.compile(r"(?:(?:final )?(?:score|rating|verdict|answer)\s*[:=]\s*)?(-?\d+(?:\.\d+)?)(?:\s*/\s*\d+)?", re.I)


@dataclass(frozen=True, slots=True)
class Human:
    """Outputs that people scored, by row: (output, score from 0 to 1). ``digest`` tells two such sets apart."""

    scores: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict, repr=False)
    digest: str = ""

    def of(self, example: str, output: str) -> float:
        """What people gave an output, white space at its ends apart; the mean where several did, NaN where none."""
        found = [score for text, score in self.scores.get(example, ()) if text.strip() == output.strip()]
        return math.fsum(found) / len(found) if found else math.nan


NOBODY = Human()


@dataclass(frozen=True, slots=True)
class Baseline:
    """How the baseline answers a row: its request, and whether a completion of it holds an answer."""

    request: Request
    answered: Callable[[Completion], bool]


def shown(example: Example, with_label: bool, **outputs: str) -> str:
    """What is judged, as one JSON object: the inputs, the accepted answers if wanted, and the outputs by name."""
    reference = {"reference": [text_of(each) for each in example.answers]} if with_label and example.answers else {}
    passages = {"passages": [each.text for each in example.passages]} if example.passages else {}
    data = {"input": dict(example.inputs), **passages, **reference, **outputs}
    return json.dumps(data, ensure_ascii=False, default=str)


def request(model: Model, orders: str, data: str) -> Request:
    """One question to a judge: at temperature 0, its verdict bounded, unless the model's own parameters say more."""
    own = {key: value for key, value in model.params.items() if value is not None}
    limit = "max_completion_tokens" if "max_completion_tokens" in own else "max_tokens"
    usual: dict[str, Any] = {"temperature": 0, limit: MOST}
    body = {
        **usual,
        **own,
        "model": model.id,
        "messages": [{"role": "system", "content": orders}, {"role": "user", "content": data}],
    }
    loose = tuple(key for key in ("temperature",) if key not in model.params)
    return Request(model, CHAT, body, purpose="judge", defaults=loose)


def number(completion: Completion) -> float | None:
    """The number that the last line is, or that a JSON object has as its ``score``; None if there is none."""
    value = read_json(completion.text)
    found = value.get("score") if isinstance(value, Mapping) else None
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return float(found)
    match = _NUMBER.fullmatch(last_line(completion.text).strip(_DRESS))
    return float(match.group(1)) if match else None


def side(completion: Completion) -> str | None:
    """``A``, ``B`` or ``tie``, as the last line says, or a JSON object as its ``better``; None if neither does."""
    value = read_json(completion.text)
    found = value.get("better") if isinstance(value, Mapping) else None
    line = str(found if found is not None else last_line(completion.text)).strip(_DRESS)
    word = re.sub(r"^(?:verdict|answer|better)\s*[:=]\s*", "", line, flags=re.I).strip(_DRESS).casefold()
    return {"a": "A", "b": "B", "tie": "tie"}.get(word)


def trouble(completion: Completion) -> str:
    """Why a completion holds no verdict, whatever its text; empty if it may."""
    if completion.finish_reason == "length":
        return "the verdict was cut off"
    return _FAILED.get(completion.finish_reason, "")


def reason(text: str) -> str:
    """What a judge said before its verdict, or all of it where it said no more; not longer than people read."""
    value = read_json(text)
    if isinstance(value, Mapping):
        told = next((each for key, each in value.items() if key not in ("score", "better")), "")
        return str(told)[:LONGEST_REASON]
    head = text.strip().rpartition("\n")[0].strip()
    return head[:LONGEST_REASON]


def identity(model: Model) -> str:
    """What of a judge's model decides its verdicts: for a run's id."""
    return CANONICAL.encode([model.endpoint.identity, model.identity, dict(model.params)])


def lines(*parts: str) -> str:
    """Paragraphs of an order."""
    return "\n\n".join(part for part in _kept(parts))


def _kept(parts: tuple[str, ...]) -> Iterator[str]:
    return (part.strip() for part in parts if part.strip())
