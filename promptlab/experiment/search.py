"""`metrics`, `search`, `space` and `baseline` of an experiment: what counts, what is tried, where calls are spent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptlab.allocators import ALLOCATORS, DEFAULT
from promptlab.errors import nearest
from promptlab.experiment.fields import is_number
from promptlab.experiment.file import BudgetFile, SearchFile
from promptlab.experiment.sheet import Sheet, shown, spelt
from promptlab.pareto import read_goals
from promptlab.proposers import PROPOSERS
from promptlab.records import Budget
from promptlab.yaml_file import Key

_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric as the file names it: a built-in (`numeric:0.01` with its argument) or `package.module:name`."""

    spec: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Search:
    """What to try, where to spend, and what is maximised: the sum of metrics times their weights.

    ``shares``: how much of what is tried each proposer gives. ``costs`` are to be kept low beside the objective.
    ``longest``: tokens that a prompt may have; None = twice what it was rewritten from, and a little. ``design``: drawn
    variants and dev rows of a block that is scored before the search begins; None = there is none.
    """

    propose: tuple[tuple[str, Mapping[str, Any]], ...]
    allocate: tuple[str, Mapping[str, Any]]
    objective: Mapping[str, float]
    budget: Budget
    finalists: int = 5
    repeats: int = 1
    shares: tuple[float, ...] = (1.0,)
    costs: tuple[str, ...] = ()
    longest: int | None = None
    design: tuple[int, int] | None = None


def _unknown(sheet: Sheet, key: Key, name: str, known: Iterable[str]) -> None:
    sheet.add(key, f"{sheet.name(key)}: there is no {name!r}", nearest(name, known) + " Or package.module:name.")


def read_search(sheet: Sheet, file: SearchFile | None, metrics: Mapping[str, MetricSpec]) -> Search:
    """The search, with its defaults: the grid, the best allocator, `main` (or the first metric), five finalists."""
    file = file or SearchFile()
    key: Key = ("search",)
    asked = _proposers(sheet, file.propose or ["grid"])
    propose = [(share, *found) for at, share, role in asked if (found := _role(sheet, at, role, PROPOSERS))]
    allocate = _role(sheet, (*key, "allocate"), file.allocate or DEFAULT, ALLOCATORS)
    budget = file.budget or BudgetFile()
    objective, costs = _goals(sheet, file.objective, metrics)
    return Search(
        tuple((name, options) for _, name, options in propose),
        allocate or (DEFAULT, {}),
        objective,
        Budget(budget.calls, budget.tokens, budget.usd, budget.minutes),
        file.finalists or 5,
        file.repeats or 1,
        tuple(share for share, _, _ in propose),
        costs,
        file.longest,
        (file.design.variants or 16, file.design.rows or 8) if file.design else None,
    )


def _proposers(sheet: Sheet, listed: Sequence[Any]) -> list[tuple[Key, float, Any]]:
    """Key, share and the name with its options of each proposer: names, and mappings of names to shares or options."""
    key: Key = ("search", "propose")
    found: list[tuple[Key, float, Any]] = []
    for place, each in enumerate(listed):
        around = (*key, place) if (*key, place) in sheet.places else key
        if isinstance(each, dict):
            found += [_shared(sheet, (*around, name), said) for name, said in each.items()]
        else:
            found.append((around, 1.0, each))
    return found


def _shared(sheet: Sheet, key: Key, said: Any) -> tuple[Key, float, Any]:
    """A share alone, or options and a ``share`` among them."""
    share: Any = said if is_number(said) else 1.0
    options, at = {} if said is None or is_number(said) else said, key
    if isinstance(said, dict) and "share" in said:
        share, at = said["share"], (*key, "share")
        options = {name: value for name, value in said.items() if name != "share"}
    if not is_number(share) or share <= 0:
        sheet.add(at, f"{sheet.name(at)} must be a number above 0, not {shown(share)}")
        share = 1.0
    return key, float(share), {key[-1]: options}


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
        _unknown(sheet, key, name, known)
        return None
    return name, options or {}


def _goals(sheet: Sheet, value: Any, metrics: Mapping[str, MetricSpec]) -> tuple[dict[str, float], tuple[str, ...]]:
    """The weights of the metrics, and the costs to be kept low beside them: ``[main, -usd]``."""
    if not isinstance(value, list):
        return _objective(sheet, value, metrics), ()
    key: Key = ("search", "objective")
    known = [*metrics, *(name for name in map(str, value[:1]) if sheet.given("metrics", name))]
    main, costs, wrong = read_goals(value, known)
    for place, message, remedy in wrong:
        sheet.add((*key, place), f"{spelt(key)}: {message}", remedy)
    return {main: 1.0}, costs


def _objective(sheet: Sheet, value: Any, metrics: Mapping[str, MetricSpec]) -> dict[str, float]:
    """Weights by metric: the file's, else `main`, else the first metric."""
    key: Key = ("search", "objective")
    if value is None:
        main = "main" if "main" in metrics else next(iter(metrics), "main")
        return {main: 1.0}
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
