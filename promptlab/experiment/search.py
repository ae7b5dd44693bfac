"""`metrics`, `search`, `space` and `baseline` of an experiment: what counts, what is tried, where calls are spent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.allocators import ALLOCATORS
from promptlab.errors import nearest
from promptlab.experiment.fields import is_number
from promptlab.experiment.file import BudgetFile, SearchFile
from promptlab.experiment.sheet import Sheet, shown, spelt
from promptlab.metrics import METRICS
from promptlab.proposers import PROPOSERS
from promptlab.records import Budget, Model
from promptlab.yaml_file import Key

_LATER = {
    "propose": ["tpe", "corpus", "paraphrase", "induce", "history", "evolve", "reflect", "demos", "format", "ensemble"],
    "allocate": ["race"],
    "metric": ["judge", "rouge", "rouge_l", "chrf"],
}
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric as the file names it: a built-in (`numeric:0.01` with its argument) or `package.module:name`."""

    spec: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """What to try, where to spend, and what is maximised: the sum of metrics times their weights."""

    propose: tuple[tuple[str, Mapping[str, Any]], ...]
    allocate: tuple[str, Mapping[str, Any]]
    objective: Mapping[str, float]
    budget: Budget
    finalists: int = 5
    repeats: int = 1


def read_metrics(sheet: Sheet, value: Any) -> dict[str, MetricSpec]:
    """Metrics by name; a spec alone is the metric `main`, and `exact` is the default."""
    if value is None:
        return {"main": MetricSpec("exact")}
    named = value if isinstance(value, dict) else {"main": value}
    found: dict[str, MetricSpec] = {}
    for name, each in named.items():
        key: Key = ("metrics", name)
        options = dict(each) if isinstance(each, dict) else {}
        spec = options.pop("metric", None) if isinstance(each, dict) else each
        if not isinstance(spec, str) or not spec.strip():
            remedy = "Write a name, package.module:name, or {metric: name, option: value}."
            sheet.add(key, f"{sheet.name(key)} must name a metric, not {shown(spec)}", remedy)
        elif _is_metric(sheet, key, spec):
            found[name] = MetricSpec(spec, options)
    return found


def _is_metric(sheet: Sheet, key: Key, spec: str) -> bool:
    if spec.partition(":")[0] in METRICS or _OWN.fullmatch(spec):
        return True
    return _unknown(sheet, key, spec, METRICS, "metric")


def _unknown(sheet: Sheet, key: Key, name: str, known: Iterable[str], kind: str) -> bool:
    """Note that there is no such thing (False, always), or that it is not available yet."""
    if name.partition(":")[0] in _LATER[kind]:
        sheet.add(
            key, f"{sheet.name(key)}: {name!r} is not available yet in this version", f"Known: {', '.join(known)}."
        )
    else:
        sheet.add(key, f"{sheet.name(key)}: there is no {name!r}", nearest(name, known) + " Or package.module:name.")
    return False


def read_search(sheet: Sheet, file: SearchFile | None, metrics: Mapping[str, MetricSpec]) -> Search:
    """The search, with its defaults: the grid, halving, the metric `main` (or the first one), five finalists."""
    file = file or SearchFile()
    key: Key = ("search",)
    listed = file.propose or ["grid"]
    propose = [_role(sheet, (*key, "propose", place), each, PROPOSERS) for place, each in enumerate(listed)]
    allocate = _role(sheet, (*key, "allocate"), file.allocate or "halving", ALLOCATORS)
    budget = file.budget or BudgetFile()
    return Search(
        tuple(each for each in propose if each),
        allocate or ("halving", {}),
        _objective(sheet, file.objective, metrics),
        Budget(budget.calls, budget.tokens, budget.usd, budget.minutes),
        file.finalists or 5,
        file.repeats or 1,
    )


def _role(sheet: Sheet, key: Key, value: Any, known: Mapping[str, str]) -> tuple[str, Mapping[str, Any]] | None:
    """A name, or {name: {option: value}}."""
    name: Any = value
    options: Any = {}
    if isinstance(value, dict) and len(value) == 1:
        [(name, options)] = value.items()
    if not isinstance(name, str) or not isinstance(options or {}, dict):
        remedy = "Write it like {random: {option: value}}." if isinstance(value, dict) else ""
        sheet.add(key, f"{sheet.name(key)} must be a name, or a name with its options, not {shown(value)}", remedy)
        return None
    if name not in known and not _OWN.fullmatch(name):
        _unknown(sheet, key, name, known, str(key[1]))
        return None
    return name, options or {}


