"""Lists as OpenAI pages them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.embedded.checks import ApiError


def page(items: Sequence[dict[str, Any]], asked: Mapping[str, str], most: int) -> dict[str, Any]:
    """The items after the one that ``asked["after"]`` names, at most ``asked["limit"]`` (or ``most``) of them."""
    limit = asked.get("limit", str(most))
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= most:
        raise ApiError(f"Invalid 'limit': must be between 1 and {most}.", "limit", "integer_out_of_range")
    start, after = 0, asked.get("after")
    if after:
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            raise ApiError(f"Invalid 'after': there is no {after[:80]!r} here.", "after", "invalid_value")
        start = places[0] + 1
    shown = list(items[start : start + int(limit)])
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": None, "last_id": None}
    return {"object": "list", "data": shown, "has_more": start + len(shown) < len(items), **ends}
