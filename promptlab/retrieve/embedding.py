"""Texts as unit vectors from any /v1/embeddings: batches out, vectors counted and checked, long texts cut to fit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptlab.errors import CallFailed, EndpointUnusable
from promptlab.records import Completion, Flow, Model, Request

ROUTE = "/embeddings"
MOST_TEXTS = 128
"""Texts of one request at most; a server that refuses so many is asked with fewer."""
MOST_BYTES = 200_000
"""UTF-8 bytes of the texts of one request, but for a single text that has more."""
BESIDE = 16
"""Requests that go out side by side."""
SHOWN = 60
"""Characters of a text that a message quotes."""
CUTS = 12
"""How often a text that is too long for the model is halved before that is given up."""
REMEDY = (
    "Nothing was scored. The model that `retrieval.embedding` names has to give one vector for each text: "
    "`promptlab doctor` checks it."
)

Vectors = NDArray[np.float32]


def request(model: Model, texts: Sequence[str]) -> Request:
    """One request for the vectors of some texts. What the model's own ``params`` say (dimensions) goes with it."""
    own = {key: value for key, value in model.params.items() if value is not None}
    body = {"encoding_format": "float", **own, "model": model.id, "input": list(texts)}
    loose = tuple(key for key in ("encoding_format",) if key not in own)
    return Request(model, ROUTE, body, purpose="embed", defaults=loose)


