"""results.csv as a fold: one row per variant, from predictions and what dev decided. Pure; empty = not measured.

Dev alone selects, ranks and ties; test only reports, and says of dev's pick whether it beats the baseline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promptlab.final import Choice
from promptlab.kept import Predictions
from promptlab.mine import Search
from promptlab.predict import Task
from promptlab.predictions import cell, rounded
from promptlab.records import Example, Prediction, Variant
from promptlab.spending import STATUSES, spending
from promptlab.stats import Array, Paired, error_bounds, mean, paired, rate_interval
from promptlab.ties import max_t

Row = dict[str, Any]
ALPHA = 0.05
NAMED = 40  # characters of a slot's value in a name


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the tables of a run are folded from. ``test`` predictions are empty where test was not read.

    ``answered_as``: by model, the names that the endpoint's answers bear.
    """

    run: str
    engine: str
    task: Task = field(repr=False)  # asyncio formats what its main task gives, needed or not
    search: Search = field(repr=False)
    choice: Choice
    test_rows: tuple[Example, ...] = field(repr=False)
    test: Sequence[Prediction] = field(repr=False)
    seed: int
    answered_as: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tested:
    """What test says of the baseline (0) and the finalists: scores per row, differences, p; empty if it was not read.

    p of dev's pick is raw, the others' is adjusted for being many and never below the pick's.
    """

    weights: Array
    scores: Mapping[int, Array]
    gaps: Mapping[int, Paired]
    p: Mapping[int, float]


