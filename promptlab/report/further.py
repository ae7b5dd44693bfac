"""Sections that are there only where their numbers are: further metrics, retrieval, arms, provenance."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from promptlab.comparison.retrieval import cells, identity
from promptlab.comparison.retrieval import retrieval as retrieval_of
from promptlab.finished import Run
from promptlab.report.marks import joined, table, tag
from promptlab.unit import Unit
from promptlab.write import unguarded

MOST = 40
_RETRIEVAL = re.compile(
    r"(dev|test)\.(?:(?:hit|recall|precision|mrr|ndcg|map|passages|found)(?:_at)?(?:_|\b)"
    r"|(?:gold_rank|score_hit|score_miss|passage_tokens|grounded|covered|quoted|cite_precision|cite_recall)\b)"
)
_METRIC = re.compile(r"(dev|test)\.")
_CHOICE = ("arm", "verdict", "test_score", "delta", "usd_per_1k", "latency_p95_ms", "reason")
_PLACES = ("retriever", "retrieval")


def metrics(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Markup | None:
    """The metrics beside the main one; they decide nothing."""
    names = [name for name in columns if _METRIC.match(name) and not _RETRIEVAL.match(name)]
    return _measured(rows, names, "Further metrics; they decide nothing")


def retrieved(run: Run, unit: Unit) -> Markup | None:
    """What retrieval is worth to the best prompt that looks for passages, and every variant's own measures."""
    found = retrieval_of(run.results, run.predictions, run.findings.seed)
    measured = retrieval(run.rows, run.columns)
    if found is None:
        return measured
    head, body = cells(found.first(MOST), unit)
    caption = f"The prompt of {found.variant} with every way to find its passages, on {found.split}"
    caption += f"; {len(found.ways) - len(body):,} more in results.csv" if len(body) < len(found.ways) else ""
    caption += f"; {told}" if (told := identity(found)) else ""
    kinds = ["", "id", *["num"] * (len(head) - 2)]
    return joined((tag("p", found.advice.sentence), table(head, body, caption, kinds), measured or ""))


def retrieval(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Markup | None:
    """What was found before it was answered: the best variant of every retrieval, on dev where that is measured."""
    found = [name for name in columns if _RETRIEVAL.match(name)]
    found = [name for name in found if name.startswith("dev.")] or found
    slots = [name for name in columns if name.startswith("slot.") and any(word in name for word in _PLACES)]
    first: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for row in rows:
        first.setdefault(tuple(str(row.get(name)) for name in slots), row)
    told = {name: {str(row[name]) for row in first.values() if row.get(name) not in (None, "")} for name in slots}
    varying = [name for name in slots if len(told[name]) > 1] or slots
    return _measured([*first.values()], found, "What each retrieval found; of several variants, the best", varying)


def _measured(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], caption: str, beside: Sequence[str] = ()
) -> Markup | None:
    known = [row for row in rows if any(row.get(name) is not None for name in names)]
    if not known:
        return None
    named = [] if beside else ["name"]  # the slots say it as well
    body = [[row["variant"], *(_said(row.get(name)) for name in (*beside, *names, *named))] for row in known[:MOST]]
    head = ["variant", *(name.removeprefix("slot.") for name in beside), *names, *named]
    more = f"; {len(known) - MOST:,} more in results.csv" if len(known) > MOST else ""
    return table(head, body, caption + more, ["id", *[""] * len(beside), *["num"] * len(names), *named])


def choice(folder: Path, *, linked: bool = True) -> Markup | None:
    """The choice beside the run or its experiment, in short: prompting, retrieval or fine-tuning.

    ``linked``: with a link to its page, where there is one, as seen from the run's folder.
    """
    for way, place in (("", folder), ("../../", folder.parent.parent), ("../choice/", folder.parent / "choice")):
        path = place / "choice.csv"
        if path.is_file():
            with path.open(encoding="utf-8-sig", newline="") as file:
                head, *body = list(csv.reader(file)) or [[]]
            shown = [at for at, name in enumerate(head) if name in _CHOICE] or list(range(len(head)))
            rows = [[_figure(unguarded(row[at])) if at < len(row) else "" for at in shown] for row in body[:MOST]]
            link = Markup("")
            if linked and (place / "choice.html").is_file():
                link = tag("p", tag("a", "The choice with its reasons and drawings", href=f"{way}choice.html"))
            made = table([head[at].replace("_", " ") for at in shown], rows, "The choice among arms")
            return joined((link, made)) if head else None
    return None


def _figure(cell: str) -> str:
    """A cell of a table, a fraction in three digits."""
    try:
        return f"{float(cell):.3g}" if "." in cell else cell
    except ValueError:
        return cell


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
