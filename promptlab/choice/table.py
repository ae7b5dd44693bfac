"""choice.csv: one row per arm, every column in its order; what was not measured is empty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Any

from promptlab.choice.break_even import BreakEven, between, too_late, when
from promptlab.choice.costs import served
from promptlab.choice.reason import reason
from promptlab.choice.rule import Choice, Judged
from promptlab.predictions import rounded

COLUMNS = (
    "arm", "variant", "model", "test_n", "test_score", "test_low", "test_high", "delta", "delta_low", "delta_high",
    "p_adjusted", "eligible", "invalid", "error", "hit_at_k", "score_hit", "score_miss", "tokens_in", "tokens_cached",
    "tokens_out", "usd_per_1k", "latency_p50_ms", "latency_p95_ms", "setup_usd", "train_rows", "train_tokens", "seeds",
    "seed_sd", "break_even_calls", "break_even_date", "off_task_delta", "update_usd", "model_shutdown", "verdict",
    "reason",
)  # fmt: skip


def columns() -> list[str]:
    """The columns of choice.csv, in order.

    ``delta`` and its bounds are against the best arm on dev, or one that test shows to be better than it by the margin:
    one-sided at 95 %, for all arms together; ``p_adjusted`` is that of "worse by the margin or more". Tokens are per
    answer; ``usd_per_1k`` has hosting in it where the volume is known. Of several tuning seeds, scores are means over
    them, waiting times and tokens those of all their answers, and ``invalid`` and ``error`` count those.
    ``setup_usd`` is what the one served model takes: labels, the search that picked it and its training; other
    tuning seeds and sizes are measurement. ``break_even_calls``: the number of calls at which the arm and that one
    have cost the same, hosting and changes of knowledge included, and ``break_even_date`` the day of it; ``reason``
    says which of them is cheaper before, or that one always is. Empty = there is no such point, or a price is
    missing.
    """
    return list(COLUMNS)


def rows(choice: Choice, today: date) -> list[dict[str, Any]]:
    """The rows of choice.csv, in the order of the arms."""
    return [_row(choice, each, today) for each in choice.judged]


def _row(choice: Choice, each: Judged, today: date) -> dict[str, Any]:
    arm, bound = each.arm, each.bound
    row: dict[str, Any] = {
        "arm": arm.name,
        "variant": arm.variant,
        "model": arm.model,
        "test_n": sum(not math.isnan(score) for score in arm.scores),
        "test_score": each.score,
        "test_low": each.interval.low,
        "test_high": each.interval.high,
        **(
            {"delta": bound.delta, "delta_low": bound.low, "delta_high": bound.high, "p_adjusted": bound.p}
            if bound
            else {}
        ),
        "eligible": each.eligible and not each.outside,
        "invalid": arm.invalid,
        "error": arm.errors,
        "hit_at_k": arm.found.hit_at_k,
        "score_hit": arm.found.score_hit,
        "score_miss": arm.found.score_miss,
        "off_task_delta": arm.off_task.delta if arm.off_task else None,
        "update_usd": arm.update_usd,
        "model_shutdown": arm.shutdown,
        "verdict": each.verdict,
        "reason": _reason(choice, each, today),
        **_served(choice, each),
        **_tuned(each),
        **_break_even(choice, each, today),
    }
    return {name: rounded(value) if isinstance(value, float) else value for name, value in row.items()}


def _served(choice: Choice, each: Judged) -> Mapping[str, Any]:
    serving, usd = each.arm.serving, served(each.arm, choice.limits.use)
    return {
        "tokens_in": serving.tokens_in,
        "tokens_cached": serving.tokens_cached,
        "tokens_out": serving.tokens_out,
        "usd_per_1k": None if usd is None else 1000 * usd,
        "latency_p50_ms": serving.p50_ms,
        "latency_p95_ms": serving.p95_ms,
        "setup_usd": each.arm.setup.usd,
    }


def _tuned(each: Judged) -> Mapping[str, Any]:
    arm = each.arm
    if not arm.tuned:
        return {}
    variance, seeds = arm.spread()
    return {
        "train_rows": arm.tuning.rows,
        "train_tokens": arm.tuning.tokens,
        "seeds": max(1, seeds),
        "seed_sd": math.sqrt(variance) if seeds > 1 else None,
    }


def _break_even(choice: Choice, each: Judged, today: date) -> Mapping[str, Any]:
    """Against the reference; empty where a price is missing, and for the reference itself."""
    found = against(choice, each)
    if found is None or found.calls is None:
        return {}
    per_month, shutdown = choice.limits.use.per_month, each.arm.shutdown
    day = None if too_late(found, per_month, today, shutdown) else when(found, per_month, today)
    return {"break_even_calls": round(found.calls), "break_even_date": day.isoformat() if day else None}


def _reason(choice: Choice, each: Judged, today: date) -> str:
    """Why it has its verdict, what it costs in all, and when it is the cheaper one."""
    found, shutdown = against(choice, each), each.arm.shutdown
    said = [reason(choice, each)]
    if found is not None:
        late = too_late(found, choice.limits.use.per_month, today, shutdown)
        end = f", which is past the end of its model ({shutdown[:10]})" if late else ""
        said.append(found.against(choice.reference) + end)
    return "; ".join(said)


def against(choice: Choice, each: Judged) -> BreakEven | None:
    """When an arm is cheaper than the reference; None for the reference itself, and where a price is missing."""
    other = choice.of(choice.reference).arm
    return None if each.arm is other else between(each.arm, other, choice.limits.use)
