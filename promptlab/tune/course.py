"""The course of a training, kept beside its files: losses by step as results.csv, checkpoints as checkpoints.json."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from promptlab.write import write_csv, write_text

if TYPE_CHECKING:
    from promptlab.tune.wire import Wire

TABLE, CHECKPOINTS = "results.csv", "checkpoints.json"
STEP, TRAIN, VALID = "step", "train_loss", "valid_loss"
MOST = 20_000_000  # bytes of a result file
FILES = 10  # result files that are looked into


@dataclass(frozen=True, slots=True)
class Point:
    """Losses at a step; None = not measured there."""

    step: int
    train: float | None = None
    valid: float | None = None


def write_points(folder: Path, points: Iterable[Point]) -> None:
    """results.csv; the points of one step share a row."""
    joined: dict[int, Point] = {}
    for each in points:
        known = joined.get(each.step, Point(each.step))
        train = known.train if each.train is None else each.train
        joined[each.step] = Point(each.step, train, known.valid if each.valid is None else each.valid)
    cells = [[each.step, each.train, each.valid] for _, each in sorted(joined.items())]
    write_csv(folder / TABLE, [STEP, TRAIN, VALID], cells)


async def keep(wire: Wire, shown: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Fetch what the endpoint tells of a job that succeeded, and say its last losses; nothing where it tells nothing.

    Nothing here is worth failing for, so each thing is asked for once.
    """
    marks = checkpoints(await wire.once(wire.jobs.checkpoints.list(str(shown.get("id")), limit=100)))
    if marks:
        write_text(folder / CHECKPOINTS, json.dumps(marks, indent=1))
    files = shown.get("result_files")
    table: list[dict[str, float]] = []
    for name in files[:FILES] if isinstance(files, list) else []:
        table = table or figures(await wire.content(str(name), MOST), wire.hidden.without)
    if table:
        names = list(dict.fromkeys(key for row in table for key in row))
        write_csv(folder / TABLE, names, [[row.get(key) for key in names] for row in table])
    told = last(table or [each["metrics"] for each in marks])
    return (f"in the end {told}",) if told else ()


def checkpoints(answer: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Step, model and metrics of each checkpoint, by step; what has another shape is left out."""
    items = answer.get("data") if answer else None
    found = []
    for each in items if isinstance(items, list) else []:
        model = each.get("fine_tuned_model_checkpoint") if isinstance(each, dict) else None
        step = each.get("step_number") if isinstance(each, dict) else None
        if isinstance(model, str) and isinstance(step, int) and known(step):
            metrics = each.get("metrics")
            numbers = metrics.items() if isinstance(metrics, dict) else ()
            kept = {str(key): value for key, value in numbers if known(value)}
            found.append({STEP: step, "model": model, "metrics": kept})
    return sorted(found, key=lambda each: each[STEP])


def figures(content: bytes, without: Callable[[str], str] = str) -> list[dict[str, float]]:
    """The rows of a result file, figures only: CSV, or base64 of CSV as OpenAI's own is; empty for anything else.

    ``without`` takes out what nobody may read.
    """
    for data in (content, _plain(content)):
        try:
            rows = list(csv.DictReader(io.StringIO(without(data.decode("utf-8-sig")))))
        except (UnicodeDecodeError, csv.Error):
            continue
        if rows and STEP in rows[0]:
            return [_figures(row) for row in rows]
    return []


def losses(folder: Path) -> str:
    """The last losses of a training in words, from its results.csv; empty where there is none."""
    try:
        return last(figures((folder / TABLE).read_bytes()))
    except OSError:
        return ""


def last(table: Sequence[Mapping[str, float]]) -> str:
    """The last of each loss in words; empty if there is none."""
    told = []
    for name, word in ((TRAIN, "training"), (VALID, "validation")):
        known = [row[name] for row in table if name in row]
        if known:
            told.append(f"{word} loss {known[-1]:.4g}")
    return ", ".join(told)


def _figures(row: Mapping[str | None, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, cell in row.items():
        try:
            value = float(cell)
        except (TypeError, ValueError):
            continue
        if name and name.isidentifier() and math.isfinite(value):
            found[name] = int(value) if name == STEP else value
    return found


def _plain(content: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return b""


def known(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that can be reckoned with: finite, and no larger than the largest."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
