"""Which two variants a gate compares, on which rows; the judgement itself is ``gate``'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from promptlab.comparison.differences import Grid, Key
from promptlab.comparison.gate import Gate, gate
from promptlab.errors import BadInput, Problem, nearest
from promptlab.unit import unit_of

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Gated:
    """A gate's judgement of ``new`` against ``old``, both (run, variant), on the rows of ``split`` that both have.

    ``picked``: on these very rows the pick was made, so they flatter it.
    """

    new: Key
    old: Key
    split: str
    picked: bool
    gate: Gate


def gated(results: pd.DataFrame, grids: Mapping[str, Grid], *, variant: str | None, baseline: str | None, margin: float,
          seed: int) -> Gated:  # fmt: skip
    """Judge a change. Test decides where both were scored on it, else dev.

    ``results``: the rows of every run, each run's in the order of its ranks. Of two runs the last one named is new, the
    first one old: the pick of each, or ``variant`` in both ("baseline" = each run's own). Of one run: its pick, or
    ``variant``, against its baseline; a pick that is the baseline passes. ``baseline`` names the old one by its id
    instead. Raises BadInput where there is nothing to compare, or a margin that nothing could miss.
    """
    _check_margin(margin, grids)
    keys = [key for grid in grids.values() for key in grid.keys]
    runs = list(dict.fromkeys(run for run, _ in keys))
    if not runs:
        raise BadInput(Problem("there are no scored rows to judge by", remedy="A gate needs predictions.csv."))
    if len(runs) > 2:
        remedy = "Name the run of the main branch first, then the changed one."
        raise BadInput(Problem(f"a gate compares one run or two, not {len(runs)}", remedy=remedy))
    new, old = runs[-1], runs[0]
    one = _named(results, keys, new, variant)
    other = _named(results, keys, old, baseline or (variant if len(runs) == 2 else BASELINE))
    if one == other and variant is None and _is_baseline(results, one):
        return _kept(one, grids)
    if one == other:
        what = f"{one[1]} would be compared with itself"
        remedy = "Name another one with --variant, or two runs: the main branch's first."
        raise BadInput(Problem(what, remedy=remedy))
    for grid in grids.values():
        if one in grid.keys and other in grid.keys:
            mine, theirs = grid.row(one), grid.row(other)
            known = [~np.isnan(grid.row(key)) | (grid.failed(key) > 0) for key in (one, other)]
            both = known[0] & known[1]  # a failed call is for the gate to weigh; a row that one never had is not
            if both.sum() >= 2:
                picked = variant is None and grid.split != "test" and bool(len(results))
                weights, groups = (None if each is None else each[both] for each in (grid.weights, grid.groups))
                found = gate(mine[both], theirs[both], margin, weights=weights, groups=groups, seed=seed)
                return Gated(one, other, grid.split, picked, found)
    who = f"{'/'.join(one)} and {'/'.join(other)}"
    remedy = "Rows are the same where id, inputs and label are."
    raise BadInput(Problem(f"{who} share no scored rows", remedy=remedy))


def _check_margin(margin: float, grids: Mapping[str, Grid]) -> None:
    """A margin of the whole scale is points mistaken for scores: it would pass everything."""
    if margin >= 1 and unit_of([grid.scores for grid in grids.values()]).rate:
        what = f"a margin of {margin:g} is {100 * margin:g} points, which nothing could miss: scores go from 0 to 1"
        raise BadInput(Problem(what, remedy=f"{margin:g} points are --margin {margin / 100:g}."))


def _is_baseline(results: pd.DataFrame, key: Key) -> bool:
    if "status" not in results.columns:
        return False
    own = (results["run"] == key[0]) & (results["variant"] == key[1])
    return bool((results.loc[own, "status"] == BASELINE).any())


def _kept(key: Key, grids: Mapping[str, Grid]) -> Gated:
    """Where no variant was above the baseline: what is there stays there."""
    split, n = next(
        ((name, int((~np.isnan(grid.row(key))).sum())) for name, grid in grids.items() if key in grid.keys), ("dev", 0)
    )
    reason = "the run's pick is its own baseline: there is no change to judge, keep the baseline"
    return Gated(key, key, split, picked=False, gate=Gate("passed", 0.0, 0.0, 0.0, n, 1.0, reason))


def _named(results: pd.DataFrame, keys: list[Key], run: str, wanted: str | None) -> Key:
    """A run's variant by its id, its baseline, or its pick: the first of its ranks, fixed on dev."""
    own = list(dict.fromkeys(variant for each, variant in keys if each == run))
    if wanted is not None and wanted != BASELINE:
        if wanted not in own:
            raise BadInput(Problem(f"the run {run} has no variant {wanted!r}", remedy=nearest(wanted, own)))
        return run, wanted
    rows = results[(results["run"] == run) & results["variant"].isin(own)]
    if wanted == BASELINE:
        found = rows[rows["status"] == BASELINE] if "status" in rows.columns else rows.iloc[:0]
        return run, str(found.iloc[0]["variant"]) if len(found) else own[0]
    if len(rows):
        return run, str(rows.iloc[0]["variant"])
    if len(own) > 2:  # of scores alone the best was picked on these very rows
        what = f"{run} has {len(own)} variants, and nothing says which of them is meant"
        raise BadInput(Problem(what, remedy="Name it with --variant."))
    return run, own[-1]
