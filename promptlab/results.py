"""results.csv as a fold: one row per variant, from predictions and what dev decided. Pure; empty = not measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from promptlab.final import Choice
from promptlab.mine import Search
from promptlab.predict import Task
from promptlab.records import Example, Prediction, Variant
from promptlab.stats import Array, Paired, mean, paired, rate_interval
from promptlab.ties import max_t

Row = dict[str, Any]
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the tables of a run are folded from. ``test`` predictions are empty where test was not read."""

    run: str
    engine: str
    task: Task
    search: Search
    choice: Choice
    test_rows: tuple[Example, ...]
    test: tuple[Prediction, ...]
    seed: int


def columns(slots: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """The columns of results.csv, in order."""
    further = [f"{split}.{name}" for name in metrics for split in ("dev", "test")]
    return [
        "run", "rank", "variant", "name", "status", "method", "model", "template", *(f"slot.{name}" for name in slots),
        "origin", "parents", "dev_n", "dev_score", "dev_low", "dev_high",
        "dev_delta", "dev_delta_low", "dev_delta_high", "test_n", "test_score", "test_low", "test_high",
        "delta", "delta_low", "delta_high", "p_adjusted", *further,
        "ok", "invalid", "refused", "truncated", "overflow", "error", "calls", "tokens_in", "tokens_cached",
        "tokens_out", "usd", "usd_per_1k", "latency_p50_ms", "latency_p95_ms", "prompt_tokens", "engine",
    ]  # fmt: skip


def further_metrics(task: Task) -> list[str]:
    """The metrics that have columns of their own: all but a single objective."""
    alone = next(iter(task.objective)) if len(task.objective) == 1 else None
    return [name for name in task.metrics if name != alone]


def fold(found: Findings) -> list[Row]:
    """The rows of results.csv, best rank first."""
    view = found.search.view
    dev = _by_variant(found.search.predictions)
    test = _by_variant(found.test)
    judged = _judged(found, test)
    rows = []
    for v, variant in enumerate(view.variants):
        rows.append(
            {
                "run": found.run,
                "variant": variant.id,
                "name": name_of(variant, view.variants),
                "status": _status(found, v, judged),
                "method": variant.method,
                "model": variant.slots["model"],
                "template": variant.slots["template"],
                **{f"slot.{key}": value for key, value in variant.slots.items() if key not in ("model", "template")},
                "origin": variant.origin,
                "parents": " ".join(variant.parents),
                **_dev(found, v),
                **judged.get(v, {}),
                **_further(found, dev.get(variant.id, []), test.get(variant.id, [])),
                **_spending([*dev.get(variant.id, []), *test.get(variant.id, [])]),
                "engine": found.engine,
            }
        )
    order = _ranks(found, rows)
    return [{**rows[v], "rank": rank} for rank, v in enumerate(order, 1)]


def name_of(variant: Variant, among: Sequence[Variant]) -> str:
    """A name for people: the template and the slots in which the variants differ."""
    template = str(variant.slots["template"])
    varying = [
        key for key in variant.slots if key != "template" and len({str(other.slots.get(key)) for other in among}) > 1
    ]
    parts = [f"{key.removeprefix('bank.').removeprefix('params.')}={variant.slots[key]}" for key in varying]
    return " ".join([template, *parts])


def _by_variant(rows: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    found: dict[str, list[Prediction]] = {}
    for row in rows:
        found.setdefault(row.variant, []).append(row)
    return found


def _dev(found: Findings, v: int) -> Row:
    """Dev's figures; a variant that fell before all rows were scored gets no interval, for it was judged as it went."""
    view = found.search.view
    scores = view.scores[v]
    n = int((~np.isnan(scores)).sum())
    if n == 0:
        return {"dev_n": 0}
    weights = view.weights
    row: Row = {"dev_n": n, "dev_score": mean(scores, weights), "dev_delta": view.deltas()[v]}
    if v not in found.choice.full and v != 0:
        return row
    interval = rate_interval(scores, weights, found.seed)
    row |= {"dev_low": interval.low, "dev_high": interval.high}
    if v != 0:
        gap = paired(scores, view.scores[0], found.seed, weights)
        row |= {"dev_delta": gap.delta, "dev_delta_low": gap.low, "dev_delta_high": gap.high}
    return row


def scores_of(rows: Sequence[Prediction], examples: Sequence[Example]) -> Array:
    """One score per example, repeats averaged first; NaN where there is none."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if not math.isnan(row.score):
            found.setdefault(row.example, []).append(row.score)
    return np.array([float(np.mean(found[each.id])) if each.id in found else math.nan for each in examples])


def _judged(found: Findings, test: Mapping[str, Sequence[Prediction]]) -> dict[int, Row]:
    """The test columns of baseline and finalists. p of dev's pick is raw; the others' are adjusted for being many."""
    view, choice, examples = found.search.view, found.choice, found.test_rows
    if not found.test:
        return {}
    weights = np.array([example.weight for example in examples])
    scores = {v: scores_of(test.get(view.variants[v].id, []), examples) for v in (0, *choice.finalists)}
    gaps = {v: paired(scores[v], scores[0], found.seed, weights) for v in choice.finalists}
    adjusted = _adjusted(found, scores, gaps, weights)
    rows = {}
    for v, values in scores.items():
        interval = rate_interval(values, weights, found.seed)
        rows[v] = {
            "test_n": int((~np.isnan(values)).sum()), "test_score": mean(values, weights),
            "test_low": interval.low, "test_high": interval.high,
        }  # fmt: skip
        if v in gaps:
            gap = gaps[v]
            rows[v] |= {"delta": gap.delta, "delta_low": gap.low, "delta_high": gap.high, "p_adjusted": adjusted[v]}
    return rows


def _adjusted(
    found: Findings, scores: Mapping[int, Array], gaps: Mapping[int, Paired], weights: Array
) -> dict[int, float]:
    finalists, pick = found.choice.finalists, found.choice.pick
    if not finalists:
        return {}
    deltas = np.array([scores[v] - scores[0] for v in finalists]) * (weights / weights.mean())
    family = dict(zip(finalists, max_t(deltas, seed=found.seed), strict=True))
    raw = gaps[pick].p if pick in gaps else 0.0
    return {v: raw if v == pick else max(raw, float(family[v])) for v in finalists}


def _status(found: Findings, v: int, judged: Mapping[int, Row]) -> str:
    choice, view = found.choice, found.search.view
    if v == 0:
        return "baseline"
    if v == choice.pick and claimed(judged.get(v, {})):
        return "winner"
    if v in choice.tied:
        return "tied"
    if not view.live[v]:
        return "dropped"
    if np.isnan(view.scores[v]).all() and view.asked[v].any():
        return "failed"
    return "beaten" if v in choice.full else "dropped"


def claimed(row: Mapping[str, Any]) -> bool:
    """Whether test bears the pick out: better than the baseline, p below .05."""
    return bool(row.get("delta", 0.0) > 0 and row.get("p_adjusted", 1.0) < ALPHA)


def _ranks(found: Findings, rows: Sequence[Row]) -> list[int]:
    """The tie set (winner and pick first), then by when they fell, then by paired dev_delta; failed ones last."""
    choice, fell = found.choice, found.search.fell
    last = found.search.view.round + 1

    def key(v: int) -> tuple[Any, ...]:
        status, delta = rows[v]["status"], rows[v].get("dev_delta", math.nan)
        in_set = status == "winner" or v in choice.tied
        unknown = math.isnan(delta)
        first = status == "winner" or (v == choice.pick and v != 0)
        return (status == "failed" or unknown, not in_set, -fell.get(v, last), not first, 0.0 if unknown else -delta, v)

    return sorted(range(len(rows)), key=key)


def _further(found: Findings, dev: Sequence[Prediction], test: Sequence[Prediction]) -> Row:
    rows: Row = {}
    examples = {example.id: example for example in (*found.search.view.dev, *found.test_rows)}
    for name in further_metrics(found.task):
        for split, predictions in (("dev", dev), ("test", test)):
            done = [p for p in predictions if p.status != "error" and name in p.scores]
            if done:
                rows[f"{split}.{name}"] = _metric(found.task, name, done, examples)
    return rows


def _metric(task: Task, name: str, rows: Sequence[Prediction], examples: Mapping[str, Example]) -> float:
    aggregate = getattr(task.metrics[name], "aggregate", None)
    if aggregate is not None:
        pairs = [(examples[row.example].label, row.answer if row.status == "ok" else None) for row in rows]
        return float(aggregate(pairs, tuple(map(str, task.labels))))
    return mean([row.scores[name] for row in rows], [examples[row.example].weight for row in rows])


def _spending(rows: Sequence[Prediction]) -> Row:
    statuses = Counter(row.status for row in rows)
    counts: Row = {s: statuses.get(s, 0) for s in ("ok", "invalid", "refused", "truncated", "overflow", "error")}
    calls = [call for row in rows for call in row.calls]
    served = [call for call in calls if call.completion is not None and call.purpose not in ("judge", "meta")]
    usages = [call.completion.usage for call in calls if call.completion is not None]
    counts |= {
        "calls": len(calls),
        "tokens_in": sum(usage.tokens_in for usage in usages),
        "tokens_cached": sum(usage.tokens_cached for usage in usages),
        "tokens_out": sum(usage.tokens_out for usage in usages),
        "usd": math.fsum(call.spent for call in calls),
    }
    answered = [row for row in rows if row.status != "error"]
    if answered:
        waits = [1000 * sum(call.latency for call in row.calls) for row in answered]
        counts |= {
            "usd_per_1k": 1000 * math.fsum(call.usd for call in served) / len(answered),
            "latency_p50_ms": float(np.percentile(waits, 50)),
            "latency_p95_ms": float(np.percentile(waits, 95)),
            "prompt_tokens": sum(row.prompt_tokens for row in answered) / len(answered),
        }
    return counts
