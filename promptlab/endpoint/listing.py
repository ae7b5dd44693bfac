"""The names in a GET /models answer, in whichever shape it comes."""

from __future__ import annotations

import json

from promptlab.endpoint.complaint import line


def models(body: bytes) -> tuple[str, ...]:
    """The ids of {"data": [{"id": ...}]} or of a bare list; empty for anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    rows = value.get("data") or value.get("models") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        return ()
    names = (each.get("id") or each.get("name") if isinstance(each, dict) else each for each in rows)
    return tuple(line(name) for name in names if isinstance(name, str))
