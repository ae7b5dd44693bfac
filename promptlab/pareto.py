"""Several goals at once, as in ``objective: [main, -usd]``: which variants no other one beats in all of them.

The first goal is the metric that the search maximises and that dev and test judge. The others are costs, with a minus:
what serving a thousand predictions costs, or how long the prompt is. They decide nothing of the search; they name a
front (Pareto 1906) among the variants that were scored in full, and give its members their seats on test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from promptlab.errors import nearest
from promptlab.kept import Predictions
from promptlab.records import Model, Variant
from promptlab.spending import spending
from promptlab.stats.paired import Array

COSTS = {"usd": "usd_per_1k", "tokens": "prompt_tokens"}
"""Costs by the word that the experiment file has for them, and their columns in results.csv.

Waiting times are not among them: they differ from run to run, and no decision may depend on them.
"""


Wrong: TypeAlias = tuple[int, str, str]  # place in the list, what is wrong, remedy


def read_goals(listed: Sequence[Any], metrics: Sequence[str]) -> tuple[str, tuple[str, ...], list[Wrong]]:
    """The metric, the costs without their minus, and the problems."""
    problems: list[Wrong] = []
    main = str(listed[0]) if listed else ""
    if main not in metrics:
        problems.append((0, f"there is no metric {main!r}", nearest(main, metrics)))
    costs: list[str] = []
    for place, each in enumerate(listed[1:], start=1):
        name = each.strip().removeprefix("-").strip() if isinstance(each, str) else str(each)
        if name not in COSTS or not each.strip().startswith("-"):
            what = f"{each!r} is no cost to keep low"
            problems.append((place, what, "Behind the metric come costs: -usd, -tokens. Metrics are weighed: {a: 1}."))
        elif name in costs:
            problems.append((place, f"{each!r} is there twice", "Name each cost once."))
        costs.append(name)
    if not costs:
        problems.append((0, "a list of goals needs a cost behind the metric", f"Like [{main or 'main'}, -usd]."))
    return main, tuple(costs), problems


def front(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which rows of ``values`` [variants, goals] no other row beats; higher is better.

    One row beats another that is nowhere better and somewhere worse; equal rows stay together. A row with a NaN is
    never on the front and beats nobody.
    """
    table = np.asarray(values, float)
    known = ~np.isnan(table).any(axis=1)
    on: npt.NDArray[np.bool_] = known.copy()
    for v in np.flatnonzero(known):
        others = table[known]
        on[v] = not np.any((others >= table[v]).all(axis=1) & (others > table[v]).any(axis=1))
    return on


def front_rows(rows: Sequence[Mapping[str, Any]], costs: Sequence[str]) -> list[Mapping[str, Any]]:
    """The rows of results.csv on the front of score and ``costs``, cheapest first.

    Only variants with a complete dev block take part, the baseline always; the score is the paired difference to it. A
    row whose cost is not known (no price) is left out.
    """
    full = [row for row in rows if row["status"] == "baseline" or _known(row.get("dev_delta_low"))]
    values = [
        [0.0 if row["status"] == "baseline" else float(row["dev_delta"]), *(-_number(row.get(COSTS[c])) for c in costs)]
        for row in full
    ]
    if not values or not costs:
        return []
    on, ranked = front(values), sorted(range(len(full)), key=lambda k: (-values[k][1], -values[k][0], k))
    return [full[k] for k in ranked if on[k]]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _known(value: Any) -> bool:
    return not math.isnan(_number(value))


def served(variants: Sequence[Variant], rows: Predictions, models: Mapping[str, Model], costs: Sequence[str]) -> Array:
    """What serving each variant costs [variants, costs], from its dev predictions; NaN = not known.

    At list price, so that no choice depends on the cache.
    """
    found = rows.by_variant()
    table = np.full((len(variants), len(costs)), math.nan)
    for v, variant in enumerate(variants):
        priced = models[variant.slots["model"]].price is not None
        spent = spending(list(found.get(variant.id, ())), priced=priced)
        table[v] = [_number(spent.get(COSTS[cost])) for cost in costs]
    return table
