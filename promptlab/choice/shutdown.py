"""The day on which a model ends, as far as its endpoint says so: to doctor once, or in the list of its models now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FACT = "shutdown_date"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def shutdown(model_id: str, examined: Mapping[str, Any], listed: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """The ISO date, the earliest of several; empty where nobody says one.

    ``examined``: what ``capabilities.of`` gives; ``listed``: what ``endpoint.cards.asked`` does. A tuned model
    (`ft:BASE:…`) ends with its base at the latest.
    """
    base = model_id.split(":")[1] if model_id.startswith("ft:") and model_id.count(":") else ""
    days = []
    for name in (model_id, base):
        facts = [fact for models in examined.values() for fact in models.get(name, {}).get("facts", {}).values()]
        said = [str(each.get(FACT))[:10] for each in (*facts, (listed or {}).get(name, {}))]
        days += [each for each in said if _DAY.fullmatch(each)]
    return min(days, default="")
