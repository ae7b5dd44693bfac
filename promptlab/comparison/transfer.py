"""Model by model: whether what is best for one model carries over to another."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from promptlab.comparison.factors import points
from promptlab.stats.paired import Array, paired
from promptlab.stats.ties import tie_set

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Transfer:
    """The best variant ``best`` of ``model``, taken to ``other``, over the ``variants`` that both were asked in full.

    ``correlation``: Spearman's, of the variants' means (NaN below three, or where all are equal). ``tied``: there, it
    is in the 95 % tie set. ``delta`` with its interval: how far it is from that model's own best (0 = it is the best).
    """

    model: str
    other: str
    variants: int
    rows: int
    correlation: float
    best: str
    tied: bool
    delta: float
    low: float
    high: float


def transfers(results: pd.DataFrame, predictions: pd.DataFrame, seed: int) -> tuple[Transfer, ...]:
    """Every ordered pair of models of one run, on dev; empty where there is one model, or no pair of equal variants."""
    if "model" not in results.columns or results["model"].nunique() < 2 or "split" not in predictions.columns:
        return ()
    dev = predictions[predictions["split"] == "dev"]
    wide = dev.groupby(["variant", "example"], sort=False)["score"].mean().unstack("example")
    rows = results[results["variant"].isin(wide.index)]
    twins: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for variant, point in zip(rows["variant"], points(rows), strict=True):
        rest = tuple(sorted((slot, value) for slot, value in point.items() if slot != "model"))
        twins.setdefault(rest, {})[point.get("model", "")] = str(variant)
    names = list(dict.fromkeys(str(name) for name in rows["model"]))
    found = []
    for model, other in permutations(names, 2):
        both = [each for each in twins.values() if model in each and other in each]
        told = _transfer((model, other), both, wide, seed)
        if told is not None:
            found.append(told)
    return tuple(found)


def _transfer(names: tuple[str, str], twins: list[dict[str, str]], wide: pd.DataFrame, seed: int) -> Transfer | None:
    model, other = names
    one = wide.loc[[each[model] for each in twins]].to_numpy(float)
    there = wide.loc[[each[other] for each in twins]].to_numpy(float)
    depth = np.minimum(*(np.sum(~np.isnan(part), axis=1) for part in (one, there)))
    full = np.flatnonzero(depth == depth.max(initial=0))
    rows = ~np.isnan(np.vstack([one[full], there[full]])).any(axis=0)
    if len(full) < 2 or rows.sum() < 2:
        return None
    one, there = one[full][:, rows], there[full][:, rows]
    best, own = int(np.argmax(one.mean(axis=1))), int(np.argmax(there.mean(axis=1)))
    gap = paired(there[best], there[own], seed)
    tied = bool(tie_set(there, seed=seed)[best])
    correlation = spearman(one.mean(axis=1), there.mean(axis=1)) if len(full) > 2 else np.nan
    variant = twins[full[best]][model]
    return Transfer(model, other, len(full), int(rows.sum()), correlation, variant, tied, gap.delta, gap.low, gap.high)


def spearman(one: Array, other: Array) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank; NaN where one side is all equal."""
    left, right = _ranks(one), _ranks(other)
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return float("nan")
    return float(np.corrcoef(left, right)[0, 1])


def _ranks(values: Array) -> Array:
    _, place, count = np.unique(np.round(values, 12), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    found: Array = (last - (count - 1) / 2)[place.ravel()]
    return found
