"""Runs side by side: one leaderboard, and every difference paired on the rows that both have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.folder import LOG
from promptlab.metrics.classification import PerClass, confusion, majority, per_class
from promptlab.stats import paired

if TYPE_CHECKING:
    import pandas as pd

TEXT = ("run", "variant", "example", "label", "answer", "output", "error", "name", "status", "model", "template",
        "method", "origin", "parents", "engine", "split", "phase", "usage")  # fmt: skip
MOST_CLASSES = 50


@dataclass(frozen=True)
class Comparison:
    """What a comparison shows.

    ``leaderboard``: the rows of all results, by test then dev score. ``differences``: run, variant, against, split,
    n, delta, low, high, p, fixed, broken. ``classes``: per class figures of the best variant; empty without labels.
    """

    leaderboard: pd.DataFrame
    differences: pd.DataFrame
    best: str
    classes: tuple[PerClass, ...]
    confusion: tuple[tuple[int, ...], ...]
    majority: tuple[str, float] | None
    notes: tuple[str, ...]


def compare(paths: Iterable[str | Path], baseline: str | None = None) -> Comparison:
    """Compare runs, experiments or CSV files. ``baseline`` names a variant; by default it is the first run's own.

    Raises BadInput where a path holds no results.
    """
    import pandas as pd

    tables = [_tables(Path(path)) for path in paths]
    if not tables:
        raise BadInput("name at least one run, experiment or CSV")
    results = pd.concat([results for results, _ in tables], ignore_index=True)
    predictions = pd.concat([predictions for _, predictions in tables], ignore_index=True)
    against = _baseline(results, predictions, baseline)
    board = results if len(tables) == 1 else _joined(results)
    best = str(board.iloc[0]["variant"]) if len(board) else str(predictions["variant"].iloc[0])
    labels, rows = _labelled(predictions, best)
    expected, answered = [str(each) for each in rows["label"]], [each or None for each in rows["answer"]]
    engines = {engine for each in results.get("engine", []) for engine in str(each).split()}
    return Comparison(
        leaderboard=board,
        differences=_differences(predictions, against),
        best=best,
        classes=tuple(per_class(expected, answered, labels)) if labels else (),
        confusion=tuple(tuple(row) for row in confusion(expected, answered, labels)) if labels else (),
        majority=majority(expected) if labels else None,
        notes=tuple(_notes(predictions, engines)),
    )


def _tables(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The results and predictions behind a path; either may be empty."""
    if path.is_dir() and (path / "experiment.yaml").is_file():
        own = _read(_existing(path / "results.csv", "Run `promptlab mine` first."))
        folder = path / "runs" / str(own["run"].iloc[0])
        return own, _read(folder / "predictions.csv") if (folder / "predictions.csv").is_file() else own.iloc[:0]
    if path.is_dir():
        if (path / "results.csv").is_file():
            return _read(path / "results.csv"), _read(_existing(path / "predictions.csv", ""))
        if (path / LOG).is_file():
            from promptlab.run import Run

            run = Run.load(path)
            return run.results, run.predictions
        raise BadInput(Problem("there are no results here", str(path), remedy="Name a run, an experiment or a CSV."))
    frame = _read(_existing(path, ""))
    if "output" in frame.columns:
        return frame.iloc[:0], frame
    beside = path.with_name("predictions.csv")
    if not beside.is_file() and len(frame):
        beside = path.parent / "runs" / str(frame["run"].iloc[0]) / "predictions.csv"
    return frame, _read(beside) if beside.is_file() else frame.iloc[:0]


def _existing(path: Path, remedy: str) -> Path:
    if path.is_file():
        return path
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    near = nearest(path.name, names)
    raise BadInput(Problem("there is no such file", str(path), 0, remedy or (near if near.startswith("Did") else "")))


def _read(path: Path) -> pd.DataFrame:
    """A table as it was written: text stays text (a label `NA`, a run `1e3`), empty numbers are NaN."""
    import pandas as pd

    try:
        header = list(pd.read_csv(path, nrows=0).columns)
    except (ValueError, UnicodeDecodeError) as error:
        raise BadInput(Problem(f"this is no table: {error}", str(path))) from error
    text = [name for name in header if name in TEXT or name.startswith(("slot.", "input."))]
    numbers = [name for name in header if name not in text]
    if "variant" not in header or "run" not in header:
        what = "this is neither a results.csv nor a predictions.csv: it has no columns run and variant"
        raise BadInput(Problem(what, str(path)))
    empty = {name: [""] for name in numbers}
    return pd.read_csv(path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=empty)


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


def _joined(results: pd.DataFrame) -> pd.DataFrame:
    """Several leaderboards as one: by test score, then by dev score; ranks are of the whole."""
    ordered = results.sort_values(["test_score", "dev_score"], ascending=False, kind="stable", na_position="last")
    return ordered.assign(rank=range(1, len(ordered) + 1)).reset_index(drop=True)


def _differences(predictions: pd.DataFrame, against: tuple[str, str] | None) -> pd.DataFrame:
    import pandas as pd

    names = ["run", "variant", "against", "split", "n", "delta", "low", "high", "p", "fixed", "broken"]
    if against is None or not len(predictions):
        return pd.DataFrame(columns=names)
    means = predictions.groupby(["split", "run", "variant", "example"], sort=False)["score"].mean()
    rows: list[list[Any]] = []
    for split in ("test", "dev"):
        if split not in means.index.get_level_values(0):
            continue
        wide = means.loc[split].unstack("example")
        if against not in wide.index:
            continue
        base = wide.loc[against].to_numpy(float)
        for key, scores in zip(wide.index, wide.to_numpy(float), strict=True):
            if key != against:
                gap = paired(scores, base, seed=0)
                if gap.n:
                    rows.append(
                        [*key, against[1], split, gap.n, gap.delta, gap.low, gap.high, gap.p, *(gap.flips or ("", ""))]
                    )
    return pd.DataFrame(rows, columns=names)


def _labelled(predictions: pd.DataFrame, variant: str) -> tuple[list[str], pd.DataFrame]:
    """The labels, if the answers are labels at all, and the best variant's rows: test where there are any, else dev."""
    rows = predictions[predictions["variant"] == variant]
    if not len(rows) or "label" not in rows.columns:
        return [], predictions.iloc[:0].reindex(columns=["label", "answer"])
    test = rows[rows["split"] == "test"]
    rows = test if len(test) else rows
    rows = rows[rows["status"] != "error"]
    labels = sorted(set(predictions["label"]))
    few = len(labels) <= MOST_CLASSES and len(predictions.drop_duplicates("example")) >= 3 * len(labels)
    return (labels if few else []), rows


def _notes(predictions: pd.DataFrame, engines: set[str]) -> list[str]:
    from promptlab.verdict import EMBEDDED

    notes = [EMBEDDED] if "embedded" in engines else []
    if not len(predictions):
        notes.append("Without predictions.csv beside it there are no paired differences.")
    return notes
