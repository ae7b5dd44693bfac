"""Tables read back as they were written: of a run, an experiment, or a CSV on its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlab.comparison.manifests import Noted, manifests
from promptlab.errors import BadInput, Problem, PromptlabError, nearest
from promptlab.folder import LOG
from promptlab.predictions import text_columns
from promptlab.write import unguarded

if TYPE_CHECKING:
    import pandas as pd

SCORES = {"variant", "example", "score"}  # what somebody else's table needs
SPLITS = ("dev", "test")
READ = ("run", "variant", "example", "repeat", "split", "phase", "label", "answer", "score", "status", "output",
        "group", "weight", "hit_at_k")  # fmt: skip
PREDICTIONS = ["run", "variant", "example", "split", "label", "answer", "status", "score", "row"]


@dataclass(frozen=True)
class Tables:
    """Results and predictions of several runs; either may be empty.

    ``predictions`` has a column ``row`` more: what makes a labelled row the same in two runs, its id, inputs and label.
    ``noted``: what manifests say of runs.
    """

    results: pd.DataFrame
    predictions: pd.DataFrame
    notes: tuple[str, ...]
    noted: Mapping[str, Noted]


def read_tables(paths: Sequence[Path]) -> Tables:
    """The tables behind paths, each run once. Raises BadInput, with every path that holds none."""
    import pandas as pd

    problems: list[Problem] = []
    results: dict[str, pd.DataFrame] = {}
    predictions: dict[str, pd.DataFrame] = {}
    bare: list[str] = []
    broken: list[str] = []
    stems = Counter(path.stem for path in dict.fromkeys(paths))
    for path in paths:
        try:
            board, answers = _tables(path, path.stem if stems[path.stem] == 1 else str(path))
        except PromptlabError as error:
            if len(paths) > 1 and (path / LOG).is_file():
                broken.append(f"{path} is left out: {str(error).splitlines()[0]}")
            else:
                problems += error.problems if isinstance(error, BadInput) else [Problem(str(error), str(path))]
            continue
        results |= {str(run): part for run, part in board.groupby("run", sort=False)}
        predictions |= {str(run): part for run, part in answers.groupby("run", sort=False)}
        if not len(answers):
            lacks = "without predictions.csv beside it there are no paired differences"
            bare.append(f"{path}: {lacks if len(board) else 'it holds no rows'}.")
    if not paths:
        problems.append(Problem("name at least one run, experiment or CSV"))
    if problems:
        raise BadInput(problems)
    empty = pd.DataFrame(columns=["run", "variant"])
    return Tables(
        pd.concat(results.values(), ignore_index=True) if results else empty,
        _identified(predictions) if predictions else pd.DataFrame(columns=PREDICTIONS),
        (*broken, *bare),
        manifests(paths, dict.fromkeys([*results, *predictions])),
    )


def _identified(parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The predictions as one table, every row named by its id, its label and the inputs that all runs have."""
    import pandas as pd

    whole = pd.concat(parts.values(), ignore_index=True)
    shared = set.intersection(*(set(part.columns) for part in parts.values()))
    names = ["example", *sorted(name for name in shared if name == "label" or name.startswith("input."))]
    return whole.assign(row=pd.util.hash_pandas_object(whole[names].astype(object), index=False))


def _tables(path: Path, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The results and predictions behind a path; either may be empty. ``name``: of the run, where a table has none."""
    if path.is_dir() and (path / "experiment.yaml").is_file():
        return _with_predictions(_existing(path / "results.csv", "Run `promptlab mine` first."))
    if path.is_dir():
        if (path / "results.csv").is_file():
            return _with_predictions(path / "results.csv")
        if (path / LOG).is_file():
            from promptlab.run import load_run

            run = load_run(path)
            return _as_written(run.results), _as_written(run.predictions)
        raise BadInput(Problem("there are no results here", str(path), remedy="Name a run, an experiment or a CSV."))
    return _with_predictions(_existing(path, ""), name)


def _with_predictions(path: Path, name: str = "") -> tuple[pd.DataFrame, pd.DataFrame]:
    """A results.csv and the predictions of its run; or a predictions.csv, or anybody's scores, alone."""
    table = _read(path)
    if set(table.columns) >= SCORES:
        return table.iloc[:0].reindex(columns=["run", "variant"]), _scores(table, name)
    places = [path.with_name("predictions.csv")]
    places += [path.parent / "runs" / str(run) / "predictions.csv" for run in table["run"].unique()]
    found = [rows[rows["run"].isin(table["run"])] for rows in map(_read, filter(Path.is_file, places))]
    return table, next((rows for rows in found if len(rows)), table.iloc[:0])


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
        header = [str(name) for name in pd.read_csv(path, nrows=0).columns]
        if not set(header) >= SCORES and not {"run", "variant"} <= set(header):
            what = (
                "this is neither a results.csv nor a predictions.csv: it has no columns run and variant, "
                "nor variant, example and score"
            )
            raise BadInput(Problem(what, str(path)))
        # of predictions only what is compared: not what they took, nor what somebody else's table has beside
        used = [name for name in header if not set(header) >= SCORES or name in READ or name.startswith("input.")]
        text = [name for name in used if name == "group" or name in text_columns(header)]
        numbers = {name: [""] for name in used if name not in text}
        types = dict.fromkeys(text, str)
        table = pd.read_csv(path, dtype=types, usecols=used, keep_default_na=False, na_values=numbers)
    except (ValueError, OSError) as error:  # a UnicodeDecodeError and pandas' own are ValueErrors
        raise BadInput(Problem(f"this is no table: {error}".strip(), str(path))) from error
    words = [name for name in numbers if not pd.api.types.is_numeric_dtype(table[name])]
    if words and len(table):
        raise BadInput(_worded(path, words[0], table[words[0]]))
    numeric = {name: table[name].astype(float) for name in ("score",) if name in numbers}
    return table.assign(**numeric, **{name: _unguarded(table[name]) for name in text})


def _worded(path: Path, name: str, column: pd.Series[Any]) -> Problem:
    """The first cell of a column of numbers that is none."""
    import pandas as pd

    wrong = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
    found = f", not {str(wrong.iloc[0])!r}" if len(wrong) else ""
    return Problem(
        f"the column {name} must hold numbers{found}", str(path), int(wrong.index[0]) + 2 if len(wrong) else 0
    )


def _unguarded(column: pd.Series[Any]) -> pd.Series[Any]:
    """Cells without the apostrophes that guard them; every distinct text is looked at once."""
    import pandas as pd

    codes, texts = pd.factorize(column)
    plain = np.array([unguarded(str(text)) for text in texts], object)
    return pd.Series(plain[codes] if len(plain) else column.to_numpy(), column.index, dtype=object)


def _scores(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Predictions with all columns that a comparison reads: rows that name no split of ours count as one, "all"."""
    table = table if "run" in table.columns else table.assign(run=name)
    if "split" not in table.columns:
        return table.assign(split="all")
    return table.assign(split=table["split"].where(table["split"].isin(SPLITS), "all"))


def _as_written(table: pd.DataFrame) -> pd.DataFrame:
    """A table that never was a file, as it would be read: text as text, nothing as empty text."""
    text = {name: table[name].astype(object) for name in text_columns(table.columns)}
    return table.assign(**{name: each.where(each.notna(), "").map(str) for name, each in text.items()})
