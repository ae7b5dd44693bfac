"""Labelled sets: rows of a file as Examples, with every problem of file, columns and rows told at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from promptlab.dataset import cells as cell
from promptlab.dataset.file import Row, Table, capped, read_rows, read_table
from promptlab.errors import BadInput, Problem, nearest
from promptlab.records import Example, Passage, Split

__all__ = ["Columns", "Dataset", "load", "read_rows"]

T = TypeVar("T")
FEW = 5  # rows up to which one complaint about every row is spelled out row by row


@dataclass(frozen=True, slots=True)
class Columns:
    """What an experiment says about the columns of its file.

    ``inputs`` maps the name in templates to the column ({message: body}); empty = every named column that is nothing
    else. ``many`` = "any": a cell holds several accepted answers, a JSON list or text separated by ``sep``; "all": it
    holds a set of labels, all of them wanted: one accepted answer that is a list, sorted.
    ``id`` defaults to a column called "id", else ids are made from content. ``fold`` cells say train, dev or test.
    ``apart`` are columns that are no inputs by default, because others read them (human scores).
    ``passages`` cells hold a list of texts or of {id, text} or {title, text} objects (as JSON text in csv and tsv).
    ``gold`` cells name the passages or documents that hold the answer, or say them: one, or a (JSON) list.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    many: Literal["any", "all"] | None = None
    sep: str = "|"
    id: str | None = None
    group: str | None = None
    weight: str | None = None
    fold: str | None = None
    passages: str | None = None
    gold: str | None = None
    apart: tuple[str, ...] = ()

    @property
    def special(self) -> tuple[str, ...]:
        """The columns that are not inputs by default."""
        named = (self.label, self.id, self.group, self.weight, self.fold, self.passages, self.gold)
        return tuple(column for column in named if column is not None)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A labelled set. ``folds`` maps example ids to splits where the file says so (fold column), else it is empty.

    ``lines`` maps them to the lines where their rows start (0 = unknown), ``columns`` are all that the file has.
    """

    path: str
    examples: tuple[Example, ...]
    folds: Mapping[str, Split]
    lines: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


def load(path: Path, columns: Columns) -> Dataset:
    """The labelled set in a file. Raises BadInput with all problems of file, columns and rows at once."""
    table = read_table(path)
    if not table.rows:
        raise BadInput(table.problems or Problem("holds no rows", table.path, remedy="Add labelled rows."))
    columns, problems = _resolved(table, columns)
    problems = [*table.problems, *problems]
    names = tuple(dict.fromkeys(columns.inputs.values()))
    sep = columns.sep if columns.many else None
    nothing: dict[str, Any] = {}
    read = cell.read_labels if columns.many == "all" else cell.read_label
    inputs = _each(table, problems, lambda row: cell.read_inputs(row, names), nothing)
    labels = _optional(table, problems, columns.label, lambda row, column: read(row, column, sep), None)
    groups = _optional(table, problems, columns.group, cell.read_group, "")
    weights = _optional(table, problems, columns.weight, cell.read_weight, 1.0)
    none: tuple[Passage, ...] = ()
    passages = _optional(table, problems, columns.passages, cell.read_passages, none)
    unknown: tuple[str, ...] = ()
    gold = _optional(table, problems, columns.gold, cell.read_gold, unknown)
    folds = _optional(table, problems, columns.fold, cell.read_fold, None)
    ids = _given_ids(table, problems, columns.id) if columns.id else _made_ids(inputs, labels)
    if problems:
        raise BadInput(problems)
    named = [{name: cells[column] for name, column in columns.inputs.items()} for cells in inputs]
    numbers = [row.number for row in table.rows]
    examples = tuple(map(Example, ids, named, labels, groups, weights, passages, numbers, gold))
    return Dataset(
        path=table.path,
        examples=examples,
        folds={key: fold for key, fold in zip(ids, folds, strict=True) if fold},
        lines={key: row.line for key, row in zip(ids, table.rows, strict=True)},
        columns=table.columns,
    )


def _resolved(table: Table, columns: Columns) -> tuple[Columns, list[Problem]]:
    """The columns with their defaults filled in; those that the file lacks are left out and told as problems."""
    if columns.id is None and "id" in table.columns:
        columns = replace(columns, id="id")
    if not columns.inputs:
        # a column without a name (the index that pandas writes) cannot be named in a template
        rest = {name: name for name in table.columns if name and name not in (*columns.special, *columns.apart)}
        columns = replace(columns, inputs=rest)
    known = [name.encode(errors="backslashreplace").decode() for name in table.columns]
    wanted = (*columns.inputs.values(), *columns.special)
    problems = [
        Problem(f"no column {name!r}", table.path, remedy=_remedy(name, known))
        for name in dict.fromkeys(wanted)
        if name not in table.columns
    ]
    if not columns.inputs:
        problems.append(Problem("no column is left as an input", table.path, remedy="Name one under data.inputs."))
    lacking: dict[str, Any] = {
        key: None
        for key in ("label", "id", "group", "weight", "fold", "passages", "gold")
        if getattr(columns, key) not in table.columns
    }
    inputs = {name: column for name, column in columns.inputs.items() if column in table.columns}
    return replace(columns, inputs=inputs, **lacking), problems


def _remedy(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return near if near.startswith("Known") else f"{near} Columns: {', '.join(known[:20])}."


def _each(table: Table, problems: list[Problem], read: Callable[[Row], T], default: T) -> list[T]:
    """``read`` of every row; cells that cannot be used become problems, and ``default`` in the list."""
    values: list[T] = []
    found: list[tuple[Row, cell.CellError]] = []
    for row in table.rows:
        try:
            values.append(read(row))
        except cell.CellError as error:
            found.append((row, error))
            values.append(default)
    if len(found) == len(table.rows) > FEW and len({error.message for _, error in found}) == 1:
        remedy = "Name another column, or fill it in."
        problems.append(Problem(f"{found[0][1]} in every row", table.path, remedy=remedy))
        return values
    told = [Problem(f"row {row.number}: {error}", table.path, row.line, error.remedy) for row, error in found]
    problems.extend(capped(told))
    return values


def _optional(
    table: Table, problems: list[Problem], column: str | None, read: Callable[[Row, str], T], default: T
) -> list[T]:
    """``_each`` for a column that an experiment may leave unnamed."""
    if column is None:
        return [default] * len(table.rows)
    return _each(table, problems, lambda row: read(row, column), default)


def _given_ids(table: Table, problems: list[Problem], column: str) -> list[str]:
    ids = _each(table, problems, lambda row: cell.read_id(row, column), "")
    first: dict[str, int] = {}
    twice = []
    for row, key in zip(table.rows, ids, strict=True):
        if key and first.setdefault(key, row.number) != row.number:
            message = f"row {row.number}: the id {key!r} is also that of row {first[key]}"
            twice.append(Problem(message, table.path, row.line, "Give every row its own id."))
    problems.extend(capped(twice))
    return ids


def _made_ids(inputs: Sequence[Any], labels: Sequence[Any]) -> list[str]:
    """Ids from content, by column and not by template name: other rows, their order or a renamed input change none.

    Rows of equal content are told apart by their order in the file: -2, -3.
    """
    seen: dict[str, int] = {}
    ids = []
    for cells, label in zip(inputs, labels, strict=True):
        content = json.dumps([cells, label], ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        key = "r" + hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:10]
        seen[key] = seen.get(key, 0) + 1
        ids.append(key if seen[key] == 1 else f"{key}-{seen[key]}")
    return ids
