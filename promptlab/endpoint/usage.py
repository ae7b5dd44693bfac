"""The tokens of one call: what the server reports, coerced; what it does not report, estimated and marked so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptlab.records import Usage
from promptlab.tokens import estimate

PER_MESSAGE = 4
"""Tokens that a chat format adds around each message (OpenAI's cookbook: 3 to 4)."""


def usage(reported: Any, body: Mapping[str, Any], output: str) -> Usage:
    """The usage of a request ``body`` that was answered by ``output`` (reasoning included)."""
    given = reported if isinstance(reported, dict) else {}
    asked, answered = count(given.get("prompt_tokens")), count(given.get("completion_tokens"))
    details = given.get("prompt_tokens_details")
    cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
    tokens_in = _estimated(body) if asked is None else asked
    return Usage(
        tokens_in=tokens_in,
        tokens_out=estimate(output) if answered is None else answered,
        tokens_cached=min(cached or 0, tokens_in),
        source="estimated" if asked is None or answered is None else "reported",
    )


def count(value: Any) -> int | None:
    """A count of tokens as a number >= 0; None if it is none."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value) if len(value) < 12 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**12 else None


def _estimated(body: Mapping[str, Any]) -> int:
    messages = body.get("messages") or ()
    texts = [str(each.get("content") or "") for each in messages if isinstance(each, Mapping)]
    return sum(estimate(text) + PER_MESSAGE for text in texts)
