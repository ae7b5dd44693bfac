"""results.csv as a fold: one row per variant, from predictions and what dev decided. Pure; empty = not measured.

Dev alone selects, ranks and ties; test only reports, and says of dev's pick whether it beats the baseline.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from promptlab.findings import Findings
from promptlab.hits import hits, measured_names
from promptlab.jury.judged import names_winner, on_pick
from promptlab.measured import by_variant, means, measured, pairs_of
from promptlab.predict import Task
from promptlab.predictions import cell, rounded
from promptlab.records import Example, Prediction, Variant
from promptlab.shelf import diagnoses
from promptlab.spending import STATUSES, spending
from promptlab.stats.paired import mean, paired, rate_interval
from promptlab.stats.sample import Array, codes_of
from promptlab.tested import ALPHA, Tested, borne_out, pick_p, seed_of, tested

Row = dict[str, Any]
NAMED = 40  # characters of a slot's value in a name


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


def further(found: Findings) -> list[str]:
    """What has columns of its own beside the objective: further metrics, and how well passages were found."""
    return [*further_metrics(found.task), *(measured_names(found) if found.task.shelf else ())]


def fold(found: Findings) -> list[Row]:
    """The rows of results.csv, best rank first. What was not measured is absent or None; numbers are rounded."""
    found, task = as_measured(found), found.task
    view, test = found.search.view, tested(found)
    deltas, names = view.deltas(), names_of(view.variants)
    on_dev, on_test = by_variant(found.search.predictions), by_variant(found.test)
    examples = {example.id: example for example in (*view.dev, *found.test_rows)}
    rows = []
    for v, variant in enumerate(view.variants):
        dev, final = list(on_dev.get(variant.id, ())), list(on_test.get(variant.id, ()))
        priced = task.models[variant.slots["model"]].price is not None
        figures = {
            **_dev(found, v, float(deltas[v])),
            **_test(found, v, test),
            **_further(task, dev if _fair(found, v) else [], final, examples),
            **(hits(task, {"dev": dev if _fair(found, v) else [], "test": final}, examples) if task.shelf else {}),
            **spending([*dev, *final], priced=priced),
        }
        rows.append(
            {
                **_who(found.run, variant, names[v]),
                "status": _status(found, v, test),
                **{name: rounded(n) if isinstance(n, float) else n for name, n in figures.items()},
                "engine": _engine(found, variant, [*dev, *final]),
            }
        )
    return [{**rows[v], "rank": rank} for rank, v in enumerate(_ranks(found, deltas), 1)]


def _engine(found: Findings, variant: Variant, rows: Sequence[Prediction]) -> str:
    """Who answered this variant: hosts, and ``embedded`` for the offline engine, also when served; else the run's."""
    models, names = found.task.models, {row.model for row in rows} or {str(variant.slots["model"])}
    if not names <= models.keys():
        return found.engine
    hosts = {"embedded" if models[name].endpoint.embedded else models[name].endpoint.host for name in names}
    prints = (call.completion.fingerprint for row in rows for call in row.calls if call.completion)
    return " ".join(sorted(hosts | {"embedded" for each in prints if each.startswith("embedded@")}))


def as_measured(found: Findings) -> Findings:
    """The findings with pseudo-values for dev's scores, where the objective needs them."""
    view = measured(found.search.view, found.task, found.search.predictions)
    return found if view is found.search.view else replace(found, search=replace(found.search, view=view))


def names_of(variants: Sequence[Variant]) -> list[str]:
    """Names for people: the template, and the slots in which these variants differ."""
    keys = dict.fromkeys(key for variant in variants for key in variant.slots if key != "template")
    varying = [key for key in keys if _varies(key, variants)]
    named = shortened(varying)
    return [
        " ".join(
            [
                str(variant.slots["template"]),
                *(f"{named[key]}={brief(variant.slots[key])}" for key in varying if key in variant.slots),
            ]
        )
        for variant in variants
    ]


def _varies(key: str, variants: Sequence[Variant]) -> bool:
    """Whether a slot tells variants apart; one of retrieval's only if those that have it differ."""
    having = [variant for variant in variants if key in variant.slots]
    among = having if key.startswith("retrieval.") else variants
    return len({str(variant.slots.get(key)) for variant in among}) > 1


def brief(value: Any) -> str:
    """A slot's value as part of a name: one line, and of a longer text its beginning."""
    text = " ".join(str(cell(value)).split())
    return text if len(text) <= NAMED else f"{text[: NAMED - 1].rstrip()}…"


def short(slot: str) -> str:
    """A slot's name without the part of the experiment file that it comes from."""
    return slot.removeprefix("bank.").removeprefix("params.").removeprefix("retrieval.")


def shortened(slots: Sequence[str]) -> dict[str, str]:
    """Each slot's short name; the whole one where two would be called the same."""
    counts = Counter(map(short, slots))
    return {slot: short(slot) if counts[short(slot)] == 1 else slot for slot in slots}


def claimed(row: Mapping[str, Any]) -> bool:
    """Whether test, or dev where it is all there is, bears a row out: better than the baseline, p below .05."""
    gain = row.get("delta") if row.get("delta") is not None else row.get("dev_delta")
    return (gain or 0.0) > 0 and 0 <= _known(row.get("p_adjusted"), 1.0) < ALPHA


def _known(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or math.isnan(value) else value


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
    if v and not _complete(found, v):
        return row
    groups = codes_of([example.group for example in view.dev])
    interval = rate_interval(scores, weights, seed_of(found), groups=groups)
    row |= {"dev_low": interval.low, "dev_high": interval.high}
    if v:
        gap = paired(scores, view.scores[0], seed_of(found), weights, groups=groups)
        row |= {"dev_delta_low": gap.low, "dev_delta_high": gap.high}
    if v and v == found.choice.pick and found.alone:
        row["p_adjusted"] = pick_p(found, Tested(weights, {}, {}, {}), view)
    return row


def _fair(found: Findings, v: int) -> bool:
    """Whether a variant's rows are a fair sample of dev: all that the others have, or the first ones in dev's order.

    A mean over rows that an allocator picked for what they tell is no accuracy.
    """
    asked = found.search.view.asked[v]
    return v == 0 or _complete(found, v) or bool(asked[: asked.sum()].all())


def _complete(found: Findings, v: int) -> bool:
    """Whether a variant was scored on all that the baseline was; whoever is told what is right takes no seat by it."""
    view = found.search.view
    return v in found.choice.full or (diagnoses(view.variants[v]) and bool((view.asked[v] >= view.asked[0]).all()))


def _test(found: Findings, v: int, test: Tested) -> Row:
    """The test columns of the baseline and the finalists."""
    if v not in test.scores:
        return {}
    scores = test.scores[v]
    interval = rate_interval(scores, test.weights, seed_of(found), groups=test.groups)
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
    if v == choice.pick and borne_out(found, test, view) and names_winner(on_pick(found)):
        return "winner"
    if v in choice.tied:
        return "tied"
    if diagnoses(view.variants[v]):
        return "diagnosis"
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
        return float(aggregate(pairs_of(rows, examples), tuple(map(str, task.labels))))
    values = means(rows, [row.scores[name] for row in rows])
    return mean(list(values.values()), [examples[each].weight for each in values])
