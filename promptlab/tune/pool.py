"""Who is learned from."""

from __future__ import annotations

from promptlab.errors import BadInput
from promptlab.prepare import Prepared
from promptlab.records import Example


def examples(prepared: Prepared) -> tuple[tuple[Example, ...], str]:
    """The train split, or the bank where there is none; and which of the two. BadInput where there are neither."""
    if prepared.rows.train:
        return prepared.rows.train, "train"
    if prepared.task.bank is not None and prepared.task.bank.demos:
        return tuple(prepared.task.bank.demos), "bank"
    remedy = "Give the split a share: data: {split: {train: 0.3, ...}}; or name a bank."
    raise BadInput(prepared.experiment.problem(("data", "split"), "there are no training rows", remedy))
