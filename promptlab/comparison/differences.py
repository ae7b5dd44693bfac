"""Paired differences to one variant, over any number of runs: each on the rows that both have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from promptlab.reads import reread
from promptlab.stats.paired import Array, error_bounds, paired
from promptlab.stats.power import smallest_difference
from promptlab.stats.sample import Codes, codes_of
from promptlab.stats.ties import max_t, tie_set

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("test", "dev", "all")  # "all": rows of a table that knows no splits
COLUMNS = (
    "run", "variant", "against_run", "against", "split", "n", "delta", "low", "high", "p", "p_adjusted", "fixed",
    "broken", "errors", "delta_errors_0", "delta_errors_1",
)  # fmt: skip
MOST_TIED = 200  # variants among which the tie set is sought; more would only add hopeless ones
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TieSet:
    """95 %: the best of ``among``, all scored on ``rows`` rows of ``split``, is one of ``members`` (run, variant)."""

    members: tuple[Key, ...]
    among: int
    rows: int
    split: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """The smallest difference that ``n`` rows show with 80 % power; None = none at all.

    ``disagreement``: the share of rows on which ``run``/``variant`` and the one it is compared with differed, as
    measured; None where scores are not 0 or 1: then it comes from how far the differences spread.
    """

    split: str
    n: int
    run: str
    variant: str
    disagreement: float | None
    smallest: float | None


@dataclass(frozen=True)
class Grid:
    """Mean scores on one split: a row per (run, variant), a column per example; NaN = no score.

    ``weights`` and ``groups`` are those of the examples, where the predictions name some.
    """

    split: str
    keys: tuple[Key, ...]
    scores: Array
    errors: Array  # how many of a cell's calls failed
    weights: Array | None = None
    groups: Codes | None = None

    def row(self, key: Key) -> Array:
        """One variant's scores."""
        found: Array = self.scores[self.keys.index(key)]
        return found

    def weighed(self, rows: Array) -> Array:
        """Rows of scores or differences, so that their plain mean is the weighted one."""
        return rows if self.weights is None else rows * (self.weights / self.weights.mean())

    def failed(self, key: Key) -> Array:
        """How many of one variant's calls failed, row by row."""
        found: Array = self.errors[self.keys.index(key)]
        return found


def grids(predictions: pd.DataFrame) -> dict[str, Grid]:
    """The scores of every split that there is, repeats averaged."""
    found = {}
    for split in SPLITS:
        part = predictions[predictions["split"] == split]
        if len(part):
            cells = part.assign(failed=part["score"].isna()).groupby(["run", "variant", "row"], sort=False)
            means = cells.agg(score=("score", "mean"), failed=("failed", "sum"))
            wide = means["score"].unstack("row")
            errors = means["failed"].unstack("row").reindex(index=wide.index, columns=wide.columns)
            keys = tuple((str(run), str(variant)) for run, variant in wide.index)
            rows = part.drop_duplicates("row").set_index("row").reindex(wide.columns)
            weights = rows["weight"].fillna(1.0).to_numpy(float) if "weight" in rows else None
            groups = codes_of([str(name) for name in rows["group"].fillna("")]) if "group" in rows else None
            failed = np.nan_to_num(errors.to_numpy(float))
            found[split] = Grid(split, keys, wide.to_numpy(float), failed, weights, groups)
    return found


