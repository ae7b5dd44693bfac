"""Which overrides of an experiment make each arm: pins of template, demos, retriever and model. Pure.

An arm that the experiment cannot have is left out, and it is said why. ``oracle`` and ``wrong`` are for diagnosis: they
need to know the right passages, so that no arm may be one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlab.choice import pins
from promptlab.choice.pins import setting
from promptlab.choice.tuned import TunedModels
from promptlab.choice.tuned_arms import is_tuned, own, pinned, siblings
from promptlab.experiment import Experiment
from promptlab.experiment.choose import ARMS
from promptlab.prepare import Prepared
from promptlab.retrieve.settings import KNOWN, NONE
from promptlab.rewritten import Rewritten
from promptlab.space import taken

ORACLE = "oracle"
__all__ = ["Plan", "alone", "is_tuned", "oracled", "plans", "siblings", "with_oracle"]


@dataclass(frozen=True, slots=True)
class Plan:
    """An arm as `--set` makes it. ``left_out``: why the experiment cannot have it, empty where it can."""

    arm: str
    overrides: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class _Lack(Exception):  # noqa: N818 - reads as what it is
    """The experiment has no such arm."""

    why: str


def plans(prepared: Prepared, wanted: Sequence[str], tuned: TunedModels | None = None) -> tuple[Plan, ...]:
    """The arms in the order of their moving parts; those of ``wanted`` that are left out with the reason."""
    return tuple(_plan(prepared, name, tuned) for name in ARMS if name in wanted)


def alone(prepared: Prepared, slots: Mapping[str, Any]) -> tuple[str, ...]:
    """The overrides that leave one variant of a prepared arm, as its baseline; () where it is no point of its space.

    A text that a proposer wrote is no value that a file could name.
    """
    if any(isinstance(value, Rewritten) for value in slots.values()) or set(slots) - set(prepared.space.names()):
        return ()
    space = pins.space(prepared, {name: [value] for name, value in slots.items()})
    return (space, setting("baseline", dict(slots)), 'search.propose=["grid"]')


def oracled(experiment: Experiment) -> bool:
    """Whether the right passages can be shown: for the diagnosis, which then asks one variant more on dev."""
    return experiment.retrieval is not None and ORACLE in experiment.retrieval.retriever


def with_oracle(prepared: Prepared, slots: Mapping[str, Any]) -> tuple[str, ...]:
    """The overrides that give a variant the right passages instead of those that were found, as the arm's baseline.

    As many as any variant has: there are never more right ones than that.
    """
    settings = prepared.experiment.retrieval
    if settings is None or not oracled(prepared.experiment):
        return ()
    known = set(prepared.space.names())
    kept = {name: taken(value) for name, value in slots.items() if name in known and name != "retrieval.order"}
    kept = {name: value for name, value in kept.items() if name not in ("retrieval.query", "retrieval.rerank")}
    kept |= {"retrieval.retriever": ORACLE, "retrieval.k": max(settings.k)}
    if max(settings.k) > 1:
        kept["retrieval.order"] = settings.order[0]
    space = pins.space(prepared, {name: [value] for name, value in kept.items()}, drop="retrieval.")
    own = [*pins.without(prepared, "retrieval.embedding"), setting("retrieval.retriever", [ORACLE])]
    return (*own, space, setting("baseline", kept), 'search.propose=["grid"]', 'search.allocate="full"')


def _plan(prepared: Prepared, name: str, known: TunedModels | None) -> Plan:
    try:
        return Plan(
            name, _tuned(prepared, name, known) if "tuned" in name else _open(prepared, name, _untuned(prepared))
        )
    except _Lack as lack:
        return Plan(name, (), lack.why)


def _tuned(prepared: Prepared, name: str, known: TunedModels | None) -> tuple[str, ...]:
    """The overrides of a tuned arm: pinned to what its models were taught, or open where nobody knows that."""
    found = own(prepared, name, known)
    if isinstance(found, str):
        raise _Lack(found)
    if found.taught is not None:
        return pinned(prepared, found, found.taught)
    return (*found.adding, *_open(prepared, name, {"model": found.names}))


def _open(prepared: Prepared, name: str, models: Mapping[str, Any]) -> tuple[str, ...]:
    """The overrides that leave everything open but what makes the arm."""
    demos, passages = "demos" in name, "rag" in name
    templates = _templates(prepared, demos=demos, passages=passages)
    shown, showing = _demos(prepared, templates, demos=demos)
    found, finding = _passages(prepared, passages=passages)
    drop = "" if passages else "retrieval."
    space = pins.space(prepared, {"template": templates, **models, **shown, **found}, drop)
    baseline = setting("baseline", _baseline(prepared, templates, models))
    return (*showing, *finding, space, baseline, "search.finalists=1")


def _untuned(prepared: Prepared) -> dict[str, Any]:
    """A pin on the other models, where tuned ones are among them."""
    names, models = pins.values(prepared, "model"), prepared.task.models
    kept = [name for name in names if not (is_tuned(name) or models[name].recipe)]
    if not kept:
        raise _Lack("every model is a tuned one")
    return {} if len(kept) == len(names) else {"model": kept}


def _templates(prepared: Prepared, *, demos: bool, passages: bool) -> list[str]:
    """The templates that can serve the arm."""
    known = prepared.task.templates
    names = [str(name) for name in pins.values(prepared, "template")]
    if passages:
        names = [name for name in names if "passages" in known[name].uses]
    elif prepared.experiment.retrieval is None:
        names = [name for name in names if "passages" not in known[name].uses]
    if not names:
        raise _Lack("no template reads `passages`" if passages else "every template reads `passages`")
    if demos:
        names = [name for name in names if "demos" in known[name].uses]
        if not names:
            raise _Lack("no template" + (" that reads `passages`" if passages else "") + " shows `demos`")
    return names


def _demos(prepared: Prepared, templates: Sequence[str], *, demos: bool) -> tuple[dict[str, Any], list[str]]:
    """How many demos, some or none at all: the pin, and the override that it needs."""
    ks = [int(k) for k in pins.values(prepared, "bank.k")]
    some = [k for k in ks if k > 0]
    if demos and not some:
        raise _Lack("there is no `bank` with a k above 0")
    if demos:
        return {"bank.k": some}, []
    showing = any("demos" in prepared.task.templates[name].uses for name in templates)
    if not ks or not showing:
        return {}, []
    return {"bank.k": [0]}, pins.with_no_demos(prepared)


def _passages(prepared: Prepared, *, passages: bool) -> tuple[dict[str, Any], list[str]]:
    """Who finds passages, a retriever or nobody: the pin, and the overrides. Rows that bring their own need none.

    Where nobody does, nothing is indexed or embedded, either.
    """
    settings = prepared.experiment.retrieval
    if not passages:
        return {}, [] if settings is None else [
            *pins.without(prepared, "retrieval.embedding"),
            setting("retrieval.retriever", [NONE]),
        ]
    if settings is None:
        if not any(example.passages for example in prepared.rows.dev):
            raise _Lack("there is no `retrieval`, and no row brings passages")
        return {}, []
    names = pins.values(prepared, "retrieval.retriever")
    real = [name for name in names if name not in KNOWN]
    if not real:
        raise _Lack("`retrieval.retriever` names no retriever but " + ", ".join(map(str, names)))
    return {"retrieval.retriever": real}, []


def _baseline(prepared: Prepared, templates: Sequence[str], models: Mapping[str, Any]) -> dict[str, Any]:
    """The experiment's own, as far as it lies in the arm: what it says of demos and passages is the arm's to say."""
    given = dict(prepared.experiment.baseline or {})
    if prepared.baseline.slots["template"] not in templates:
        return {}
    kept = {name: value for name, value in given.items() if not name.startswith(("bank.", "retrieval."))}
    kept["template"] = prepared.baseline.slots["template"]
    if kept.get("model") not in models.get("model", [kept.get("model")]):
        kept.pop("model", None)
    return kept
