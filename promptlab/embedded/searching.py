"""Answers for retrieval: an order of passages, a search query, a supposed passage.

Nothing is understood: passages are ordered by the words that they share with the query, rare ones first, and a query is
the words of the message that carry meaning. A supposed passage says no more than the message: the engine knows nothing.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.embedded.words import FUNCTION_WORDS, QUESTION_WORDS, stem, words

_ORDER = "Order the passages by how much they help to answer the query"
_QUERY = "Write the search query that finds the passages"
_PASSAGE = "Write the passage of a document that answers the user's message"


def wants_search(chat: Sequence[tuple[str, str]]) -> bool:
    """Whether the chat's system asks for an order of passages, a search query or a supposed passage."""
    orders = _orders(chat)
    return any(each in orders for each in (_ORDER, _QUERY, _PASSAGE))


def searching(chat: Sequence[tuple[str, str]]) -> str:
    """What is asked for; of data that is no JSON object all of it counts as the message."""
    data = next((text for role, text in reversed(chat) if role == "user"), "")
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        value = data
    orders = _orders(chat)
    if _ORDER in orders:
        return _ordered(value) if isinstance(value, dict) else "[]"
    said = "\n".join(map(str, value.values())) if isinstance(value, dict) else data
    told = " ".join(_telling(said))
    return told if _QUERY in orders or not told else f"{told[0].upper()}{told[1:]}."


def _ordered(value: Mapping[str, Any]) -> str:
    """The numbers of the passages, those first that share the rarest words with the query."""
    listed = value.get("passages")
    passages = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    asked = {stem(each) for each in _telling(str(value.get("query", "")))}
    bags = [
        {stem(each) for each in words(f"{passage.get('title', '')} {passage.get('text', '')}")} for passage in passages
    ]
    seen = Counter(each for bag in bags for each in bag)
    worth = {each: math.log(1 + len(bags) / seen[each]) for each in asked if each in seen}
    scores = [math.fsum(sorted(worth[each] for each in bag & worth.keys())) for bag in bags]
    best = sorted(range(len(passages)), key=lambda at: -scores[at])
    return json.dumps([passages[at].get("number", at + 1) for at in best])


def _telling(text: str) -> list[str]:
    """The words that carry meaning, each once, in their order; all of them where none does."""
    every = list(dict.fromkeys(words(text)))
    kept = [each for each in every if each not in FUNCTION_WORDS and each not in QUESTION_WORDS]
    return kept or every


def _orders(chat: Sequence[tuple[str, str]]) -> str:
    return "\n".join(text for role, text in chat if role in ("system", "developer"))
