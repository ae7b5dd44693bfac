"""From the bytes of a 200 answer of /embeddings to the vectors, in the order of the texts, or to the Fault they are."""

from __future__ import annotations

import base64
import binascii
import json
import math
import sys
from array import array
from collections.abc import Mapping
from typing import Any

from promptlab.endpoint.fault import Fault
from promptlab.endpoint.usage import of_vectors
from promptlab.endpoint.validate import opened, word
from promptlab.records import Completion

NUMBERS = frozenset({int, float})


def vectors(data: bytes, body: Mapping[str, Any]) -> Completion | Fault:
    """The vectors of ``body["input"]``, one per text; the completion's text is a JSON list of them.

    A Fault for too few or too many, for vectors of several lengths, nested (one per token), or of anything but finite
    numbers; and where ``index`` is given, but does not say which vector belongs to which text.
    """
    value = opened(data, "data", body)
    if isinstance(value, Fault):
        return value
    rows, texts = value["data"], _texts(body.get("input"))
    if not isinstance(rows, list) or not all(isinstance(each, dict) for each in rows):
        return Fault("invalid", "HTTP 200 with data that are no list of embeddings")
    if len(rows) != len(texts):
        return Fault("invalid", f"HTTP 200 with {_counted(len(rows), 'vector')} for {_counted(len(texts), 'text')}")
    ordered = _ordered(rows)
    if ordered is None:
        return Fault("invalid", "HTTP 200 with embeddings whose indexes do not tell which is which")
    found = [_vector(each.get("embedding")) for each in ordered]
    if fault := _wrong(found):
        return fault
    written = json.dumps(found, separators=(",", ":"))
    return Completion(written, "stop", of_vectors(value.get("usage"), texts), word(value.get("model")))


def _texts(given: Any) -> list[str]:
    """What was asked: one text, texts, or either as token numbers."""
    if isinstance(given, list | tuple) and not all(isinstance(each, int) for each in given):
        return [each if isinstance(each, str) else " ".join(map(str, each)) for each in given]
    return [str(given)]


def _ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The rows by index. As they came where none has one, or all the same: such a server does not number them.

    None if the indexes contradict each other.
    """
    given = [row.get("index") for row in rows]
    if all(each is None for each in given):
        return rows
    places = [each for each in given if type(each) is int]
    if len(places) < len(rows) or len(set(places)) == 1:
        return rows if len(places) == len(rows) else None
    return sorted(rows, key=lambda row: int(row["index"])) if sorted(places) == list(range(len(rows))) else None


def _vector(given: Any) -> Any:
    """The numbers; also out of base64, which was not asked for: 32-bit floats, the lowest byte first."""
    if not isinstance(given, str):
        return given
    try:
        numbers = array("f", base64.b64decode(given, validate=True))
    except (binascii.Error, ValueError):
        return given
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _wrong(found: list[Any]) -> Fault | None:
    """Why these are not vectors of one length, of finite numbers; None if they are."""
    for place, vector in enumerate(found, start=1):
        which = f"HTTP 200 with vector {place} of {len(found)}"
        if not isinstance(vector, list):
            kind = "text that is not base64" if isinstance(vector, str) else type(vector).__name__
            return Fault("invalid", f"{which} being no list of numbers: {kind}")
        if any(isinstance(each, list) for each in vector):
            return Fault("failed", f"{which} nested, one vector per token: the endpoint does not pool them into one")
        if not vector or not NUMBERS.issuperset(map(type, vector)) or not _finite(vector):
            return Fault("invalid", f"{which} holding something else than finite numbers, or nothing")
        if len(vector) != len(found[0]):
            return Fault("invalid", f"{which} having {len(vector)} dimensions, the first {len(found[0])}")
    return None


def _finite(vector: list[float]) -> bool:
    try:
        return all(map(math.isfinite, vector))
    except OverflowError:  # a whole number past all floats
        return False


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