def columns(slots: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """The columns of results.csv, in order."""
    further = [f"{split}.{name}" for name in metrics for split in ("dev", "test")]
    return [
        "run", "rank", "variant", "name", "status", "method", "model", "template", *(f"slot.{name}" for name in slots),
        "origin", "parents", "dev_n", "dev_score", "dev_low", "dev_high",
        "dev_delta", "dev_delta_low", "dev_delta_high", "test_n", "test_score", "test_low", "test_high",
        "delta", "delta_low", "delta_high", "p_adjusted", *further,
        *STATUSES, "calls", "tokens_in", "tokens_cached",
        "tokens_out", "usd", "usd_per_1k", "latency_p50_ms", "latency_p95_ms", "prompt_tokens", "engine",
    ]  # fmt: skip


def further_metrics(task: Task) -> list[str]:
    """The metrics that have columns of their own: all but a single objective that is a mean over rows."""
    alone = next(iter(task.objective)) if len(task.objective) == 1 else None
    if alone is not None and (task.objective[alone] != 1 or hasattr(task.metrics[alone], "aggregate")):
        alone = None  # dev_score is not the metric as it is reported
    return [name for name in task.metrics if name != alone]


def fold(found: Findings) -> list[Row]:
    """The rows of results.csv, best rank first. What was not measured is absent or None; numbers are rounded."""
    view, task = found.search.view, found.task
    deltas, test = view.deltas(), tested(found)
    names = names_of(view.variants)
    on_dev, on_test = _by_variant(found.search.predictions), _by_variant(found.test)
    examples = {example.id: example for example in (*view.dev, *found.test_rows)}
    rows = []
    for v, variant in enumerate(view.variants):
        dev, final = list(on_dev.get(variant.id, ())), list(on_test.get(variant.id, ()))
        priced = task.models[variant.slots["model"]].price is not None
        measured = {
            **_dev(found, v, float(deltas[v])),
            **_test(found, v, test),
            **_further(task, dev if _fair(found, v) else [], final, examples),
            **spending([*dev, *final], priced=priced),
        }
        rows.append(
            {
                **_who(found.run, variant, names[v]),
                "status": _status(found, v, test),
                **{name: rounded(n) if isinstance(n, float) else n for name, n in measured.items()},
                "engine": found.engine,
            }
        )
    return [{**rows[v], "rank": rank} for rank, v in enumerate(_ranks(found, deltas), 1)]


def names_of(variants: Sequence[Variant]) -> list[str]:
    """Names for people: the template, and the slots in which these variants differ."""
    keys = dict.fromkeys(key for variant in variants for key in variant.slots if key != "template")
    varying = [key for key in keys if len({str(variant.slots.get(key)) for variant in variants}) > 1]
    return [
        " ".join(
            [
                str(variant.slots["template"]),
                *(f"{short(key)}={brief(variant.slots[key])}" for key in varying if key in variant.slots),
            ]
        )
        for variant in variants
    ]


def brief(value: Any) -> str:
    """A slot's value as part of a name: one line, and of a longer text its beginning."""
    text = " ".join(str(cell(value)).split())
    return text if len(text) <= NAMED else f"{text[: NAMED - 1].rstrip()}…"


def short(slot: str) -> str:
    """A slot's name without the part of the experiment file that it comes from."""
    return slot.removeprefix("bank.").removeprefix("params.")


def tested(found: Findings) -> Tested:
    """What test says, repeats averaged first, every difference on the rows that both have."""
    weights = np.array([example.weight for example in found.test_rows])
    if not found.test:
        return Tested(weights, {}, {}, {})
    variants, rows = found.search.view.variants, _by_variant(found.test)
    finalists, pick = found.choice.finalists, found.choice.pick
    scores = {v: scores_of(rows.get(variants[v].id, []), found.test_rows) for v in (0, *finalists)}
    gaps = {v: paired(scores[v], scores[0], found.seed, weights) for v in finalists}
    if not finalists:
        return Tested(weights, scores, {}, {})
    differences = np.array([scores[v] - scores[0] for v in finalists]) * (weights / weights.mean())
    family = dict(zip(finalists, max_t(differences, seed=found.seed), strict=True))
    raw = gaps[pick].p if pick in gaps else 0.0
    p = {v: raw if v == pick else float(np.maximum(raw, family[v])) for v in finalists}
    return Tested(weights, scores, gaps, p)


def scores_of(rows: Sequence[Prediction], examples: Sequence[Example]) -> Array:
    """One score per example, repeats averaged first; NaN where there is none."""
    found = _means(rows, [row.score for row in rows])
    return np.array([found.get(each.id, math.nan) for each in examples], float)


def claimed(row: Mapping[str, Any]) -> bool:
    """Whether test bears a row out: better than the baseline, p below .05."""
    return (row.get("delta") or 0.0) > 0 and 0 <= _known(row.get("p_adjusted"), 1.0) < ALPHA


def borne_out(found: Findings, test: Tested) -> bool:
    """Whether dev's pick wins: above the baseline on test, p below .05, whatever failed calls would have said."""
    pick = found.choice.pick
    if pick == 0 or pick not in test.gaps:
        return False
    bounds = error_bounds(test.scores[pick], test.scores[0], test.weights)
    return test.gaps[pick].delta > 0 and test.p[pick] < ALPHA and min(bounds) > 0


def _known(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or math.isnan(value) else value


def _means(rows: Sequence[Prediction], values: Sequence[float]) -> dict[str, float]:
    """The mean of the values that there are, example by example."""
    found: dict[str, list[float]] = {}
    for row, value in zip(rows, values, strict=True):
        if not math.isnan(value):
            found.setdefault(row.example, []).append(value)
    return {example: math.fsum(known) / len(known) for example, known in found.items()}


def _by_variant(rows: Sequence[Prediction]) -> Mapping[str, Sequence[Prediction]]:
    if isinstance(rows, Predictions):
        return rows.by_variant()
    found: dict[str, list[Prediction]] = {}
    for row in rows:
        found.setdefault(row.variant, []).append(row)
    return found


def _who(run: str, variant: Variant, name: str) -> Row:
    slots = {f"slot.{key}": cell(v) for key, v in variant.slots.items() if key not in ("model", "template")}
    return {
        "run": run, "variant": variant.id, "name": name, "method": variant.method, "model": variant.slots["model"],
        "template": variant.slots["template"], **slots, "origin": variant.origin, "parents": " ".join(variant.parents),
    }  # fmt: skip


def _dev(found: Findings, v: int, delta: float) -> Row:
    """Dev's figures; a variant that fell before all rows were scored gets no interval, for it was judged as it went.

    The baseline has no difference to itself.
    """
    view = found.search.view
    scores, weights = view.scores[v], view.weights
    n = int((~np.isnan(scores)).sum())
    if n == 0 or not _fair(found, v):
        return {"dev_n": n}
    row: Row = {"dev_n": n, "dev_score": mean(scores, weights), "dev_delta": delta if v else None}
    if v and v not in found.choice.full:
        return row
    interval = rate_interval(scores, weights, found.seed)
    row |= {"dev_low": interval.low, "dev_high": interval.high}
    if v:
        gap = paired(scores, view.scores[0], found.seed, weights)
        row |= {"dev_delta_low": gap.low, "dev_delta_high": gap.high}
    return row


def _fair(found: Findings, v: int) -> bool:
    """Whether a variant's rows are a fair sample of dev: all that the others have, or the first ones in dev's order.

    A mean over rows that an allocator picked for what they tell is no accuracy.
    """
    asked = found.search.view.asked[v]
    return v in (0, *found.choice.full) or bool(asked[: asked.sum()].all())


def _test(found: Findings, v: int, test: Tested) -> Row:
    """The test columns of the baseline and the finalists."""
    if v not in test.scores:
        return {}
    scores = test.scores[v]
    interval = rate_interval(scores, test.weights, found.seed)
    row: Row = {
        "test_n": int((~np.isnan(scores)).sum()), "test_score": mean(scores, test.weights),
        "test_low": interval.low, "test_high": interval.high,
    }  # fmt: skip
    if v in test.gaps:
        gap = test.gaps[v]
        row |= {"delta": gap.delta, "delta_low": gap.low, "delta_high": gap.high, "p_adjusted": test.p[v]}
    return row


def _status(found: Findings, v: int, test: Tested) -> str:
    choice, view = found.choice, found.search.view
    if v == 0:
        return "baseline"
    if view.asked[v].any() and np.isnan(view.scores[v]).all():
        return "failed"
    if v == choice.pick and borne_out(found, test):
        return "winner"
    if v in choice.tied:
        return "tied"
    return "beaten" if v in choice.full and view.live[v] else "dropped"


def _ranks(found: Findings, deltas: Array) -> list[int]:
    """The tie set (dev's pick first), then by when they fell, then by paired difference; unscored ones last."""
    choice, fell = found.choice, found.search.fell
    last = found.search.view.round + 1

    def key(v: int) -> tuple[Any, ...]:
        unknown = math.isnan(deltas[v])
        in_set = v == choice.pick or v in choice.tied
        return (unknown, not in_set, -fell.get(v, last), v != choice.pick, 0.0 if unknown else -deltas[v], v)

    return sorted(range(len(deltas)), key=key)


def _further(task: Task, dev: Sequence[Prediction], test: Sequence[Prediction], examples: Mapping[str, Example]) -> Row:
    rows: Row = {}
    for name in further_metrics(task):
        for split, predictions in (("dev", dev), ("test", test)):
            done = [p for p in predictions if p.status != "error" and name in p.scores]
            if done:
                rows[f"{split}.{name}"] = _metric(task, name, done, examples)
    return rows


def _metric(task: Task, name: str, rows: Sequence[Prediction], examples: Mapping[str, Example]) -> float:
    aggregate = getattr(task.metrics[name], "aggregate", None)
    if aggregate is not None:
        pairs = [(examples[row.example].label, row.answer if row.status == "ok" else None) for row in rows]
        return float(aggregate(pairs, tuple(map(str, task.labels))))
    means = _means(rows, [row.scores[name] for row in rows])
    return mean(list(means.values()), [examples[each].weight for each in means])
