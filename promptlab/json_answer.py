"""The JSON value that an output is, or ends in: never a guess."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n\s*")


def read_json(text: str) -> Any:
    """The JSON value that the text is, or else the one in its last fenced block; None if there is none, or null.

    NaN and Infinity are not JSON. Of a key given twice the last value counts. An escaped lone surrogate, which
    UTF-8 cannot carry, becomes a question mark.
    """
    value = _json_value(text)
    if "\\ud" in text or "\\uD" in text:
        try:
            return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
        except RecursionError:
            return None
    return value


def _json_value(text: str) -> Any:
    try:
        return _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        pass
    for fence in reversed([each.end() for each in _FENCE.finditer(text)][-20:]):
        try:
            return _DECODER.raw_decode(text, fence)[0]
        except (ValueError, RecursionError):
            continue
    return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
