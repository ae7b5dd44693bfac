"""What a GET /models answer says, in whichever shape it comes: the names, and the entry of each model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from promptlab.endpoint.complaint import line


def models(body: bytes) -> tuple[str, ...]:
    """The ids of {"data": [{"id": ...}]} or of a bare list; empty for anything else."""
    names = (each.get("id") or each.get("name") if isinstance(each, dict) else each for each in _rows(body))
    return tuple(line(name) for name in names if isinstance(name, str))


def cards(body: bytes) -> dict[str, Mapping[str, Any]]:
    """The entries by id, of those that are more than a name."""
    return {each["id"]: each for each in _rows(body) if isinstance(each, dict) and isinstance(each.get("id"), str)}


def _rows(body: bytes) -> list[Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    rows = value.get("data") or value.get("models") if isinstance(value, dict) else value
    return rows if isinstance(rows, list) else []
