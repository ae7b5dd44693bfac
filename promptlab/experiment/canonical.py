"""All of an experiment that can change a decision, as JSON-able values: half of a run's identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from promptlab.experiment.experiment import Experiment
from promptlab.records import Model


def canonical(experiment: Experiment) -> dict[str, Any]:
    """All of the file that can change a decision, as JSON-able values: half of a run's identity.

    The other half is what the files hold (rows, bank, templates, metric sources). Not in it: the experiment's name,
    paths, keys, minutes and whatever only says how fast requests go. Order stays where it decides the plan: pairs.
    """
    data, bank, search = experiment.data, experiment.bank, experiment.search
    budget = {name: cap for name, cap in asdict(search.budget).items() if name != "minutes"}
    return {
        "models": [_canonical_model(model) for model in experiment.models],
        "params": _pairs(experiment.params),
        "data": {
            "files": sorted(data.paths),
            "columns": {name: each for name, each in asdict(data.columns).items() if name != "gold" or each},
            "labels": None if data.labels is None else [[each.name, each.description] for each in data.labels],
            "split": asdict(data.split),
        },
        **_canonical_retrieval(experiment),
        "bank": bank and {**asdict(bank), "path": "train" if bank.path == "train" else "file"},
        "space": _pairs(experiment.space_pins),
        "exclude": [dict(hole) for hole in experiment.exclude],
        "answer": experiment.answer,
        "metrics": {name: asdict(each) for name, each in experiment.metrics.items()},
        **_canonical_jury(experiment),
        "baseline": None if experiment.baseline is None else dict(experiment.baseline),
        "search": {**asdict(search), "budget": budget},
        "meta": _canonical_meta(experiment),
        "seed": experiment.seed,
    }


def _canonical_meta(experiment: Experiment) -> Any:
    """Who proposers ask: the name of one of the models, or a model of its own."""
    meta = experiment.meta
    if meta is None:
        return None
    return meta.name if meta in experiment.models else _canonical_model(meta)


def _canonical_jury(experiment: Experiment) -> dict[str, Any]:
    """Who judges; nothing without a judge."""
    judges = {name: _canonical_model(model) for name, model in experiment.jury.models.items()}
    return {"jury": judges} if judges else {}


def _canonical_retrieval(experiment: Experiment) -> dict[str, Any]:
    """How passages are looked for, and who is asked; what the corpus holds is hashed beside it."""
    told = experiment.retrieval
    if told is None:
        return {}
    models = {"embedding": told.embedding, "model": told.model}
    settings = {
        "retriever": list(told.retriever),
        "k": list(told.k),
        "chunk": _pairs({name: tuple(asdict(each).values()) for name, each in told.chunks.items()}),
        "order": list(told.order),
        "query": list(told.query),
        "rerank": list(told.rerank),
        "max_tokens": told.max_tokens,
    }
    return {"retrieval": settings | {name: each and _canonical_model(each) for name, each in models.items()}}


def _canonical_model(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "id": model.identity,
        "endpoint": model.endpoint.identity,
        "max_errors": model.endpoint.max_errors,
        "price": model.price and asdict(model.price),
        "params": dict(model.params),
    }


def _pairs(values: Mapping[str, Sequence[Any]]) -> list[list[Any]]:
    return [[name, list(each)] for name, each in values.items()]
