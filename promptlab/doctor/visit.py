"""Whom doctor examines: the models of an experiment, of an address, or the embedded engine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from promptlab.doctor.examine import NO_KEY, Patient, Report, examine
from promptlab.doctor.needs import asked
from promptlab.endpoint.check import check
from promptlab.endpoint.pool import Pool
from promptlab.endpoint.redact import shown
from promptlab.errors import BadInput, Problem, nearest
from promptlab.experiment import Experiment, missing_keys, read_draft
from promptlab.records import Endpoint, Model

TRIED_ANYWAY = ("temperature", "max_tokens", "max_completion_tokens", "stop", "seed", "logprobs", "top_logprobs",
                "response_format")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Visit:
    """A model to examine, and what its experiment sends beside what is tested anyway."""

    model: Model
    params: Mapping[str, Any]


def of_experiment(path: Path, overrides: Sequence[str] = (), only: str | None = None) -> tuple[Experiment, list[Visit]]:
    """The experiment and each of its models once; ``only`` names one. Rows and templates need not be right yet."""
    draft = read_draft(path, overrides)
    experiment = draft.experiment
    if experiment is None or draft.wrong & {"endpoint", "models", "params"}:
        raise BadInput(draft.problems)
    names = [name for model in experiment.models for name in (model.name, model.id)]
    if only is not None and only not in names:
        raise BadInput(experiment.problem(("models",), f"there is no model {only!r}", nearest(only, names)))
    if missing := missing_keys(experiment):
        raise BadInput(missing)
    found: dict[tuple[str, str], Visit] = {}
    for place, model in enumerate(experiment.models):
        if only is None or only in (model.name, model.id):
            key = (model.endpoint.identity, model.id)
            known = found[key].params if key in found else {}
            found[key] = Visit(model, {**_own(experiment, place), **known})
    return experiment, list(found.values())


def _own(experiment: Experiment, place: int) -> dict[str, Any]:
    """The first value of each parameter that is sent and that no probe is about."""
    sent = {each.name: [value for value in each.values if value is not None] for each in asked(experiment, place)}
    return {name: values[0] for name, values in sent.items() if values and name not in TRIED_ANYWAY}


def of_address(base_url: str, model: str | None, api_key_env: str) -> Visit:
    """The model at an address; where none is named, the only one that it lists."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        remedy = "Write it out, like https://host/v1."
        raise BadInput(Problem(f"`--base-url`: {shown(base_url)!r} is no address", remedy=remedy))
    if api_key_env and not os.environ.get(api_key_env, "").strip():
        remedy = f"Set it: export {api_key_env}=…"
        raise BadInput(Problem(f"the environment variable {api_key_env} is not set", remedy=remedy))
    endpoint = Endpoint(base_url, api_key_env)
    if model is None:
        model = asyncio.run(_only_model(endpoint))
    return Visit(Model(model, endpoint, model), {})


async def _only_model(endpoint: Endpoint) -> str:
    async with Pool(endpoint, endpoint.base_url, _key(endpoint) or NO_KEY) as pool:
        await check(pool, Model("", endpoint, ""))
        listed = await pool.listed()
    if len(listed) == 1:
        return listed[0]
    remedy = f"It lists {', '.join(listed[:20])}." if listed else "It lists none."
    raise BadInput(Problem("which model? Name it with --model", remedy=remedy))


def of_engine(model: str | None) -> Visit:
    """A model of the embedded engine."""
    from promptlab.embedded import VERSION

    name = model or "small"
    return Visit(Model(name, Endpoint(f"embedded@{VERSION}"), name), {})


def examined(visits: Sequence[Visit], context: int = 0, tuned: Path | None = None) -> Iterator[Report]:
    """The reports, one model after the other; ``tuned`` is the folder of the embedded engine's tuned models.

    Raises EndpointUnusable where one cannot be asked at all.
    """
    with ExitStack() as stack:
        engine = ""
        for each in visits:
            endpoint = each.model.endpoint
            url = endpoint.base_url
            if endpoint.embedded:
                if not engine:
                    from promptlab.embedded.server import Server
                    from promptlab.embedded.tuned import SHELF

                    SHELF.keep_in(tuned)
                    engine = stack.enter_context(Server()).base_url
                url = engine
            yield asyncio.run(examine(Patient(each.model, url, _key(endpoint), each.params, context)))


def _key(endpoint: Endpoint) -> str:
    return os.environ.get(endpoint.api_key_env, "") if endpoint.api_key_env else ""
