"""Which overrides of an experiment make each arm: pins of template, demos, retriever and model. Pure.

An arm that the experiment cannot have is left out, and it is said why. ``oracle`` and ``wrong`` are for diagnosis: they
need to know the right passages, so that no arm may be one of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlab.choice.tuned import TunedModels, as_models
from promptlab.experiment import Experiment
from promptlab.experiment.choose import ARMS
from promptlab.prepare import Prepared
from promptlab.retrieve.settings import KNOWN, NONE
from promptlab.rewritten import Rewritten
from promptlab.space import taken

ORACLE = "oracle"

_TUNED = re.compile(r"(?P<base>tuned-.+)-s(?P<seed>\d+)(?P<rows>-n\d+)?")


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


def is_tuned(name: str) -> bool:
    """Whether a model of this name was tuned here."""
    return _TUNED.fullmatch(name) is not None


def siblings(name: str, names: Sequence[str]) -> list[str]:
    """The models that differ from ``name`` in nothing but their tuning seed, itself among them."""
    return [each for each in names if _recipe(each) == _recipe(name)]


def alone(prepared: Prepared, slots: Mapping[str, Any]) -> tuple[str, ...]:
    """The overrides that leave one variant of a prepared arm, as its baseline; () where it is no point of its space.

    A text that a proposer wrote is no value that a file could name.
    """
    if any(isinstance(value, Rewritten) for value in slots.values()) or set(slots) - set(prepared.space.names()):
        return ()
    space = _space(prepared, {name: [value] for name, value in slots.items()})
    return (space, _set("baseline", dict(slots)), 'search.propose=["grid"]')


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
    space = _space(prepared, {name: [value] for name, value in kept.items()}, drop="retrieval.")
    own = [*_without_embedding(prepared), _set("retrieval.retriever", [ORACLE])]
    return (*own, space, _set("baseline", kept), 'search.propose=["grid"]', 'search.allocate="full"')


def _recipe(name: str) -> tuple[str, str] | str:
    found = _TUNED.fullmatch(name)
    return (found["base"], found["rows"] or "") if found else name


def _plan(prepared: Prepared, name: str, known: TunedModels | None) -> Plan:
    demos, passages = "demos" in name, "rag" in name
    try:
        models, adding = _tuned(prepared, known) if "tuned" in name else (_untuned(prepared), [])
        templates = _templates(prepared, demos=demos, passages=passages)
        shown, showing = _demos(prepared, templates, demos=demos)
        found, finding = _passages(prepared, passages=passages)
    except _Lack as lack:
        return Plan(name, (), lack.why)
    space = _space(prepared, {"template": templates, **models, **shown, **found}, drop="" if passages else "retrieval.")
    baseline = _set("baseline", _baseline(prepared, templates, models))
    return Plan(name, (*adding, *showing, *finding, space, baseline, "search.finalists=1"))


def _tuned(prepared: Prepared, known: TunedModels | None) -> tuple[dict[str, Any], list[str]]:
    """The pin on tuned models, one of each recipe's seeds: the others are asked what that one picks."""
    own = [name for name in _values(prepared, "model") if is_tuned(name)]
    names = own or (known.names if known else [])
    if not names or (known is None and not own):
        raise _Lack(known.why if known else "there is no tuned model: the experiment has no `tune`")
    firsts = [name for name in names if siblings(name, names)[0] == name]
    adding = [] if own or known is None else [_set("models", as_models(prepared.experiment, known))]
    return {"model": firsts}, adding


def _untuned(prepared: Prepared) -> dict[str, Any]:
    """A pin on the other models, where tuned ones are among them."""
    names = _values(prepared, "model")
    kept = [name for name in names if not is_tuned(name)]
    if not kept:
        raise _Lack("every model is a tuned one")
    return {} if len(kept) == len(names) else {"model": kept}


def _templates(prepared: Prepared, *, demos: bool, passages: bool) -> list[str]:
    """The templates that can serve the arm."""
    known = prepared.task.templates
    names = [str(name) for name in _values(prepared, "template")]
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
    ks = [int(k) for k in _values(prepared, "bank.k")]
    some = [k for k in ks if k > 0]
    if demos and not some:
        raise _Lack("there is no `bank` with a k above 0")
    if demos:
        return {"bank.k": some}, []
    showing = any("demos" in prepared.task.templates[name].uses for name in templates)
    if not ks or not showing:
        return {}, []
    bank = prepared.experiment.bank
    whole = list(bank.k) if bank is not None else ks
    return {"bank.k": [0]}, [] if 0 in whole else [_set("bank.k", [0, *whole])]


def _passages(prepared: Prepared, *, passages: bool) -> tuple[dict[str, Any], list[str]]:
    """Who finds passages, a retriever or nobody: the pin, and the overrides. Rows that bring their own need none.

    Where nobody does, nothing is indexed or embedded, either.
    """
    settings = prepared.experiment.retrieval
    if not passages:
        return {}, [] if settings is None else [*_without_embedding(prepared), _set("retrieval.retriever", [NONE])]
    if settings is None:
        if not any(example.passages for example in prepared.rows.dev):
            raise _Lack("there is no `retrieval`, and no row brings passages")
        return {}, []
    names = _values(prepared, "retrieval.retriever")
    real = [name for name in names if name not in KNOWN]
    if not real:
        raise _Lack("`retrieval.retriever` names no retriever but " + ", ".join(map(str, names)))
    return {"retrieval.retriever": real}, []


def _without_embedding(prepared: Prepared) -> list[str]:
    """An embedding model that has nothing to do is an error in the file."""
    return [_set("retrieval.embedding", None)] if ("retrieval", "embedding") in prepared.experiment.places else []


def _space(prepared: Prepared, pins: Mapping[str, Any], drop: str = "") -> str:
    """The experiment's own pins and holes with ``pins`` on top; those of slots that are gone (``drop``) with them."""
    experiment = prepared.experiment

    def there(name: str) -> bool:
        return not drop or not name.startswith(drop)

    own = {name: list(values) for name, values in experiment.space_pins.items() if there(name)}
    holes = [dict(hole) for hole in experiment.exclude if all(map(there, hole))]
    return _set("space", {**own, **pins, "exclude": holes})


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


def _values(prepared: Prepared, slot: str) -> list[Any]:
    """Every value that a slot has left, pins applied."""
    return list(dict.fromkeys(value for each in prepared.space.slots if each.name == slot for value in each.values))


def _set(key: str, value: Any) -> str:
    """An override; JSON is YAML."""
    return f"{key}={json.dumps(value, ensure_ascii=False)}"
