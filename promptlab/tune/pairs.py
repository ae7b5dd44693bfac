"""Pairs for DPO: the wrong answers that the newest run recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from promptlab.errors import BadInput, Problem
from promptlab.folder import ARM, LOG
from promptlab.prepare import Prepared
from promptlab.records import Variant
from promptlab.tune import formats
from promptlab.tune.rows import TrainingRow
from promptlab.tune.settings import TuneSettings
from promptlab.tune.validate import Limits
from promptlab.tune.wrong import recorded


def wrong_answers(
    prepared: Prepared, settings: TuneSettings, variant: Variant, rows: Sequence[TrainingRow]
) -> tuple[formats.Pairs, tuple[str, ...]]:
    """Wrong answers by row, and what is worth knowing. Where DPO needs them and there are none, BadInput."""
    runs = prepared.experiment.folder / "runs"
    found = [each for each in runs.glob("*/predictions.csv") if (each.parent / LOG).exists()]
    found = [each for each in found if not (each.parent / ARM).exists()]  # else a choice would change what it trains on
    newest = max(found, key=lambda each: each.stat().st_mtime, default=None)
    pairs: formats.Pairs = {} if newest is None else _read(newest, rows, prepared.task.prompt(variant).word)
    if settings.method != "dpo":
        return pairs, ()
    if not pairs:
        what = "`tune.method: dpo` needs wrong answers, and no run has recorded any to rows like these"
        remedy = "Run `promptlab mine` first, or tune with `method: supervised`."
        raise BadInput(prepared.experiment.problem(("tune", "method"), what, remedy))
    return pairs, (f"{len(pairs)} of {len(rows)} training rows have a recorded wrong answer, of {newest}.",)


def _read(path: Path, rows: Sequence[TrainingRow], word: str) -> formats.Pairs:
    import pandas as pd

    names = ["example", "split", "label", "answer", "score", "status"]
    try:
        table = pd.read_csv(path, usecols=names, dtype={"example": str, "label": str, "answer": str})
    except (OSError, ValueError) as error:
        raise BadInput(Problem(f"this is no table of predictions: {error}", str(path))) from None
    return recorded(rows, table, word)


def check_pairs(prepared: Prepared, name: str, texts: Mapping[str, bytes], limits: Limits) -> None:
    """BadInput where a job has fewer pairs than its trainer takes."""
    pairs = texts["train.jsonl"].count(b"\n")
    if pairs < limits.fewest:
        what = f"{name} has {pairs} pairs of a right and a wrong answer; it takes {limits.fewest} at least"
        remedy = "Tune on more rows, or with `method: supervised`."
        raise BadInput(prepared.experiment.problem(("tune", "method"), what, remedy))