def differences(
    found: dict[str, Grid], against: Key | None, seed: int, reads: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """COLUMNS; interval and p only where a variant was scored on all rows of the other; most rows first, by split.

    ``reads``: by run, how many runs had read its test rows; p on test is for the later reading of the two.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for grid in found.values():
        if against is not None and against in grid.keys:
            rows += _of_split(grid, against, seed, reads if reads and grid.split == "test" else {})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of_split(grid: Grid, against: Key, seed: int, reads: Mapping[str, int]) -> list[dict[str, Any]]:
    base = grid.row(against)
    asked = ~np.isnan(base)
    reach = _reach(grid)
    rows: list[dict[str, Any]] = []
    for at, key in enumerate(grid.keys):
        own = grid.scores[at]
        gap = paired(own, base, seed, grid.weights, groups=grid.groups) if key != against else None
        if gap is None or not gap.n:
            continue
        fixed, broken = gap.flips or (None, None)
        row: dict[str, Any] = {"run": key[0], "variant": key[1], "against_run": against[0], "against": against[1],
               "split": grid.split, "n": gap.n, "delta": gap.delta, "fixed": fixed, "broken": broken}  # fmt: skip
        row |= _with_errors(own, base, grid, (key, against))
        unasked = asked & reach[key[0]] & np.isnan(own) & (grid.errors[at] == 0)
        if not unasked.any():  # not of those that fell on the way: they were judged as they went
            row |= {"low": gap.low, "high": gap.high, "p": gap.p, "_gap": own - base}
        rows.append(row)
    _adjust(rows, grid, seed)
    for row in rows:
        times = max(reads.get(row["run"], 1), reads.get(against[0], 1))
        row |= {name: reread(row[name], times) for name in ("p", "p_adjusted") if name in row}
    return sorted(rows, key=lambda row: (-row["n"], -row["delta"]))


def as_the_runs_say(gaps: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """The differences with the adjusted p that a run itself gives for its variant against its own baseline.

    There the pick was fixed beforehand, so that its p stands as it is: one comparison, one p.
    """
    if not {"status", "p_adjusted", "delta"} <= set(results.columns):
        return gaps
    own: dict[tuple[str, str, str, str], float] = {}
    bases = results[results["status"] == "baseline"].drop_duplicates("run")
    base = dict(zip(bases["run"], bases["variant"], strict=True))
    for row in results[results["p_adjusted"].notna()].to_dict("records"):
        split = "dev" if row["delta"] != row["delta"] else "test"  # NaN: dev is all there is
        own[str(row["run"]), str(row["variant"]), str(base.get(row["run"])), split] = float(row["p_adjusted"])
    told = [
        own.get((run, variant, other, split), p) if run == other_run else p
        for run, variant, other_run, other, split, p in zip(
            *(gaps[name] for name in ("run", "variant", "against_run", "against", "split", "p_adjusted")), strict=True
        )
    ]
    return gaps.assign(p_adjusted=told)


def _reach(grid: Grid) -> dict[str, npt.NDArray[np.bool_]]:
    """The rows that each run has at all: other data, or fewer rows of the same, are not what a race left out."""
    runs = dict.fromkeys(run for run, _ in grid.keys)
    there = ~np.isnan(grid.scores) | (grid.errors > 0)
    return {run: np.asarray(there[[own == run for own, _ in grid.keys]].any(axis=0)) for run in runs}


def _with_errors(own: Array, base: Array, grid: Grid, keys: tuple[Key, Key]) -> dict[str, Any]:
    """Rows where only a failed call stands between the two, and the difference with every one of them as 0 and as 1."""
    failed = [grid.failed(key) > 0 for key in keys]
    known = (~np.isnan(own) | failed[0]) & (~np.isnan(base) | failed[1])
    errors = int(np.sum(np.isnan(own - base) & known))
    if not errors:
        return {"errors": 0, "delta_errors_0": None, "delta_errors_1": None}
    zero, one = error_bounds(own[known], base[known], None if grid.weights is None else grid.weights[known])
    return {"errors": errors, "delta_errors_0": zero, "delta_errors_1": one}


def _adjust(rows: list[dict[str, Any]], grid: Grid, seed: int) -> None:
    """p_adjusted of the rows with a p: as it is for one, of the maximum over all where there are several."""
    full = [row for row in rows if "_gap" in row]
    gaps: list[Array] = [row.pop("_gap") for row in full]
    several = len(gaps) > 1
    family = max_t(grid.weighed(np.array(gaps)), seed, groups=grid.groups) if several else [row["p"] for row in full]
    for row, p in zip(full, family, strict=True):
        row["p_adjusted"] = max(row["p"], float(p))


def ties(grid: Grid, against: Key, seed: int, most: int = MOST_TIED) -> TieSet | None:
    """The tie set of the variants scored on every row that ``against`` was; None where there are fewer than two.

    It is sought among the ``most`` best by their means.
    """
    if against not in grid.keys:
        return None
    rows = ~np.isnan(grid.row(against))
    scores = grid.weighed(grid.scores)[:, rows]
    full = np.flatnonzero(~np.isnan(scores).any(axis=1))
    if len(full) < 2 or scores.shape[1] < 2:
        return None
    at = [place for place, key in enumerate(grid.keys) if key == against]
    best = full[np.argsort(-scores[full].mean(axis=1), kind="stable")]
    if at[0] not in best[:most]:
        best = np.array([*best[: most - 1], at[0], *best[most - 1 :][best[most - 1 :] != at[0]]])
    keep = tie_set(scores[best[:most]], seed, groups=None if grid.groups is None else grid.groups[rows])
    members = tuple(grid.keys[v] for v, stays in zip(best, keep, strict=False) if stays)
    return TieSet(members, len(best), int(rows.sum()), grid.split)


def resolution(found: dict[str, Grid], best: Key, against: Key | None) -> Resolution | None:
    """What the rows can show, from how the best and the one it is compared with disagreed; test where it was read."""
    for grid in found.values():
        if against is None or best == against or best not in grid.keys or against not in grid.keys:
            continue
        own, base = grid.row(best), grid.row(against)
        gap = (own - base)[~np.isnan(own - base)]
        if len(gap) < 2:
            continue
        scores = np.concatenate([own, base])
        if np.isin(scores[~np.isnan(scores)], (0.0, 1.0)).all():
            share = float(np.mean(gap != 0))
            smallest = smallest_difference(len(gap), share) if share else None
            return Resolution(grid.split, len(gap), *best, share, smallest)
        spread = float(np.sqrt(np.var(gap, ddof=1)))
        smallest = (1.96 + 0.84) * spread / float(np.sqrt(len(gap))) if spread else None
        return Resolution(grid.split, len(gap), *best, None, smallest)
    return None
