"""A run that goes on: nothing is decided, so its variants are alive or fell, and nobody is beaten, tied or a winner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from promptlab.finished import Run
from promptlab.unit import unit_of

ALIVE = "alive"


@dataclass(frozen=True)
class Running(Run):
    """As far as the closed rounds go."""

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """results.csv as rows would stand now: who is alive comes first, the best so far above; intervals are kept."""
        search = self.findings.search
        live = {each.id: bool(on) for each, on in zip(search.view.variants, search.view.live, strict=True)}
        rows = [{**row, "status": _status(row["status"], alive=live[row["variant"]])} for row in super().rows]
        rows.sort(key=lambda row: (not live[row["variant"]], row.get("dev_score") is None, -_gain(row)))  # stable
        return [{**row, "rank": rank} for rank, row in enumerate(rows, 1)]


def sentence(run: Run) -> str:
    """How far the search is, and who leads, in words that claim nothing."""
    view = run.findings.search.view
    alive, tried = int(view.live.sum()), len(view.variants)
    deltas = view.deltas()
    best = next((v for v in view.ranking() if v != 0 and not math.isnan(deltas[v])), None)
    leads = "nothing is scored beside the baseline so far"
    if best is not None:
        shared = int((~np.isnan(view.scores[[0, best]])).all(axis=0).sum())
        gap = unit_of([view.scores]).points(float(deltas[best]))
        leads = f"best so far {view.variants[best].id} ({gap} on {shared:,} row{'s' * (shared != 1)})"
    return f"The search goes on: round {view.round}, {alive} of {tried} alive, {leads}. Nothing is decided yet."


def _status(said: str, *, alive: bool) -> str:
    """The baseline stays what it is, and so does who only failed; no other word is earned before the end."""
    if said in ("baseline", "failed"):
        return said
    return ALIVE if alive else "dropped"


def _gain(row: dict[str, Any]) -> float:
    return 0.0 if row["status"] == "baseline" else row.get("dev_delta") or 0.0
