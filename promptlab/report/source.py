"""The run behind a page: computed again from a copy of its log, as far as its rounds are closed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from promptlab.answered import answered
from promptlab.database import copied
from promptlab.errors import BadInput, CallFailed, EndpointUnusable, Interrupted, Problem
from promptlab.experiment import Experiment
from promptlab.final import choose
from promptlab.findings import Findings
from promptlab.finished import Run
from promptlab.folder import LOG, restore
from promptlab.kept import Predictions
from promptlab.mine import Search
from promptlab.prepare import Prepared, prepare
from promptlab.records import Prediction
from promptlab.report.log import Log, read_log
from promptlab.report.running import Running
from promptlab.session import Unwatched, engine_of, execute
from promptlab.shelf import diagnoses
from promptlab.store import Store
from promptlab.view import Plan, View
from promptlab.wire import Recorded


@dataclass(frozen=True, slots=True)
class Source:
    """A run and its log. ``whole``: it is finished; else the run is what its closed rounds say, test unread."""

    run: Run
    log: Log
    whole: bool


class _Seen(Unwatched):
    """Keeps what every closed round leaves."""

    def __init__(self) -> None:
        self.view: View | None = None
        self.rows = Predictions()
        self.fell: dict[int, int] = {}

    def closed(self, view: View, plan: Plan, rows: Sequence[Prediction]) -> None:
        self.view = view
        self.rows.extend(rows)
        self.fell |= dict.fromkeys(plan.dropped, view.round - 1)


def read_source(folder: Path) -> Source:
    """The run in a folder, finished or going on. Nothing is asked, and its log is not touched.

    Raises BadInput where there is no run, or none that has closed a round.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:  # the process may end while it is read
        copied(folder / LOG, Path(place) / LOG)
        log = read_log(Path(place))
        options = log.facts.get("options")
        if options is None:
            raise BadInput(Problem("the run has not begun", str(folder), remedy="Look again in a moment."))
        store = Store(Path(place) / LOG, None)
        try:
            restore(store.inputs(), Path(place) / "inputs")
            experiment = Experiment.load(Path(place) / "inputs" / options["experiment"], options["overrides"])
            prepared = prepare(experiment, options["limit"], test=options["test"])
            findings, whole = _elsewhere(prepared, options["run"], store, folder)
        finally:
            store.close()
    kind = Run if whole else Running
    return Source(kind(folder, prepared, findings), log, whole)


def _elsewhere(prepared: Prepared, run: str, store: Store, folder: Path) -> tuple[Findings, bool]:
    """In a thread with a loop of its own: a notebook's is running already, and a server's threads have none."""
    seen, recorded = _Seen(), Recorded(store)

    def work() -> Findings:
        reads = store.fact("test_reads") or 1
        return asyncio.run(execute(prepared, run, recorded, recorded, seen, lambda: reads))

    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(work).result(), True
        except (Interrupted, EndpointUnusable, CallFailed):
            if seen.view is None:
                raise BadInput(Problem("no round is closed yet", str(folder), remedy="Look again soon.")) from None
    return _so_far(prepared, run, seen, seen.view), False


def _so_far(prepared: Prepared, run: str, seen: _Seen, view: View) -> Findings:
    """What the closed rounds say: a choice that may still change, and no test."""
    who = answered(seen.rows)
    search = Search(view, seen.rows, seen.fell, {})
    told = [v for v, each in enumerate(view.variants) if diagnoses(each)]
    choice = choose(view, prepared.experiment.seed, barred=told)
    engine = engine_of(prepared, who)
    return Findings(run, engine, prepared.task, search, choice, (), (), prepared.experiment.seed, who.models)
