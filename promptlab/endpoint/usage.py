"""The tokens of one call: what the server reports, coerced; what it does not report, estimated and marked so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from promptlab.records import Usage
from promptlab.tokens import estimate

PER_MESSAGE = 4
"""Tokens that a chat format adds around each message (OpenAI's cookbook: 3 to 4)."""
MOST = 10**12
"""Tokens; a report of more is none."""


def usage(reported: Any, body: Mapping[str, Any], *output: str) -> Usage:
    """The usage of a request ``body`` that was answered by the texts of ``output``, reasoning among them.

    No prompt at all, or nothing for an answer that is there, is what servers report that do not count.
    """
    given = reported if isinstance(reported, dict) else {}
    asked, answered = count(given.get("prompt_tokens")), count(given.get("completion_tokens"))
    if asked and (answered or (answered is not None and not any(output))):
        return Usage(asked, answered, _cached(given, asked))
    tokens_in = asked or sum(estimate(each) + PER_MESSAGE for each in _texts(body.get("messages")))
    return Usage(tokens_in, answered or sum(map(estimate, output)), _cached(given, tokens_in), "estimated")


def of_vectors(reported: Any, texts: Iterable[str]) -> Usage:
    """The usage of embedding ``texts``: nothing comes out but vectors."""
    given = reported if isinstance(reported, dict) else {}
    asked = count(given.get("prompt_tokens")) or count(given.get("total_tokens"))
    if asked:
        return Usage(asked, 0, _cached(given, asked))
    return Usage(sum(map(estimate, texts)), 0, 0, "estimated")


def count(value: Any) -> int | None:
    """A count of tokens as a number >= 0; None if it is none."""
    whole = isinstance(value, float) and value.is_integer()
    if whole or (isinstance(value, str) and len(value) < 20 and value.strip().isdecimal()):
        value = int(value)
    return value if type(value) is int and 0 <= value < MOST else None


def _cached(given: Mapping[str, Any], tokens_in: int) -> int:
    """How many of the input's tokens came out of the server's cache; DeepSeek reports them in a place of its own."""
    details = given.get("prompt_tokens_details")
    told = details.get("cached_tokens") if isinstance(details, dict) else None
    return min(count(given.get("prompt_cache_hit_tokens") if told is None else told) or 0, tokens_in)


def _texts(messages: Any) -> list[str]:
    return [str(each.get("content") or "") for each in messages or () if isinstance(each, Mapping)]
