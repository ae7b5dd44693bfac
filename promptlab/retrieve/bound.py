"""What a retrieval can cost at most, before any was made: the longest passages, and every call it may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from promptlab.records import CANONICAL, Example, Passage, Request
from promptlab.retrieve import embedding, rerank
from promptlab.retrieve.library import OVER, Library, Setting
from promptlab.retrieve.limit import limited
from promptlab.retrieve.query import LONGEST, ORDERS, asked, is_template, joined, rendered, shown
from promptlab.retrieve.settings import KNOWN, NONE

BYTES = 8
"""Bytes of an output token, as foreseen for the requests that will quote the output: twice what is usual."""


class Bound:
    """The bounds of a library; what they rest on is worked out once for each chunking."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._sorted = lru_cache(maxsize=16)(self._by_length)

    def passages(self, slots: Mapping[str, Any]) -> tuple[Passage, ...]:
        """As many passages as these slots may show, the longest that there are: no prompt can hold more text.

        That holds for passages of the corpus; a user's own retriever that finds others is not bounded.
        """
        setting = Setting.of(slots, self.library.settings)
        if setting.retriever == NONE:
            return ()
        return self._sorted(setting.chunk, self.library.settings.max_tokens)[: setting.k]

    def requests(self, slots: Mapping[str, Any], example: Example) -> tuple[Request, ...]:
        """Every request that finding the passages of a row may take, each as long as it may be.

        Not foreseen: texts too long for the embedding model, which is asked again with less, and what a user's own
        retriever or reranker asks.
        """
        library, settings = self.library, self.library.settings
        setting = Setting.of(slots, settings)
        if setting.retriever in KNOWN:
            return ()
        found: list[Request] = []
        text = joined(example)
        if is_template(setting.query):
            text = rendered(setting.query, example)
        elif setting.query in ORDERS and settings.model is not None:
            most = LONGEST[setting.query]
            made = asked(settings.model, ORDERS[setting.query], shown(example), "rewrite", most)
            found.append(made)
            limit = made.body.get("max_tokens", made.body.get("max_completion_tokens", most))
            text += "\n" + "x" * (BYTES * int(limit))
        if setting.retriever in library.parts.embedding and settings.embedding is not None:
            found.append(embedding.request(settings.embedding, (text,)))
        if setting.rerank == "model" and settings.model is not None:
            longest = self._sorted(setting.chunk, None)[: OVER * setting.k]
            found.append(rerank.request(settings.model, longest, text))
        return tuple(found)

    def _by_length(self, chunk: str, most: int | None) -> tuple[Passage, ...]:
        """Passages of a chunking that no others can exceed: the longest text with the longest title, and so on.

        Each text is cut to ``most`` tokens, as it would be alone.
        """
        passages = self.library.pool(chunk).passages
        cut = passages if most is None else tuple(kept for each in passages for kept in limited((each,), most))
        sorts = [sorted((getattr(each, name) for each in cut), key=_bytes, reverse=True) for name in _SHOWN]
        return tuple(
            Passage(name, text, title=title, source=source) for name, text, title, source in zip(*sorts, strict=True)
        )


_SHOWN = ("id", "text", "title", "source")


def _bytes(text: str) -> int:
    """The bytes that a text has in a request: JSON, with its escapes."""
    return len(CANONICAL.encode(text).encode("utf-8", "surrogatepass"))


def shown_as(passages: tuple[Passage, ...], example: Example) -> Example:
    """The row as a template is to see it: with these passages."""
    return replace(example, passages=passages)
