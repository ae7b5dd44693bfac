"""What the values of retrieval's slots stand for, as hashes: what enters the ids of variants, files by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from promptlab.records import CANONICAL, Model
from promptlab.retrieve.document import Document
from promptlab.retrieve.parts import Parts
from promptlab.retrieve.query import ORDERS
from promptlab.retrieve.settings import NAME, Settings


def digest_of(documents: Iterable[Document]) -> str:
    """sha256 of documents, in order: ids, titles and texts."""
    digest = hashlib.sha256()
    for each in documents:
        for part in (each.id, each.title, each.text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()


def contents(settings: Settings, parts: Parts, corpus: str) -> dict[tuple[str, Any], str]:
    """By slot and value, the hash of what it asks for. ``none`` stands for nothing: the closed book reads no corpus."""
    found: dict[tuple[str, Any], str] = {}
    for name in settings.retrieving:
        embed = _identity(settings.embedding) if name in parts.embedding else ""
        found[f"{NAME}.retriever", name] = _hash([name, corpus, settings.max_tokens, embed, parts.sources.get(name)])
    asking = [("query", each) for each in settings.query if each in ORDERS]
    asking += [("rerank", each) for each in settings.rerank if each == "model"]
    found |= {(f"{NAME}.{slot}", each): _hash([each, _identity(settings.model)]) for slot, each in asking}
    own = [each for each in settings.rerank if each in parts.rerankers]
    return found | {(f"{NAME}.rerank", each): _hash([each, parts.sources.get(each)]) for each in own}


def _identity(model: Model | None) -> Any:
    return model and [model.endpoint.identity, model.identity, sorted(model.params.items())]


def _hash(value: Any) -> str:
    return hashlib.sha256(CANONICAL.encode(value).encode("utf-8", "surrogatepass")).hexdigest()
