"""What promptlab score prints: the score, statuses, the rows that went wrong, tokens and money."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from promptlab.cli.show import console, print_json
from promptlab.finished import Run
from promptlab.records import Prediction
from promptlab.score import Scored
from promptlab.verdict import EMBEDDED

SHOWN = 5  # wrong rows on the terminal
WIDE = 60  # characters of a cell


def show(run: Run, found: Scored, table: Path, *, as_json: bool) -> None:
    """Print the outcome; ``table`` is where every row stands."""
    if as_json:
        print_json(_json(run, found, table))
        return
    say = console()
    say.print("\n".join(_lines(run, found)), markup=False, highlight=False)
    if found.wrong:
        say.print(_wrong(run, found))
    say.print("\n".join([*_spent(run), f"Rows: {table}"]), markup=False, highlight=False)


def _lines(run: Run, found: Scored) -> list[str]:
    slots = dict(run.prepared.baseline.slots)
    template, model = slots.pop("template"), slots.pop("model")
    choices = "".join(f", {name}={value}" for name, value in slots.items())
    metric = run.prepared.experiment.metrics["main"].spec
    span = "" if math.isnan(found.low) else f" [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    lines = [
        f"{template}{choices}; answered by {model}",
        f"{metric}: {100 * found.value:.1f}{span} on {found.n} rows",
        ", ".join(f"{name} {count}" for name, count in found.statuses.items()),
    ]
    if found.majority is not None:
        label, share = found.majority
        lines.append(f"Always answering {label!r} would be right on {100 * share:.1f} % of them.")
    return lines


def _spent(run: Run) -> list[str]:
    row = run.rows[0]
    priced = run.prepared.task.models[row["model"]].price is not None
    known = sum(call.cached for each in run.findings.search.predictions for call in each.calls)
    parts = [
        f"{row['tokens_in']:,} tokens in",
        f"{row['tokens_out']:,} out",
        f"${row.get('usd') or 0:.4f} spent" if priced else "cost unknown (give --price IN,OUT)",
    ]
    parts += [f"{known} answers were known before"] if known else []
    return [", ".join(parts), *([EMBEDDED] if row["engine"] == "embedded" else [])]


def _wrong(run: Run, found: Scored) -> Table:
    title = f"{len(found.wrong)} rows below a full score" + (f", {SHOWN} of them" if len(found.wrong) > SHOWN else "")
    table = Table(box=None, header_style="bold", title=title, title_justify="left")
    for name in ("row", "input", "expected", "answered"):
        table.add_column(name)
    for each in found.wrong[:SHOWN]:
        example = run.examples[each.example]
        inputs = " | ".join(str(value) for value in example.inputs.values())
        expected = " or ".join(str(value) for value in example.answers)
        answered = str(each.answer) if each.status == "ok" else f"({each.status}) {each.output}"
        cells = (str(example.row), inputs, expected, answered)
        table.add_row(*(Text(_short(cell)) for cell in cells))
    return table


def _short(text: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= WIDE else f"{line[: WIDE - 1]}…"


def _json(run: Run, found: Scored, table: Path) -> dict[str, Any]:
    row = run.rows[0]
    return {
        "template": row["template"],
        "model": row["model"],
        "engine": row["engine"],
        "slots": dict(run.prepared.baseline.slots),
        "metric": run.prepared.experiment.metrics["main"].spec,
        "score": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "statuses": dict(found.statuses),
        "majority": found.majority and {"label": found.majority[0], "share": found.majority[1]},
        "wrong": [_wrong_row(run, each) for each in found.wrong[:SHOWN]],
        "wrong_rows": len(found.wrong),
        **{name: row.get(name) for name in ("calls", "tokens_in", "tokens_cached", "tokens_out", "usd", "usd_per_1k")},
        "run": run.id,
        "folder": str(run.folder),
        "predictions": str(table),
    }


def _wrong_row(run: Run, row: Prediction) -> dict[str, Any]:
    example = run.examples[row.example]
    return {
        "row": example.row,
        "id": example.id,
        "inputs": dict(example.inputs),
        "expected": example.label,
        "answered": row.answer,
        "status": row.status,
        "output": row.output,
        "score": row.score,
    }
