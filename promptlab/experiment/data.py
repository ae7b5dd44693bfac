"""`data` of an experiment: which files, which columns, which labels, which splits."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.dataset import Columns
from promptlab.errors import BadInput, Problem, nearest
from promptlab.experiment.file import DataFile, SplitFile
from promptlab.experiment.sheet import Sheet, shown
from promptlab.yaml_file import Key, read_text, read_yaml

_WORDS = ("and", "else", "false", "if", "in", "is", "loop", "none", "not", "or", "self", "true")
TAKEN = frozenset(("demos", "passages", "labels", *_WORDS))
"""What an input cannot be called: the other names in a template's scope, and Jinja's own words."""


@dataclass(frozen=True, slots=True)
class LabelName:
    """A label as the set spells it, and what it means (empty if nothing is said)."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Shares of train, dev and test that sum to 1; or ``column`` says each row's split; or ``all`` is dev."""

    train: float = 0.0
    dev: float = 0.5
    test: float = 0.5
    column: str | None = None
    all: bool = False
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Data:
    """The labelled set. ``paths`` is {"all": file}, or one file each for dev and, where given, train and test.

    ``labels`` is None where the label column itself says which labels there are. With files for each split, or with
    ``split.column``, the shares of ``split`` mean nothing.
    """

    paths: Mapping[str, Path]
    columns: Columns
    labels: tuple[LabelName, ...] | None = None
    split: SplitPlan = field(default_factory=SplitPlan)

    @property
    def may_train(self) -> bool:
        """Whether rows may be train rows (only the rows know where a column says it)."""
        if "all" not in self.paths:
            return "train" in self.paths
        return not self.split.all and (self.split.column is not None or self.split.train > 0)


def relative_to(sheet: Sheet) -> str:
    """The remedy for a path to nothing."""
    here = str(sheet.folder) == "."
    return "Paths are relative to " + ("the folder of this file." if here else f"{sheet.folder}.")


def existing_file(sheet: Sheet, key: Key, text: str) -> Path:
    """The path of a file named in the experiment, relative to it; a problem if there is no such file."""
    path = Path(os.path.normpath(sheet.folder / text))
    try:
        if path.is_file():
            sheet.files.append(path)
            return path
        if path.is_dir():
            sheet.add(key, f"{sheet.name(key)} must be a file, and {text!r} is a folder")
            return path
        near = nearest(path.name, [each.name for each in path.parent.iterdir() if each.is_file()])
        near = near if near.startswith("Did") else ""
    except OSError:
        near = "There is no such folder, either." if not os.path.isdir(path.parent) else ""  # noqa: PTH112 - raises nothing
    sheet.add(key, f"{sheet.name(key)}: there is no file {text!r}", near or relative_to(sheet))
    return path


def read_data(sheet: Sheet, file: DataFile | None, trains: bool) -> Data | None:
    """The data, or None where too little of it is right. ``trains``: something of the experiment uses train rows."""
    if file is None:
        if not sheet.given("data"):
            sheet.add((), "`data` is missing", "Name the labelled set: data: {path: …, inputs: […], label: …}.")
        return None
    paths = _paths(sheet, file)
    labels = None if file.labels is None else _labels(sheet, file.labels)
    split = _split(sheet, file.split or SplitFile(), paths, trains)
    columns = _columns(sheet, file)
    return Data(paths, columns, labels, split) if columns else None


def _paths(sheet: Sheet, file: DataFile) -> dict[str, Path]:
    if file.path is None:
        if not sheet.given("data", "path"):
            sheet.add(("data", "path"), "`data.path` is missing", "Name the file of labelled rows.")
        return {}
    paths = {}
    for name in ("all", "train", "dev", "test"):
        text = getattr(file.path, name)
        if text is not None:
            paths[name] = existing_file(sheet, ("data", "path", name), text)
    if "all" not in paths and not sheet.given("data", "path", "dev"):
        sheet.add(("data", "path"), "`data.path.dev` is missing", "Variants are mined on the dev rows.")
    same = [name for name in paths if list(paths.values()).count(paths[name]) > 1]
    if same:
        sheet.add(
            ("data", "path"), f"`data.path` names one file for {' and '.join(same)}", "No row may be in two splits."
        )
    return paths


def _columns(sheet: Sheet, file: DataFile) -> Columns | None:
    if file.inputs is None and sheet.given("data", "inputs"):
        return None
    label, split = file.label, file.split
    inputs = {} if file.inputs is None else read_inputs(sheet, ("data", "inputs"), file.inputs)
    many: Any = label.many if label else None
    if label and label.column is None and not sheet.given("data", "label", "column"):
        sheet.add(("data", "label"), "`data.label.column` is missing", "Name the column of the accepted answers.")
    if label and label.sep and not many:
        sheet.add(
            ("data", "label", "sep"), "`data.label.sep` means something only with `many`", "Add many: any (or all)."
        )
    if label and label.column in inputs.values():
        message = f"`data.inputs` holds the label column {label.column!r}: prompts would contain the answer"
        sheet.add(("data", "inputs"), message, "Take it out of inputs.")
    groups = {each for each in (file.group, split.group if split else None) if each}
    if len(groups) > 1:
        sheet.add(("data", "split", "group"), "`data.group` and `data.split.group` name different columns", "Keep one.")
    return Columns(
        inputs=inputs,
        label=label.column if label else None,
        many=many,
        sep=(label.sep if label else None) or "|",
        id=file.id,
        group=min(groups, default=None),
        weight=file.weight,
        fold=split.column if split else None,
        passages=file.passages,
        gold=file.gold,
    )


