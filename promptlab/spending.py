"""What a variant took: statuses, calls, tokens, dollars, waiting. Pure; what was not measured is absent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from promptlab.records import Prediction

STATUSES = ("ok", "invalid", "refused", "truncated", "overflow", "error")


def spending(rows: Sequence[Prediction], *, priced: bool) -> dict[str, Any]:
    """Statuses, calls, tokens and dollars of some rows; without a price no dollars, without an answer no tokens."""
    statuses: Counter[str] = Counter(row.status for row in rows)
    calls = [call for row in rows for call in row.calls]
    counts: dict[str, Any] = {**{status: statuses[status] for status in STATUSES}, "calls": len(calls)}
    usages = [call.completion.usage for call in calls if call.completion is not None]
    if usages or not calls:
        counts["tokens_in"] = sum(usage.tokens_in for usage in usages)
        counts["tokens_cached"] = sum(usage.tokens_cached for usage in usages)
        counts["tokens_out"] = sum(usage.tokens_out for usage in usages)
    served = [call for call in calls if call.completion is not None and call.purpose not in ("judge", "meta")]
    answered = [row for row in rows if row.status != "error"]
    if priced:
        counts["usd"] = math.fsum(call.spent for call in calls)
    if answered and priced:
        counts["usd_per_1k"] = 1000 * math.fsum(call.usd for call in served) / len(answered)
    if answered:
        waits = [1000 * sum(call.latency for call in row.calls if call.completion is not None) for row in answered]
        counts["latency_p50_ms"] = float(np.percentile(waits, 50))
        counts["latency_p95_ms"] = float(np.percentile(waits, 95))
        counts["prompt_tokens"] = sum(row.prompt_tokens for row in answered) / len(answered)
    return counts
