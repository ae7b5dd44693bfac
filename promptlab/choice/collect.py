"""A run as an arm: its best variant on dev, what test says of it, what it takes. Pure, but for the run's manifest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from promptlab.choice.arm import Arm, Found, Serving, Setup, Tuning
from promptlab.finished import Run
from promptlab.hits import hits
from promptlab.measured import by_variant
from promptlab.records import Model, Prediction, Variant
from promptlab.results import as_measured
from promptlab.spending import spending
from promptlab.stats.paired import mean
from promptlab.stats.sample import Array
from promptlab.tested import tested

NO_PRICE = "`tune.price.train` is not given"
UNKNOWN = "what the training of {} cost is not known"


@dataclass(frozen=True, slots=True)
class Paid:
    """What the arm takes beside the experiment's own calls: a label's price, and what its tuning took.

    ``label_usd`` None: labels have no price and are not counted. ``training_usd`` None: nothing was tuned, or (where
    ``tuned``) what that cost is not known, and ``unknown`` says why.
    """

    label_usd: float | None = None
    training_usd: float | None = None
    tuning: Tuning = field(default_factory=Tuning)
    tuned: bool = False
    hosting_per_hour: float = 0.0
    unknown: str = NO_PRICE


def picked(run: Run) -> Variant:
    """Dev's pick of an arm. Its baseline is one of the arm as well, and is the pick where nothing is above it."""
    return run.findings.search.view.variants[run.findings.choice.pick]


def collect(name: str, runs: Sequence[Run], paid: Paid, shutdown: str = "") -> Arm:
    """The arm of one run; of several, one for each tuning seed, the first of which has picked the variant.

    What an arm takes is what it takes to have the one model that is served (see ``_setup``).
    """
    first = runs[0]
    variant = picked(first)
    every = [_test(run) for run in runs]
    rows = [row for run in runs for row in by_variant(run.findings.test).get(picked(run).id, ())]
    model = first.findings.task.models[variant.slots["model"]]
    paid = _known(name, model, paid)
    served = spending(rows, priced=model.price is not None)
    return Arm(
        name=name,
        scores=_averaged(every),
        dev=float(np.mean([mean(on_dev(run), run.findings.search.view.weights) for run in runs])),
        variant=variant.id,
        model=model.name,
        seeds=tuple(every) if len(every) > 1 else (),
        setup=_setup(first, paid),
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


def _known(name: str, model: Model, paid: Paid) -> Paid:
    """What tuning took, or that nobody knows: a tuned arm is never free, whoever tuned its model, wherever."""
    if paid.tuned or not (name.startswith("fine-tuned") or model.recipe):
        return paid
    return replace(paid, tuned=True, unknown=UNKNOWN.format(model.name))


def _setup(run: Run, paid: Paid) -> Setup:
    """Labels, mining (embedding the corpus is in it) and training, at list price: as if no other arm had asked.

    It is what the one model takes that will be served. So of several tuning seeds the search of the first is in it,
    which picked the variant, and the training of its model: the other seeds, their trainings and their answers are
    there to measure how much tuning varies, and so are trainings on other sizes. Where one of the asked models has no
    price, or training has none, the sum is not known.
    """
    prepared = run.prepared
    unpriced = [f"the model {name} has no price" for name in _unpriced(run)]
    search = None if unpriced else _listed(run)
    labelled = len(prepared.rows.dev) + len(prepared.rows.test) + (paid.tuning.rows or 0)
    if int(picked(run).slots.get("bank.k", 0)) and prepared.task.bank is not None:
        labelled += len(prepared.task.bank.demos)
    labels = None if paid.label_usd is None else labelled * paid.label_usd
    if paid.tuned and paid.training_usd is None:
        unpriced.append(paid.unknown)
    return Setup(labels, search, paid.training_usd, None, tuple(unpriced))


def _unpriced(run: Run) -> list[str]:
    """The models without a price among those that the arm asks: those of its variants, and whoever helps them."""
    experiment = run.prepared.experiment
    asked = {str(variant.slots["model"]) for variant in run.findings.search.view.variants}
    answering = {model.name for model in experiment.models} - asked
    return [model.name for model in experiment.asked if model.price is None and model.name not in answering]


def _listed(run: Run) -> float:
    return float(json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))["list_usd"])


def _update(run: Run, variant: Variant, paid: Paid) -> float | None:
    """What one change of knowledge takes: embedding a passage where there are any, else training a tuned model again.

    None where no price is known.
    """
    shelf = run.findings.task.shelf
    if "rag" not in variant.method or shelf is None:
        return paid.training_usd if paid.tuned else 0.0
    embedding = shelf.settings.embedding
    if embedding is None or str(variant.slots.get("retrieval.retriever")) in ("bm25", "tfidf"):
        return 0.0
    if embedding.price is None:
        return None
    passages = shelf.library.pool(str(variant.slots["retrieval.chunk"])).passages
    letters = sum(len(each.text) for each in passages) / max(1, len(passages))
    return embedding.price.input * letters / 4 / 1e6
