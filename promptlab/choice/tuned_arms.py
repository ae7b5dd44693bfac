"""What makes a tuned arm: its models, asked by the very prompts that they were taught. Pure.

All slots but the model and its parameters are pinned to what was taught, so that the arm's space is sizes times
parameters, and is scored in full. Of a model of which nobody knows what it was taught, nothing is pinned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlab.choice import pins
from promptlab.choice.tuned import TunedModels, as_models
from promptlab.prepare import Prepared
from promptlab.retrieve.settings import NONE
from promptlab.tune.lessons import CLOSED, OPEN, RETRIEVER
from promptlab.tune.plan import plan
from promptlab.tune.skew import shown

_TUNED = re.compile(r"(?P<base>tuned-.+)-s(?P<seed>\d+)(?P<rows>-n\d+)?")


@dataclass(frozen=True, slots=True)
class Own:
    """The models of a tuned arm, one of each recipe's seeds: the others are asked what that one picks.

    ``adding`` are the overrides that make them models of the experiment; ``taught`` None: nobody knows.
    """

    names: list[str]
    adding: list[str]
    taught: Mapping[str, Any] | None


def is_tuned(name: str) -> bool:
    """Whether a model of this name was tuned here."""
    return _TUNED.fullmatch(name) is not None


def siblings(name: str, names: Sequence[str]) -> list[str]:
    """The models that differ from ``name`` in nothing but their tuning seed, itself among them."""
    return [each for each in names if _alike(each) == _alike(name)]


def _alike(name: str) -> tuple[str, str] | str:
    found = _TUNED.fullmatch(name)
    return (found["base"], found["rows"] or "") if found else name


def own(prepared: Prepared, arm: str, known: TunedModels | None) -> Own | str:
    """The models of an arm: those that the file names, else those that were trained; or why there are none."""
    here = _named(prepared, arm)
    trained = known.of(arm) if known else []
    names = [name for name in here if name in trained] or trained or here
    if not names:
        return _why(prepared, arm, known)
    taught = known.taught(arm) if known and names[0] in trained else _taught(prepared, names[0])
    if names is here:
        names = [name for name in here if _taught(prepared, name) == taught]
    firsts = [name for name in names if siblings(name, names)[0] == name]
    adding = [] if known is None or set(names) <= set(here) else as_models(prepared.experiment, known)
    return Own(firsts, [pins.setting("models", adding)] if adding else [], taught)


def pinned(prepared: Prepared, own: Own, taught: Mapping[str, Any]) -> tuple[str, ...]:
    """The overrides that make the arm of models that were taught these slots."""
    baseline = {name: value for name, value in (prepared.experiment.baseline or {}).items() if _is_param(name)}
    given = {**taught, **baseline, "model": own.names[0]}
    fixed = {name: [value] for name, value in taught.items()}
    drop = "" if _looks(taught) else "retrieval."
    return (
        *own.adding,
        *(pins.with_no_demos(prepared) if taught.get("bank.k") == 0 else []),
        *_finding(prepared, taught),
        pins.space(prepared, {**fixed, "model": own.names}, drop, lambda hole: any(map(_is_param, hole))),
        pins.setting("baseline", given),
        *pins.without(prepared, "search.design"),
        'search.propose=["grid"]',
        'search.allocate="full"',
        "search.finalists=1",
    )


def _named(prepared: Prepared, arm: str) -> list[str]:
    """The tuned models that the experiment's file names and that may serve an arm: those that were taught for it."""
    found = []
    for name in map(str, pins.values(prepared, "model")):
        taught = _taught(prepared, name)
        tuned = is_tuned(name) or bool(prepared.task.models[name].recipe)
        if tuned and (taught is None or _arm(prepared, taught) == arm):
            found.append(name)
    return found


def _arm(prepared: Prepared, taught: Mapping[str, Any]) -> str:
    shows = taught.get("template") in prepared.space.retrieving and taught.get(RETRIEVER) != NONE
    return OPEN if shows else CLOSED


def _taught(prepared: Prepared, name: str) -> Mapping[str, Any] | None:
    """What the files of a model's training say."""
    known = prepared.skews.taught.get(name)
    return None if known is None else shown(known.slots)


def _why(prepared: Prepared, arm: str, known: TunedModels | None) -> str:
    """Why an arm has no models."""
    if known is None:
        return "there is no tuned model: the experiment has no `tune`"
    if known.jobs and not any(job.arm in (arm, "") for job in known.jobs):
        return plan(prepared, known.settings).left_out.get(arm, "nothing is taught for it")
    return known.why or f"its model is not trained yet: promptlab tune {prepared.experiment.path}"


def _looks(taught: Mapping[str, Any]) -> bool:
    return bool(taught.get(RETRIEVER, NONE) != NONE)


def _finding(prepared: Prepared, taught: Mapping[str, Any]) -> list[str]:
    """Only the taught retriever, query and rerank, none of which asks a model: nothing is embedded for the others."""
    if prepared.experiment.retrieval is None:
        return []
    found = [pins.setting(RETRIEVER, [taught.get(RETRIEVER, NONE)])]
    for name in ("retrieval.query", "retrieval.rerank"):
        found += [pins.setting(name, [taught[name]])] if name in taught else pins.without(prepared, name)
    return [*pins.without(prepared, "retrieval.embedding", "retrieval.model"), *found]


def _is_param(name: str) -> bool:
    return name.startswith("params.")
