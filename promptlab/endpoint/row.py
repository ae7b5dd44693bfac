"""What a request has come to: the Call that the log keeps, the same whichever way it was sent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from promptlab.endpoint import redact
from promptlab.endpoint.fault import Fault, Kind
from promptlab.records import Call, Completion, Request

TURNED_AWAY: dict[Kind, str] = {"overflow": "context_overflow", "refused": "content_filter"}


def row(
    request: Request, outcome: Completion | Fault, seconds: float, attempts: int, hidden: Collection[str] = ()
) -> Call:
    """The call of a request. What the prompt is turned away for is an answer; other faults are errors, redacted."""
    if isinstance(outcome, Fault) and outcome.kind in TURNED_AWAY:
        outcome = Completion(text="", finish_reason=TURNED_AWAY[outcome.kind], model=request.model.id)
    if isinstance(outcome, Fault):
        tail = f" (after {attempts} attempts)" if attempts > 1 else ""
        error = redact.redact(outcome.text + tail, hidden)
        return Call(request.key, request.purpose, None, latency=seconds, attempts=attempts, error=error)
    outcome = _kept_from(outcome, hidden)
    price = request.model.price
    usd = price.of(outcome.usage) if price else 0.0
    return Call(request.key, request.purpose, outcome, usd=usd, latency=seconds, attempts=attempts)


def _kept_from(said: Completion, hidden: Collection[str]) -> Completion:
    """The answer without the key, should a model repeat it. Words as short as `none` are no secrets."""
    found = [each for each in hidden if len(each) >= 8 and (each in said.text or each in said.reasoning)]
    for each in found:
        said = replace(
            said, text=said.text.replace(each, redact.HIDDEN), reasoning=said.reasoning.replace(each, redact.HIDDEN)
        )
    return said
