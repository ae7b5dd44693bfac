"""The leaderboard of a comparison: one run's as it wrote it, several on one scale, or one made from scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.comparison.differences import Grid, Key, TieSet
from promptlab.stats.paired import mean, rate_interval

if TYPE_CHECKING:
    import pandas as pd


def leaderboard(results: pd.DataFrame, grids: dict[str, Grid], differences: pd.DataFrame, tied: TieSet | None,
                against: Key | None) -> pd.DataFrame:  # fmt: skip
    """Rows with ``rank``; a column ``against`` names the baseline that a row's own difference is measured to.

    A single run's rows stand as they were written. Of several, ranks are by the paired difference to one variant on
    dev (then for those without all its rows, by how many), never by means over different rows.
    """
    if not len(results):
        made = _from_scores(grids, differences, tied, against)
        return made if len(made) else results
    if results["run"].nunique() == 1:
        return results
    named = results.assign(against=results["run"].map(_baselines(results)).fillna(""))
    order = _order(differences, against)
    far = (2, 0, 0.0)
    keys = [order.get((str(run), str(v)), far) for run, v in zip(named["run"], named["variant"], strict=True)]
    ordered = named.iloc[sorted(range(len(keys)), key=keys.__getitem__)]
    return ordered.assign(rank=range(1, len(ordered) + 1)).reset_index(drop=True)


def _baselines(results: pd.DataFrame) -> dict[Any, Any]:
    if "status" not in results.columns:
        return {}
    own = results[results["status"] == "baseline"].drop_duplicates("run")
    return dict(zip(own["run"], own["variant"], strict=True))


def _order(differences: pd.DataFrame, against: Key | None) -> dict[Key, tuple[int, int, float]]:
    """What variants are sorted by: dev decides, where it is there; whoever has fewer rows stands behind."""
    dev = differences[differences["split"] != "test"]
    part = dev if len(dev) else differences
    most = int((part["n"] + part["errors"]).max()) if len(part) else 0
    found: dict[Key, tuple[int, int, float]] = {} if against is None else {against: (0, 0, 0.0)}
    for row in part.to_dict("records"):
        whole = row["n"] + row["errors"] == most
        found[str(row["run"]), str(row["variant"])] = (0 if whole else 1, 0 if whole else -row["n"], -row["delta"])
    return found


def _from_scores(grids: dict[str, Grid], differences: pd.DataFrame, tied: TieSet | None,
                 against: Key | None) -> pd.DataFrame:  # fmt: skip
    """A leaderboard for predictions without results."""
    import pandas as pd

    order = _order(differences, against)
    keys = list(dict.fromkeys(key for grid in grids.values() for key in grid.keys))
    rows: list[dict[str, Any]] = []
    for key in sorted(keys, key=lambda key: order.get(key, (2, 0, 0.0))):
        row: dict[str, Any] = {"run": key[0], "rank": len(rows) + 1, "variant": key[1], "name": "",
                               "status": _status(key, order, tied, against), "against": ""}  # fmt: skip
        if against is not None and key != against:
            row["against"] = against[1]
        for grid in grids.values():
            row |= _figures(grid, key)
        rows.append(row | _deltas(differences, key))
    return pd.DataFrame(rows)


def _status(key: Key, order: dict[Key, tuple[int, int, float]], tied: TieSet | None, against: Key | None) -> str:
    if key == against:
        return "baseline"
    if tied is not None and key in tied.members:
        return "tied"
    return "beaten" if order.get(key, (2,))[0] == 0 else "partial"


def _figures(grid: Grid, key: Key) -> dict[str, Any]:
    """Mean and interval on one split."""
    if key not in grid.keys:
        return {}
    scores = grid.row(key)
    interval = rate_interval(scores, grid.weights, groups=grid.groups)
    figures = {
        "n": int((~np.isnan(scores)).sum()),
        "score": mean(scores, grid.weights),
        "low": interval.low,
        "high": interval.high,
    }
    return {f"{grid.split}_{name}": value for name, value in figures.items()}


def _deltas(differences: pd.DataFrame, key: Key) -> dict[str, Any]:
    own = differences[(differences["run"] == key[0]) & (differences["variant"] == key[1])]
    found: dict[str, Any] = {}
    for row in own.to_dict("records"):
        prefix = "" if row["split"] == "test" else f"{row['split']}_"
        found |= {f"{prefix}delta": row["delta"], f"{prefix}delta_low": row["low"], f"{prefix}delta_high": row["high"]}
        found["p_adjusted"] = row["p_adjusted"] if "p_adjusted" not in found else found["p_adjusted"]
    return found
