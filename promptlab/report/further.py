"""Sections that are there only where their numbers are: further metrics, retrieval, arms, provenance."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from promptlab.report.marks import table
from promptlab.write import unguarded

MOST = 40
_RETRIEVAL = re.compile(r"(dev|test)\.(hit|recall|precision|mrr|ndcg|map|passages|found)(_at)?(_|\b)")
_METRIC = re.compile(r"(dev|test)\.")
_PLACES = ("retriever", "retrieval")


def metrics(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Markup | None:
    """The metrics beside the main one; they decide nothing."""
    names = [name for name in columns if _METRIC.match(name) and not _RETRIEVAL.match(name)]
    return _measured(rows, names, "Further metrics; they decide nothing")


def retrieval(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Markup | None:
    """What was found before it was answered."""
    found = [name for name in columns if _RETRIEVAL.match(name)]
    slots = [name for name in columns if name.startswith("slot.") and any(word in name for word in _PLACES)]
    return _measured(rows, found, "What the retriever found", slots)


def _measured(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], caption: str, beside: Sequence[str] = ()
) -> Markup | None:
    known = [row for row in rows if any(row.get(name) is not None for name in names)]
    if not known:
        return None
    body = [
        [row["variant"], *(_said(row.get(name)) for name in (*beside, *names)), row["name"]] for row in known[:MOST]
    ]
    head = ["variant", *(name.removeprefix("slot.") for name in beside), *names, "name"]
    more = f"; {len(known) - MOST:,} more in results.csv" if len(known) > MOST else ""
    return table(head, body, caption + more, ["id", *[""] * len(beside), *["num"] * len(names), "name"])


def choice(folder: Path) -> Markup | None:
    """choice.csv as it stands, beside the run or its experiment: prompting, retrieval or fine-tuning."""
    for place in (folder, folder.parent.parent):
        path = place / "choice.csv"
        if path.is_file():
            with path.open(encoding="utf-8-sig", newline="") as file:
                head, *body = list(csv.reader(file)) or [[]]
            shown = [[unguarded(cell) for cell in row[: len(head)]] for row in body[:MOST]]
            shown = [[*row, *[""] * (len(head) - len(row))] for row in shown]
            return table(head, shown, "The choice among arms") if head else None
    return None


def provenance(folder: Path) -> Markup | None:
    """What the run was made from, out of manifest.json."""
    try:
        told = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    hashes = told.get("hashes", {})
    rows = [
        ["run", told.get("run")],
        ["engine", told.get("engine")],
        ["promptlab", f"{told.get('promptlab')} on Python {told.get('python')}"],
        ["libraries", ", ".join(f"{name} {number}" for name, number in told.get("libraries", {}).items())],
        ["rows", ", ".join(f"{count} {name}" for name, count in told.get("rows", {}).items())],
        ["space", f"{told.get('space')} points, {told.get('variants')} tried"],
        ["seeds", ", ".join(f"{name} {seed}" for name, seed in told.get("seeds", {}).items())],
        ["budget", ", ".join(f"{name} {cap}" for name, cap in told.get("budget", {}).items() if cap is not None)],
        ["spent", f"{told.get('calls'):,} calls, ${told.get('spent_usd') or 0:.4g}"],
        ["test reads", told.get("test_reads")],
        *[[f"template {name}", short] for name, short in hashes.get("templates", {}).items()],
        *[[name, hashes[name]] for name in ("experiment", "bank", "test") if hashes.get(name)],
    ]
    return table(["what", "value"], [row for row in rows if row[1] not in (None, "")], "Provenance", ["", "long"])


def _said(value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return ""
    return f"{value:.3g}" if isinstance(value, float) else value
