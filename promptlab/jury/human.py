"""What people said of outputs: scores from a file of their own, or from columns of the data, brought to 0..1."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from promptlab.dataset import load
from promptlab.dataset.file import Row, Table, capped, read_table
from promptlab.errors import BadInput, Problem, nearest
from promptlab.experiment import Experiment
from promptlab.experiment.metrics import HumanScores
from promptlab.metrics.judging import Human
from promptlab.rows import Rows
from promptlab.write import unguarded

Scored = tuple[str, str, float]
"""Row id, output, score from 0 to 1."""


def read_human(experiment: Experiment, name: str, rows: Rows | None) -> Human:
    """People's scores beside the judge ``name``; none where the experiment names none.

    Raises BadInput for a column that is not there, rows that no data has, and scores off the judge's scale.
    """
    told = experiment.jury.human.get(name)
    if told is None:
        return Human()
    scale = experiment.metrics[name].options.get("scale", (1, 5))
    if told.path is not None:
        found = _of_file(told, told.path, scale, rows)
    else:
        paths = experiment.data.paths.values()
        found = [each for path in paths for each in _of_data(experiment, told, path, scale)]
    if not found:
        path = str(told.path or next(iter(experiment.data.paths.values())))
        raise BadInput(Problem(f"column {told.score!r} holds no scores", path, remedy="Score some outputs."))
    scores: dict[str, list[tuple[str, float]]] = {}
    for example, output, score in found:
        scores.setdefault(example, []).append((output, score))
    text = json.dumps(sorted(found), ensure_ascii=True)
    kept = {example: tuple(listed) for example, listed in scores.items()}
    return Human(kept, hashlib.sha256(text.encode()).hexdigest()[:12])


def _of_file(told: HumanScores, path: Path, scale: tuple[float, float], rows: Rows | None) -> list[Scored]:
    """The scored rows of a table like predictions.csv: an id of a row, an output, a score."""
    table = _table(path, (told.example, told.output, told.score))
    known = None if rows is None else {each.id for each in rows.all}
    found, problems = [], list[Problem]()
    for row in table.rows:
        example = unguarded(str(row.cells.get(told.example, "")))
        score = _score(row, told.score, scale, table.path, problems)
        if score is None:
            continue
        if known is not None and example not in known:
            what = f"row {row.number}: no row of the data has the id {example!r}"
            problems.append(Problem(what, table.path, row.line, nearest(example, known)))
            continue
        found.append((example, unguarded(str(row.cells.get(told.output) or "")), score))
    _raise(problems)
    return found


def _of_data(experiment: Experiment, told: HumanScores, path: Path, scale: tuple[float, float]) -> list[Scored]:
    """The scored rows of the data itself, each with the text that was scored."""
    table = _table(path, (told.score, told.output))
    examples = load(path, experiment.data.columns).examples
    found, problems = [], list[Problem]()
    for row, example in zip(table.rows, examples, strict=True):
        score = _score(row, told.score, scale, table.path, problems)
        if score is not None:
            found.append((example.id, str(row.cells.get(told.output) or ""), score))
    _raise(problems)
    return found


def _table(path: Path, columns: Iterable[str]) -> Table:
    table = read_table(path)
    lacking = [name for name in columns if name not in table.columns]
    problems = [
        Problem(f"no column {name!r}, which a judge's `human` names", table.path, remedy=nearest(name, table.columns))
        for name in lacking
    ]
    _raise([*table.problems, *problems])
    return table


def _score(row: Row, column: str, scale: tuple[float, float], path: str, problems: list[Problem]) -> float | None:
    """A score from 0 to 1; None for an empty cell, or one that is off the scale, which is a problem."""
    value: Any = row.cells.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    low, high = scale
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if low <= number <= high:
        return (number - low) / (high - low)
    remedy = f"A score is a number from {low:g} to {high:g}, as the judge's `scale` says."
    problems.append(Problem(f"row {row.number}: column {column!r} holds {str(value)[:40]!r}", path, row.line, remedy))
    return None


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise BadInput(capped(problems))