def _objective(sheet: Sheet, value: Any, metrics: Mapping[str, MetricSpec]) -> dict[str, float]:
    """Weights by metric: the file's, else `main`, else the first metric."""
    key: Key = ("search", "objective")
    if value is None:
        main = "main" if "main" in metrics else next(iter(metrics), "main")
        return {main: 1.0}
    if isinstance(value, list):
        message = "`search.objective` with several goals (a list) is not available yet in this version"
        sheet.add(key, message, "Name one metric, or give weights like {main: 0.8, short: 0.2}.")
        return {}
    weights = value if isinstance(value, dict) else {value: 1.0}
    for name, weight in weights.items():
        at = (*key, name)
        if name not in metrics and not sheet.given("metrics", name):
            sheet.add(at, f"{spelt(key)}: there is no metric {name!r}", nearest(name, metrics))
        if not is_number(weight) or weight <= 0:
            sheet.add(at, f"{sheet.name(at)} must be a number above 0, not {shown(weight)}")
    return {name: float(weight) for name, weight in weights.items() if is_number(weight)}


def read_space(sheet: Sheet, space: Mapping[str, Any]) -> tuple[dict[str, tuple[Any, ...]], tuple[dict[str, Any], ...]]:
    """Pins (slot → the values that are left) and holes. That the slots exist is checked against the templates."""
    pins: dict[str, tuple[Any, ...]] = {}
    for name, value in space.items():
        values = value if isinstance(value, list) else [value]
        if name == "exclude":
            continue
        if not values or not all(_is_plain(each) for each in values):
            sheet.add(
                ("space", name), f"{spelt(('space', name))} must be a value or a list of values, not {shown(value)}"
            )
        pins[name] = tuple(values)
    holes = space.get("exclude")
    listed = holes if isinstance(holes, list) else [] if holes is None else [holes]
    for place, hole in enumerate(listed):
        key: Key = ("space", "exclude", place)
        if not isinstance(hole, dict) or not hole or not all(_is_plain(each) for each in hole.values()):
            sheet.add(
                key, f"{sheet.name(key)} must be slots with one value each, not {shown(hole)}", "Like {bank.k: 8}."
            )
    return pins, tuple(dict(hole) for hole in listed if isinstance(hole, dict))


def read_baseline(sheet: Sheet, baseline: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Slot values of the baseline; None where the file names none."""
    for name, value in (baseline or {}).items():
        if not _is_plain(value):
            key: Key = ("baseline", name)
            sheet.add(key, f"{spelt(key)} must be one value, not {shown(value)}", "Dots belong to the name: bank.k: 0.")
    return None if baseline is None else dict(baseline)


def _is_plain(value: Any) -> bool:
    return not isinstance(value, (dict, list))


def check_budget(sheet: Sheet, search: Search, models: Iterable[Model], params: Mapping[str, tuple[Any, ...]]) -> None:
    """A cap for whatever is paid; prices where dollars are capped; a bound on the output where tokens are."""
    models, budget = list(models), search.budget
    key: Key = ("search", "budget")
    caps = (budget.calls, budget.tokens, budget.usd)
    named = any(sheet.given(*key, name) for name in ("calls", "tokens", "usd"))
    if not all(model.endpoint.embedded for model in models) and caps == (None, None, None) and not named:
        sheet.add(
            key, "`search.budget` is missing: it needs calls, tokens or usd", "Like budget: {calls: 3000, usd: 2.00}."
        )
    unpriced = [model for model in models if model.price is None] if budget.usd is not None else []
    for place, name in [(place, m.name) for place, m in enumerate(models) if m in unpriced]:
        if not sheet.given("models", place, "price"):
            remedy = "Give it price: {input: …, output: …} in US dollars per million tokens."
            sheet.add(("models", place), f"a usd budget needs a price, and the model {name!r} has none", remedy)
    if budget.tokens is None and budget.usd is None:
        return
    cap = "usd" if budget.usd is not None else "tokens"
    for name in [model.name for model in models if not _bounded(model.params, params)]:
        if not sheet.given("params", "max_tokens") or None in params.get("max_tokens", ()):
            message = f"a budget of {cap} needs `params.max_tokens`, else the cost of a call to {name!r} has no bound"
            sheet.add((*key, cap), message, "Add max_tokens to params.")
            return


def _bounded(own: Mapping[str, Any], params: Mapping[str, tuple[Any, ...]]) -> bool:
    """Whether every request says how long its answer may be."""
    for name in ("max_tokens", "max_completion_tokens"):
        if own.get(name) is not None and name not in params:
            return True
        if params.get(name) and all(value is not None for value in params[name]):
            return True
    return False
