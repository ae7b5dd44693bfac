"""Runs side by side: one leaderboard, and every difference paired on the rows that both have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.errors import BadInput, Problem, nearest
from promptlab.metrics.classification import PerClass, confusion, majority, per_class
from promptlab.stats import Array, paired
from promptlab.tables import read_tables
from promptlab.ties import max_t

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 50
DIFFERENCES = ("run", "variant", "against", "split", "n", "delta", "low", "high", "p", "p_adjusted", "fixed", "broken")


@dataclass(frozen=True)
class Comparison:
    """What a comparison shows.

    ``leaderboard``: the rows of all results, by test then dev score. ``differences``: run, variant, against, split, n
    (rows that both have), delta, low, high, p, p_adjusted (for being many), fixed, broken; interval and p only where
    the variant was scored on every row that the other one was; the largest over the most rows come first. ``best``:
    run and variant whose per-class figures ``classes`` holds; empty where answers are no labels.
    """

    leaderboard: pd.DataFrame
    differences: pd.DataFrame
    best: tuple[str, str]
    classes: tuple[PerClass, ...]
    confusion: tuple[tuple[int, ...], ...]
    majority: tuple[str, float] | None
    notes: tuple[str, ...]


def compare(paths: Iterable[str | Path], baseline: str | None = None) -> Comparison:
    """Compare runs, experiments or CSV files. ``baseline`` names a variant; by default it is the first run's own.

    Raises BadInput where a path holds no results.
    """
    found = read_tables([Path(path) for path in paths])
    results, predictions = found.results, found.predictions
    against = _baseline(results, predictions, baseline)
    board = _board(results)
    differences, notes = _differences(predictions, against)
    best = _best(board, predictions)
    labels, rows = _labelled(predictions, best)
    expected, answered = list(rows["label"]), [each or None for each in rows["answer"]]
    return Comparison(
        leaderboard=board,
        differences=differences,
        best=best,
        classes=tuple(per_class(expected, answered, labels)) if labels else (),
        confusion=tuple(tuple(row) for row in confusion(expected, answered, labels)) if labels else (),
        majority=majority(expected) if labels else None,
        notes=(*_engine(results), *found.notes, *notes),
    )


def _baseline(results: pd.DataFrame, predictions: pd.DataFrame, wanted: str | None) -> tuple[str, str] | None:
    """(run, variant) that everything is compared with."""
    known = predictions[["run", "variant"]].drop_duplicates() if len(predictions) else results[["run", "variant"]]
    if wanted is not None:
        found = known[known["variant"] == wanted]
        if found.empty:
            raise BadInput(Problem(f"there is no variant {wanted!r}", remedy=nearest(wanted, known["variant"])))
        return str(found.iloc[0]["run"]), wanted
    own = results[results["status"] == "baseline"] if "status" in results.columns else results.iloc[:0]
    first = own.iloc[0] if len(own) else known.iloc[0] if len(known) else None
    return None if first is None else (str(first["run"]), str(first["variant"]))


def _board(results: pd.DataFrame) -> pd.DataFrame:
    """Several leaderboards as one: by test score, then by dev score; ranks are of the whole. A single one as it is."""
    if not len(results) or results["run"].nunique() == 1:
        return results
    by = [name for name in ("test_score", "dev_score") if name in results.columns]
    ordered = results.sort_values(by, ascending=False, kind="stable", na_position="last") if by else results
    return ordered.assign(rank=range(1, len(ordered) + 1)).reset_index(drop=True)


def _best(board: pd.DataFrame, predictions: pd.DataFrame) -> tuple[str, str]:
    first = board.iloc[0] if len(board) else predictions.iloc[0] if len(predictions) else None
    return ("", "") if first is None else (str(first["run"]), str(first["variant"]))


def _differences(predictions: pd.DataFrame, against: tuple[str, str] | None) -> tuple[pd.DataFrame, list[str]]:
    """The differences to one variant, and what to say of runs that share no row with it."""
    import pandas as pd

    if against is None or not len(predictions):
        return pd.DataFrame(columns=list(DIFFERENCES)), []
    means = predictions.groupby(["split", "run", "variant", "row"], sort=False)["score"].mean()
    rows: list[dict[str, Any]] = []
    for split in ("test", "dev"):
        if split in means.index.get_level_values(0):
            wide = means.loc[split].unstack("row")
            if against in wide.index:
                rows += _of_split(wide, against, split)
    met = {against[0], *(row["run"] for row in rows)}
    apart = [run for run in dict.fromkeys(predictions["run"]) if run not in met]
    notes = [f"{run} shares no scored row with {against[0]}: there is no difference to show." for run in apart]
    return pd.DataFrame(rows, columns=list(DIFFERENCES)), notes


def _of_split(wide: pd.DataFrame, against: tuple[str, str], split: str) -> list[dict[str, Any]]:
    """The differences on one split, the largest over the most rows first.

    ``wide``: a row per (run, variant), a column per example.
    """
    scores: dict[tuple[str, str], Array] = dict(zip(wide.index, wide.to_numpy(float), strict=True))
    base = scores.pop(against)
    asked = ~np.isnan(base)
    rows: list[dict[str, Any]] = []
    for key, own in scores.items():
        found = paired(own, base, seed=0)
        if not found.n:
            continue
        fixed, broken = found.flips or (None, None)
        row = {"run": key[0], "variant": key[1], "against": against[1], "split": split, "n": found.n,
               "delta": found.delta, "fixed": fixed, "broken": broken}  # fmt: skip
        if found.n == asked.sum():  # not of those that fell on the way: they were judged as they went
            row |= {"low": found.low, "high": found.high, "p": found.p, "_gap": (own - base)[asked]}
        rows.append(row)
    _adjust(rows)
    return sorted(rows, key=lambda row: (-row["n"], -row["delta"]))


def _adjust(rows: list[dict[str, Any]]) -> None:
    """p_adjusted of the rows with a p: as it is for one, of the maximum over all where there are several."""
    full = [row for row in rows if "_gap" in row]
    gaps: list[Array] = [row.pop("_gap") for row in full]
    family = max_t(np.array(gaps), seed=0) if len(gaps) > 1 else [row["p"] for row in full]
    for row, p in zip(full, family, strict=True):
        row["p_adjusted"] = max(row["p"], float(p))


def _labelled(predictions: pd.DataFrame, best: tuple[str, str]) -> tuple[list[str], pd.DataFrame]:
    """The labels, if the answers are labels at all, and the best variant's rows: test where there are any, else dev."""
    rows = predictions[(predictions["run"] == best[0]) & (predictions["variant"] == best[1])]
    if not len(rows) or not {"label", "answer", "status", "split"} <= set(rows.columns):
        return [], predictions.iloc[:0].reindex(columns=["label", "answer"])
    test = rows[rows["split"] == "test"]
    rows = test if len(test) else rows
    rows = rows[(rows["status"] != "error") & (rows["label"] != "")]
    own = predictions[(predictions["run"] == best[0]) & (predictions["label"] != "")]
    labels = sorted(set(own["label"]))
    few = 1 < len(labels) <= MOST_CLASSES and own["example"].nunique() >= 3 * len(labels)
    return (labels if few else []), rows


def _engine(results: pd.DataFrame) -> list[str]:
    from promptlab.verdict import EMBEDDED

    engines = {engine for each in results.get("engine", []) for engine in str(each).split()}
    return [EMBEDDED] if "embedded" in engines else []
