"""A run as an arm: its best variant on dev, what test says of it, what it takes. Pure, but for the run's manifest."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promptlab.choice.arm import Arm, Found, Serving, Setup, Tuning
from promptlab.choice.curve import Curve, curve
from promptlab.finished import Run
from promptlab.hits import hits
from promptlab.measured import by_variant
from promptlab.records import Prediction, Variant
from promptlab.results import as_measured
from promptlab.spending import spending
from promptlab.stats.paired import mean
from promptlab.stats.sample import Array, codes_of
from promptlab.tested import tested

AXES = {"bank.k": "demos", "retrieval.k": "passages", "model": "training rows"}
_ROWS = re.compile(r"tuned-.+-n(\d+)")


@dataclass(frozen=True, slots=True)
class Paid:
    """What the arm takes beside the experiment's own calls: a label's price, and what its tuning took.

    ``label_usd`` None: labels have no price and are not counted. ``training_usd`` None: it has none, or nothing was
    tuned (``tuned``).
    """

    label_usd: float | None = None
    training_usd: float | None = None
    tuning: Tuning = field(default_factory=Tuning)
    tuned: bool = False
    hosting_per_hour: float = 0.0


def picked(run: Run) -> Variant:
    """Dev's pick of an arm. Its baseline is one of the arm as well, and is the pick where nothing is above it."""
    return run.findings.search.view.variants[run.findings.choice.pick]


def collect(name: str, runs: Sequence[Run], paid: Paid, shutdown: str = "") -> Arm:
    """The arm of one run; of several, one for each tuning seed, the first of which has picked the variant."""
    first = runs[0]
    variant = picked(first)
    every = [_test(run) for run in runs]
    rows = [row for run in runs for row in by_variant(run.findings.test).get(picked(run).id, ())]
    model = first.findings.task.models[variant.slots["model"]]
    served = spending(rows, priced=model.price is not None)
    return Arm(
        name=name,
        scores=_averaged(every),
        dev=float(np.mean([mean(on_dev(run), run.findings.search.view.weights) for run in runs])),
        variant=variant.id,
        model=model.name,
        seeds=tuple(every) if len(every) > 1 else (),
        setup=_setup(runs, paid),
        serving=_serving(served, len(rows), paid.hosting_per_hour),
        found=_found(first, variant),
        tuning=paid.tuning,
        invalid=int(served.get("invalid", 0)),
        errors=int(served.get("error", 0)),
        update_usd=_update(first, variant, paid),
        shutdown=shutdown,
    )


def on_dev(run: Run) -> Array:
    """The pick's scores on dev, row by row."""
    view = as_measured(run.findings).search.view
    return np.asarray(view.scores[run.findings.choice.pick])


def unread(run: Run) -> Array:
    """1 where the pick's answer on a dev row could not be read or was cut off, 0 where it could; NaN = not asked."""
    found: Mapping[str, Prediction] = {
        row.example: row for row in by_variant(run.findings.search.predictions).get(picked(run).id, ())
    }
    bad = ("invalid", "truncated")
    return np.array(
        [float(found[each.id].status in bad) if each.id in found else math.nan for each in run.findings.search.view.dev]
    )


def curves(run: Run) -> tuple[Curve, ...]:
    """Score against demos and passages, among the variants that differ from the pick in nothing else."""
    view, pick = as_measured(run.findings).search.view, picked(run)
    groups = codes_of([example.group for example in view.dev])
    made = []
    for slot, axis in AXES.items():
        places = {_size(slot, each): v for v, each in enumerate(view.variants) if _alike(each, pick, slot)}
        whole = {x: v for x, v in places.items() if x is not None and not np.isnan(view.scores[v]).any()}
        if len(whole) > 1:
            rows = [view.scores[v] for v in whole.values()]
            made.append(curve(axis, list(whole), rows, run.findings.seed, groups))
    return tuple(made)


def _alike(one: Variant, other: Variant, slot: str) -> bool:
    """Whether two variants have a slot and differ in nothing else; an order of one thing is no difference."""
    if slot not in one.slots or slot not in other.slots:
        return False
    order = slot.replace(".k", ".order")
    apart = {name for name in {*one.slots, *other.slots} if one.slots.get(name) != other.slots.get(name)}
    return apart <= ({slot, order} if order not in one.slots or order not in other.slots else {slot})


def _size(slot: str, variant: Variant) -> float | None:
    """How much of it: the value, or the rows that a tuned model learned from; None for a model that was not tuned."""
    if slot != "model":
        return float(variant.slots[slot])
    found = _ROWS.fullmatch(str(variant.slots[slot]))
    return float(found[1]) if found else None


def _test(run: Run) -> Array:
    scores: Array = tested(as_measured(run.findings)).scores[run.findings.choice.pick]
    return scores


def _averaged(every: Sequence[Array]) -> Array:
    """The mean over tuning seeds, row by row; a row that one of them lacks is missing."""
    return np.asarray(np.mean(np.array(every), axis=0))


def _serving(served: Mapping[str, Any], rows: int, hosting_per_hour: float) -> Serving:
    def each(name: str) -> float | None:
        return None if served.get(name) is None or not rows else float(served[name]) / rows

    usd = served.get("usd_per_1k")
    return Serving(
        None if usd is None else usd / 1000,
        each("tokens_in"),
        each("tokens_cached"),
        each("tokens_out"),
        served.get("latency_p50_ms"),
        served.get("latency_p95_ms"),
        hosting_per_hour * 24 * 365.25 / 12,
    )


def _found(run: Run, variant: Variant) -> Found:
    task, rows = run.findings.task, list(by_variant(run.findings.test).get(variant.id, ()))
    if task.shelf is None:
        return Found()
    seen = hits(task, {"test": rows}, run.examples)
    return Found(seen.get("test.hit_at_k"), seen.get("test.score_hit"), seen.get("test.score_miss"))


def _setup(runs: Sequence[Run], paid: Paid) -> Setup:
    """Labels, mining (embedding the corpus is in it) and training, at list price: as if no other arm had asked.

    Where one of the asked models has no price, the sum is not known.
    """
    prepared = runs[0].prepared
    priced = all(model.price is not None for model in prepared.experiment.asked)
    search = math.fsum(_listed(run) for run in runs) if priced else None
    labelled = len(prepared.rows.dev) + len(prepared.rows.test) + (paid.tuning.rows or 0)
    if int(picked(runs[0]).slots.get("bank.k", 0)) and prepared.task.bank is not None:
        labelled += len(prepared.task.bank.demos)
    labels = None if paid.label_usd is None else labelled * paid.label_usd
    unpriced = not priced or (paid.tuned and paid.training_usd is None)
    return Setup(labels, search, paid.training_usd, None, unpriced)


def _listed(run: Run) -> float:
    return float(json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))["list_usd"])


def _update(run: Run, variant: Variant, paid: Paid) -> float | None:
    """What one change of knowledge takes: training again, or embedding a passage; None where no price is known."""
    if paid.tuned:
        return paid.training_usd
    shelf = run.findings.task.shelf
    if variant.method != "rag" or shelf is None:
        return 0.0
    embedding = shelf.settings.embedding
    if embedding is None or str(variant.slots.get("retrieval.retriever")) in ("bm25", "tfidf"):
        return 0.0
    if embedding.price is None:
        return None
    passages = shelf.library.pool(str(variant.slots["retrieval.chunk"])).passages
    letters = sum(len(each.text) for each in passages) / max(1, len(passages))
    return embedding.price.input * letters / 4 / 1e6