def read_inputs(sheet: Sheet, key: Key, value: Any) -> dict[str, str]:
    """Input names → columns, out of a name, a list of columns or a mapping."""
    items = value if isinstance(value, dict) else {}
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    pairs = [(name, column, (*key, name)) for name, column in items.items()]
    pairs += [(column, column, (*key, place)) for place, column in enumerate(listed)]
    inputs: dict[str, str] = {}
    for name, column, at in pairs:
        where = sheet.name(key)
        if not isinstance(column, str) or not column.strip():
            sheet.add(at, f"{where} must name columns, not {shown(column)}", "Put the column's name into quotes.")
        elif name in inputs:
            sheet.add(at, f"{where} names {name!r} twice", "Remove one.")
        elif not name.isidentifier() or name in TAKEN:
            reason = "is taken in templates" if name in TAKEN else "cannot be a variable of a template"
            remedy = f"Give it another name, like inputs: {{text: {column}}}."
            sheet.add(at, f"{where}: the name {name!r} {reason}", remedy)
        else:
            inputs[name] = column
    return inputs


def _split(sheet: Sheet, file: SplitFile, paths: Mapping[str, Path], trains: bool) -> SplitPlan:
    key = ("data", "split")
    seed = 7 if file.seed is None else file.seed
    shares = {name: getattr(file, name) for name in ("train", "dev", "test") if getattr(file, name) is not None}
    if paths and "all" not in paths and (shares or file.column or file.all):
        sheet.add(key, "`data.split` and a file for each split exclude each other", "Keep one of them.")
    elif file.column and shares:
        sheet.add(key, "`data.split` has both a column and shares", "Keep one of them.")
    if file.all or file.column:
        return SplitPlan(0.0, 1.0, 0.0, file.column, file.all, seed)
    train = shares.get("train", 0.3 if trains and not shares else 0.0)
    if "dev" not in shares and "test" not in shares:
        dev = test = (1 - train) / 2
    else:
        dev = shares.get("dev", 1 - train - shares.get("test", 0.0))
        test = shares.get("test", 1 - train - dev)
    if abs(train + dev + test - 1) > 1e-6 or min(dev, test) < -1e-6:
        message = f"`data.split` must add up to 1, not {round(sum(shares.values()), 6):g}"
        sheet.add(key, message, "A share left out gets the rest.")
    elif dev <= 0 and not any(sheet.given(*key, name) and name not in shares for name in ("train", "dev", "test")):
        sheet.add(key, "`data.split` leaves no rows for dev", "Variants are mined on the dev rows.")
    return SplitPlan(train, max(dev, 0.0), max(round(test, 12), 0.0), None, False, seed)


def _labels(sheet: Sheet, value: Any) -> tuple[LabelName, ...] | None:
    key: Key = ("data", "labels")
    if not isinstance(value, str):
        return _label_names(value, sheet.texts, key, sheet.add)
    before = len(sheet.problems)
    path = existing_file(sheet, key, value)
    if len(sheet.problems) > before:
        return None
    try:
        loaded = read_yaml(read_text(path), str(path), problems=sheet.problems)
    except BadInput as error:
        sheet.problems += error.problems
        return None

    def add(key: Key, message: str, remedy: str = "") -> None:
        sheet.problems.append(Problem(message, str(path), loaded.lines.get(key, 1), remedy))

    return _label_names(loaded.value, loaded.texts, (), add)


def _label_names(value: Any, texts: Mapping[Key, str], key: Key, add: Callable[..., None]) -> tuple[LabelName, ...]:
    """Names, exactly as written (01 stays 01, no stays no), with descriptions where there are any."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    if not items:
        add(key, "there must be a list of labels, or a mapping from labels to descriptions")
    found: dict[str, LabelName] = {}
    for name, item in items:
        at = (*key, name)
        text = name if isinstance(name, str) else texts.get(at, "")
        if isinstance(item, (dict, list)):
            remedy = "Write a list of names, or a mapping of `name: description` lines."
            add(at, f"a label {'is' if isinstance(name, int) else 'description is'} text, not {shown(item)}", remedy)
        elif not text.strip():
            add(at, "a label must not be empty", "Put it into quotes, or remove it.")
        elif text in found:
            add(at, f"the label {text!r} is given twice", "Remove one.")
        else:
            found[text] = LabelName(text, texts.get(at, "") if isinstance(name, str) and item is not None else "")
    return tuple(found.values())
