"""`bank` of an experiment: where demos come from, and the choices among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from promptlab.dataset import Columns
from promptlab.experiment.data import Data, existing_file, read_inputs
from promptlab.experiment.file import BankFile
from promptlab.experiment.sheet import Sheet


@dataclass(frozen=True, slots=True)
class BankSpec:
    """Where demos come from (a file, or the train split) and the choices among them, each value a slot value."""

    path: Path | Literal["train"]
    columns: Columns
    k: tuple[int, ...] = (4,)
    select: tuple[str, ...] = ("random",)
    seeds: tuple[int, ...] = (1,)
    order: tuple[str, ...] = ("given",)


def read_bank(sheet: Sheet, file: BankFile | None, data: Data | None) -> BankSpec | None:
    """The bank; None without one, or where too little of it is right."""
    if file is None:
        return None
    if file.from_ is None and not sheet.given("bank", "from"):
        sheet.add(("bank",), "`bank.from` is missing", "Name a file of examples, or `train`.")
    if file.from_ is None:
        return None
    train = file.from_ == "train"
    path = None if train else existing_file(sheet, ("bank", "from"), file.from_)
    own = [name for name in ("inputs", "label", "id", "passages") if getattr(file, name) is not None]
    for name in own if train else ():
        sheet.add(
            ("bank", name), f"`bank.{name}` and `from: train` exclude each other", "The columns are those of data."
        )
    inputs = read_inputs(sheet, ("bank", "inputs"), file.inputs) if "inputs" in own else None
    if data is None:
        return None
    if train and not data.may_train:
        sheet.add(("bank", "from"), "`bank.from` is train, and the split leaves no train rows", "Give train a share.")
    label = file.label or data.columns.label
    if label is None:
        sheet.add(("bank",), "`bank.label` is missing: demos need answers", "Name the column of the answers.")
    columns = Columns(
        inputs=data.columns.inputs if inputs is None else inputs,
        label=label,
        many=data.columns.many,
        sep=data.columns.sep,
        id=data.columns.id if train else file.id,
        group=data.columns.group if train else None,
        weight=None,
        fold=None,
        passages=data.columns.passages if train else file.passages,
    )
    missing = set(data.columns.inputs) - set(columns.inputs)
    if inputs and missing:
        sheet.add(
            ("bank", "inputs"), f"`bank.inputs` lacks {', '.join(sorted(missing))}", "Demos have the inputs of data."
        )
    return BankSpec(
        path or "train",
        columns,
        tuple(file.k or (4,)),
        tuple(file.select or ("random",)),
        tuple(file.seeds or (1,)),
        tuple(file.order or ("given",)),
    )