def embedded(model: Model, texts: Sequence[str]) -> Flow[Vectors]:
    """The unit vectors of texts that are not blank, one row each.

    A text that is too long for the model is cut at a word until it fits. One that the endpoint turns away for what it
    holds gets zeros. Raises EndpointUnusable for too few vectors, vectors of several lengths, nested ones, numbers that
    are not finite or nothing but zeros; CallFailed where no answer came.
    """
    rows: list[Vectors] = []
    done, size = 0, MOST_TEXTS
    while done < len(texts):
        wave = list(_batches(texts[done:], size, BESIDE if done else 1))
        answers = yield tuple(request(model, batch) for batch in wave)
        if not done and _too_much(answers[0]) and len(wave[0]) > 1:
            size = max(1, len(wave[0]) // 4)  # some servers take 32 at once, or one
            continue
        for batch, said in zip(wave, answers, strict=True):
            rows.append((yield from _settled(model, batch, said)))
            done += len(batch)
    return _stacked(model, rows)


def _batches(texts: Sequence[str], size: int, most: int) -> Iterator[tuple[str, ...]]:
    """The first ``most`` batches of texts, each within ``size`` texts and MOST_BYTES."""
    start = 0
    for _ in range(most):
        end, room = start, MOST_BYTES
        while end < len(texts) and end - start < size:
            room -= len(texts[end].encode("utf-8", "replace"))
            if room < 0 and end > start:
                break
            end += 1
        if end == start:
            return
        yield tuple(texts[start:end])
        start = end


def _settled(model: Model, batch: tuple[str, ...], said: Completion | CallFailed) -> Flow[Vectors]:
    """The vectors of a batch that was answered like this; a batch that is too much is asked for in halves."""
    if isinstance(said, Completion) and said.finish_reason == "stop":
        return _read(model, said, batch)
    if isinstance(said, CallFailed) and miscounted(said):
        raise said  # fewer texts would not mend it
    if len(batch) > 1:
        half = len(batch) // 2
        parts = batch[:half], batch[half:]
        answers = yield tuple(request(model, part) for part in parts)
        rows = []
        for part, each in zip(parts, answers, strict=True):
            rows.append((yield from _settled(model, part, each)))
        return _stacked(model, rows)
    if isinstance(said, CallFailed):
        raise said
    if said.finish_reason == "context_overflow":
        return (yield from _shortened(model, batch[0]))
    return np.zeros((1, 0), np.float32)  # turned away for what it holds


def miscounted(failure: CallFailed) -> bool:
    """Whether an answer came, and held no vectors as they have to be: too few, nested, of several dimensions."""
    return str(failure).startswith("HTTP 200")


def _too_much(said: Completion | CallFailed) -> bool:
    """Whether fewer texts at once may be answered."""
    return isinstance(said, CallFailed) and not miscounted(said)


def _shortened(model: Model, text: str) -> Flow[Vectors]:
    """The vector of as much of a text as the model takes."""
    for _ in range(CUTS):
        text = cut(text, len(text) // 2)
        if not text:
            break
        said = yield request(model, (text,))
        if said.finish_reason != "context_overflow":
            return (yield from _settled(model, (text,), said))
    raise EndpointUnusable(f"{_who(model)} calls even a text of {len(text)} characters too long. Name another model.")


def cut(text: str, most: int) -> str:
    """The text's beginning, of at most ``most`` characters, up to the end of a word if there is one."""
    if len(text) <= most:
        return text
    head = text[:most]
    if not text[most].isspace() and not head[-1:].isspace():
        words = head.rsplit(None, 1)
        head = words[0] if len(words) == 2 else head
    return head.rstrip()


def _read(model: Model, said: Completion, batch: Sequence[str]) -> Vectors:
    """The vectors that an answer holds, checked: the transport checks them too, but a log may hold anything."""
    count = len(batch)
    try:
        found: Any = json.loads(said.text)
    except ValueError:
        raise EndpointUnusable(_wrong(model, "no list of vectors")) from None
    if not isinstance(found, list) or len(found) != count:
        got = len(found) if isinstance(found, list) else "no list of"
        raise EndpointUnusable(_wrong(model, f"{got} vectors for {count} text{'s' * (count > 1)}"))
    if any(isinstance(each, list) and any(isinstance(number, list) for number in each) for each in found):
        raise EndpointUnusable(_wrong(model, "nested vectors, one per token"))
    if not all(isinstance(each, list) and each for each in found) or len(set(map(len, found))) > 1:
        raise EndpointUnusable(_wrong(model, "vectors of several lengths, or something else than vectors"))
    try:
        rows = np.array(found, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        rows = np.full((1, 1), np.nan)
    if not np.isfinite(rows).all():
        raise EndpointUnusable(_wrong(model, "something else than finite numbers"))
    pointing(model, batch, rows)
    return _unit(rows)


def pointing(model: Model, texts: Sequence[str], rows: NDArray[Any]) -> None:
    """Raises EndpointUnusable where a vector is nothing but zeros: it is near no other, and its text never found."""
    if len(blank := np.flatnonzero(~rows.any(axis=1))):
        text = " ".join(texts[blank[0]].split())
        raise EndpointUnusable(_wrong(model, f"a vector of nothing but zeros for the text {cut(text, SHOWN)!r}"))


def _unit(rows: NDArray[np.float64]) -> Vectors:
    """Rows of length 1."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest > 0, largest, 1.0)  # so that no square overflows
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return (rows / np.where(length > 0, length, 1.0)).astype(np.float32)


def _stacked(model: Model, rows: Sequence[Vectors]) -> Vectors:
    """All rows as one array; those that were turned away (no dimensions) as zeros."""
    sizes = sorted({each.shape[1] for each in rows if each.shape[1]})
    if len(sizes) > 1:
        raise EndpointUnusable(_wrong(model, f"vectors of {sizes[0]} and of {sizes[-1]} dimensions"))
    width = sizes[0] if sizes else 0
    whole = [each if each.shape[1] else np.zeros((len(each), width), np.float32) for each in rows]
    return np.concatenate(whole) if whole else np.zeros((0, 0), np.float32)


def _who(model: Model) -> str:
    return f"the embedding model {model.id!r} of {model.endpoint.host}"


def _wrong(model: Model, what: str) -> str:
    return f"{_who(model)} gave {what}. {REMEDY}"
