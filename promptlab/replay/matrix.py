"""Recorded scores: ``scores[variant, example]`` from an .npz, or from the predictions.csv of a run of every cell."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from promptlab.allocators.cohort import levels
from promptlab.complete import complete_run
from promptlab.errors import BadInput, Problem, nearest
from promptlab.records import Example
from promptlab.view import Scores

KINDS = (".npz", ".csv")
PREDICTIONS = "predictions.csv"


@dataclass(frozen=True)
class Matrix:
    """The scores of distinct variants, NaN where one is missing.

    ``parents`` are rows (-1 = unknown), ``births`` order the rows in time; both empty where the file does not tell.
    ``fell``: variants of the file that are not here, as they were not scored on all rows.
    """

    name: str
    scores: Scores
    parents: tuple[int, ...] = ()
    births: tuple[int, ...] = ()
    fell: int = 0

    @cached_property
    def means(self) -> Scores:
        """The truth: each row's mean over all examples."""
        return levels(self.scores)

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """An example per column: nothing but its id is known."""
        return tuple(Example(f"r{i}", {}, row=i + 1) for i in range(self.scores.shape[1]))

    @property
    def spread(self) -> float:
        """Best minus median."""
        return float(self.means.max() - np.median(self.means))


def read_matrices(paths: Iterable[Path]) -> list[Matrix]:
    """Every matrix behind files and folders. Raises BadInput with all that cannot be used; in folders, others may lie.

    A folder means the .npz in it; else it is a run, or an experiment and stands for its last complete run.
    Rows that repeat a prompt (equal ``prompt_id``) are dropped, and rows without any score.
    """
    problems: list[Problem] = []
    found: list[Matrix] = []
    for path in paths:
        several = sorted(each for each in path.iterdir() if each.suffix == ".npz") if path.is_dir() else []
        try:
            files = several or [_table(path)]
        except BadInput as error:
            problems += error.problems
            continue
        for file in files:
            try:
                found.append(_read(file))
            except BadInput as error:
                problems += error.problems if not several else []
    if problems or not found:
        raise BadInput(problems or [Problem("no scores to replay")])
    return found


def _table(path: Path) -> Path:
    """The file to read: itself, or the predictions.csv of a run."""
    if path.is_dir() and (path / PREDICTIONS).is_file():
        return path / PREDICTIONS
    if path.is_dir() or path.suffix in (".yaml", ".yml"):
        try:
            return complete_run(path) / PREDICTIONS
        except BadInput:
            what = "holds no .npz, no predictions.csv and no complete run"
            raise BadInput(Problem(what, str(path), remedy="Name a run, an experiment or files.")) from None
    return path


def _read(path: Path) -> Matrix:
    if not path.is_file():
        names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        raise BadInput(Problem("there is no such file", str(path), remedy=nearest(path.name, names)))
    if path.suffix not in KINDS:
        raise BadInput(Problem("is neither an .npz nor a predictions.csv", str(path)))
    return _npz(path) if path.suffix == ".npz" else _predictions(path)


def _npz(path: Path) -> Matrix:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(Problem(f"cannot be read: {error}", str(path))) from error
    scores = arrays.get("scores")
    if scores is None or scores.ndim != 2 or scores.dtype.kind not in "fiub":
        what = f"has {', '.join(sorted(arrays)) or 'no arrays'}"
        raise BadInput(Problem(what, str(path), remedy="It needs numbers scores[variant, example]."))
    rows = len(scores)
    for name in ("prompt_id", "parent", "generation"):
        if name in arrays and arrays[name].shape != (rows,):
            raise BadInput(Problem(f"`{name}` must hold one value for each of {rows} rows of scores", str(path)))
    return _distinct(path.stem, scores.astype(float), arrays)


def _distinct(name: str, scores: Scores, arrays: dict[str, Any]) -> Matrix:
    prompt = arrays.get("prompt_id", np.arange(len(scores)))
    _, first, of = np.unique(prompt, return_index=True, return_inverse=True)
    kept = [row for row in sorted(first.tolist()) if not np.isnan(scores[row]).all()]
    place = {row: at for at, row in enumerate(kept)}
    parents: Sequence[int] = ()
    if "parent" in arrays:
        above = arrays["parent"][kept]
        ok = (above >= 0) & (above < len(scores))
        parents = [place.get(int(first[of[p]]), -1) if fine else -1 for p, fine in zip(above, ok, strict=True)]
        parents = [-1 if p == at else p for at, p in enumerate(parents)]
    births = arrays["generation"][kept].tolist() if "generation" in arrays else ()
    return _checked(Matrix(name, scores[kept], tuple(parents), tuple(births)))


def _predictions(path: Path) -> Matrix:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"variant": str, "example": str, "split": str})
    except (ValueError, OSError) as error:
        raise BadInput(Problem(f"this is no table: {error}", str(path))) from error
    lacks = [name for name in ("variant", "example", "split", "score") if name not in table.columns]
    if lacks:
        raise BadInput(Problem(f"has no column {', '.join(lacks)}", str(path), 1, "Name a predictions.csv."))
    scores = table[table["split"] == "dev"].pivot_table(
        index="variant", columns="example", values="score", aggfunc="mean", sort=False, dropna=False
    )
    values = scores.to_numpy(float)
    whole = (~np.isnan(values)).mean(axis=1) >= 0.9  # others fell on the way: nobody knows how good they are
    return _checked(Matrix(path.parent.name or path.stem, values[whole], fell=int((~whole).sum())))


def _checked(matrix: Matrix) -> Matrix:
    rows, columns = matrix.scores.shape
    if rows < 2 or columns < 2 or np.isinf(matrix.scores).any():
        what = f"{matrix.name} has {rows} distinct variants that were scored on all of {columns} examples"
        raise BadInput(Problem(what, remedy="A replay needs two of each at least, and finite scores: run `full`."))
    return matrix
