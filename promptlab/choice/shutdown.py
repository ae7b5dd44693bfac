"""The day on which a model ends, as far as doctor was told by its endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FACT = "shutdown_date"


def shutdown(model_id: str, examined: Mapping[str, Any]) -> str:
    """The ISO date; empty where there is none, or doctor was never asked. ``examined``: what ``capabilities.of`` gives.

    A tuned model (`ft:BASE:…`) ends with its base at the latest.
    """
    base = model_id.split(":")[1] if model_id.startswith("ft:") and model_id.count(":") else ""
    days = []
    for models in examined.values():
        for name in (model_id, base):
            facts = models.get(name, {}).get("facts", {})
            days += [str(each[FACT])[:10] for each in facts.values() if each.get(FACT)]
    return min(days, default="")
