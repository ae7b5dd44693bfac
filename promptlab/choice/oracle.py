"""The right passages shown to the best variant with retrieval, and what the diagnosis looks at. Dev only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptlab.choice import budget
from promptlab.choice.arms import with_oracle
from promptlab.choice.collect import on_dev, picked, unread
from promptlab.choice.curve import Curve
from promptlab.choice.diagnosis import Seen
from promptlab.choice.overridden import loaded
from promptlab.choice.running import Watched, mined
from promptlab.finished import Run
from promptlab.prepare import prepare
from promptlab.records import Budget
from promptlab.stats.paired import mean

Runs = Mapping[str, Sequence[Run]]


def oracle(runs: Runs, watched: Watched) -> Run | None:
    """The best variant with retrieval, on dev, with the right passages: for the diagnosis alone."""
    found = [done[0] for name, done in runs.items() if "rag" in name and "tuned" not in name]
    if not found:
        return None
    best = _top(found)
    overrides = with_oracle(best.prepared, picked(best).slots)
    if not overrides:
        return None
    before = best.prepared.experiment
    calls = len(best.prepared.rows.dev) * before.search.repeats * best.prepared.task.calls
    cap = budget.overrides(Budget(), None if before.search.budget.calls is None else calls, 1)
    experiment = loaded(before, (*overrides, *cap))
    return mined("oracle", prepare(experiment, best.prepared.limit, test=False), watched)


def seen(runs: Runs, best: str, shown: Run | None, drawn: Sequence[Curve]) -> Seen:
    """Dev's scores, as the diagnosis looks at them; ``shown`` is the oracle's run."""
    closed = [done[0] for name, done in runs.items() if name in ("prompt", "prompt+demos")]
    rag = [done[0] for name, done in runs.items() if name in ("rag", "rag+demos")]
    return Seen(
        best=on_dev(runs[best][0]),
        unread=unread(runs[best][0]),
        closed=on_dev(_top(closed)) if closed else None,
        oracle=on_dev(shown) if shown else None,
        rag=on_dev(_top(rag)) if rag else None,
        curves=drawn,
    )


def _top(among: Sequence[Run]) -> Run:
    return max(among, key=lambda run: mean(on_dev(run)))
