"""A transport that asks for no vector twice: texts of a batch whose vectors are kept on disk are left out of it.

A corpus that grew by a page is embedded for that page alone, whatever batches it is cut into. What a run's log holds is
the answer to the whole batch, at the list price of the whole: no decision depends on what was kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from promptlab.records import Call, Completion, Request, Usage
from promptlab.retrieve.embedding import ROUTE, Vectors, pointing
from promptlab.retrieve.vectors import kept, matrix
from promptlab.tokens import estimate


class Sparing:
    """Transport over another one, ``wire``. Vectors are kept below ``folder``, by endpoint, model and text."""

    def __init__(self, wire: Any, folder: Path) -> None:
        self._wire = wire
        self._folder = folder
        self.width: int = wire.width

    def stop(self) -> None:
        """As the other's."""
        self._wire.stop()

    async def call(self, request: Request) -> Call:
        """As the other's; of a batch of texts, only those are asked for that nobody knows."""
        texts = request.body.get("input")
        if request.route != ROUTE or not isinstance(texts, list) or len(texts) < 2:
            call: Call = await self._wire.call(request)
            return call
        store = kept(request.model, self._folder)
        known = store.known(texts)
        lacking = [text for text in dict.fromkeys(texts) if text not in known]
        if not lacking:
            return _whole(request, texts, known, None)
        part = request if lacking == texts else replace(request, body={**request.body, "input": lacking})
        call = await self._wire.call(part)
        if call.completion is None or call.completion.finish_reason != "stop":
            return replace(call, key=request.key)
        rows = _unit(call.completion.text)
        pointing(request.model, lacking, rows)  # such are not kept: a model that is mended is asked again
        store.keep(lacking, rows)
        return call if part is request else _whole(request, texts, store.known(texts), call)


def _whole(request: Request, texts: Sequence[str], known: Mapping[str, bytes], asked: Call | None) -> Call:
    """The call of a whole batch, out of what is ``known`` by now; ``asked``: what of it was sent."""
    said = asked.completion if asked else None
    written = json.dumps(matrix([known[text] for text in texts]).tolist(), separators=(",", ":"))
    usage = Usage(sum(map(estimate, texts)), source="estimated")
    price = request.model.price
    return Call(
        request.key,
        request.purpose,
        Completion(written, "stop", usage, said.model if said else request.model.id),
        usd=price.of(usage) if price else 0.0,
        latency=asked.latency if asked else 0.0,
        attempts=asked.attempts if asked else 1,
        cached=asked is None,
    )


def _unit(text: str) -> Vectors:
    """The vectors of an answer, which the transport has checked, each of length 1."""
    rows = np.array(json.loads(text), dtype=np.float64)
    for size in (np.abs(rows).max(axis=1, keepdims=True), None):
        by = np.sqrt((rows * rows).sum(axis=1, keepdims=True)) if size is None else size
        rows = rows / np.where(by > 0, by, 1.0)
    return rows.astype(np.float32)
