"""A run: lock its folder, resume or begin, mine, test, write the tables; or compute one again from its log."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab import capabilities
from promptlab.answered import strangers
from promptlab.artifacts import write_artifacts, write_tables
from promptlab.complete import lost
from promptlab.database import copied
from promptlab.dataset.split import save
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment, canonical, missing_keys
from promptlab.findings import Findings
from promptlab.finished import Run
from promptlab.folder import LOG, gather, locked, project_of, restore
from promptlab.own import own_files
from promptlab.prepare import Prepared, prepare
from promptlab.reads import counts, note_read
from promptlab.session import Unwatched, Watch, execute
from promptlab.sparing import Sparing
from promptlab.store import Store
from promptlab.version import __version__
from promptlab.waiting import waited
from promptlab.wire import Recorded, connect

if TYPE_CHECKING:
    from promptlab.endpoint.router import Router


def mine(prepared: Prepared, watch: Watch | None = None, *, fresh: bool = False) -> Run:
    """Run or resume a prepared experiment, and write its tables. ``fresh`` asks everything anew: no cache, a new run.

    Raises BadInput before anything is spent, EndpointUnusable or Interrupted when the same call would go on later.
    """
    experiment, watch = prepared.experiment, watch or Unwatched()
    known = capabilities.problems(experiment, project_of(experiment.path))
    problems = [*missing_keys(experiment), *known, *prepared.skewed]
    if problems:
        raise BadInput(problems)
    run = _ordinal(experiment, prepared.identity, fresh=fresh)
    folder = runs_of(experiment) / run
    project = project_of(experiment.path)
    with locked(folder):
        store = Store(folder / LOG, None if fresh else project / "cache.sqlite")
        try:
            _keep(store, prepared, run)
            _tell(store)

            def opened() -> int:
                return note_read(project, prepared.rows.test, run) if counts(experiment.models) else 1

            findings = waited(lambda: _wired(prepared, run, store, watch, opened, fresh=fresh))
            done = Run(folder, prepared, findings)
            write_artifacts(done, store)
            store.note("completed", value=True)
            for note in strangers(findings.answered_as, findings.task.models):
                sys.stderr.write(note + "\n")
        finally:
            _tell(store)
            store.close()
    return done


def _tell(store: Store) -> None:
    """Name what was damaged and moved aside: the run goes on without it."""
    for note in store.notes():
        sys.stderr.write(note + "\n")


async def _wired(
    prepared: Prepared, run: str, store: Store, watch: Watch, opened: Callable[[], int], *, fresh: bool
) -> Findings:
    experiment = prepared.experiment
    known = capabilities.read(project_of(experiment.path))
    dialects = {model.endpoint: capabilities.dialects(known, model.endpoint) for model in experiment.asked}
    lanes: Router | None = None
    # what computes the intervals at the end takes a quarter of a second to import: while the first answers are awaited
    asyncio.get_running_loop().run_in_executor(None, import_module, "scipy.special")
    try:
        async with connect(experiment.asked, store, dialects, project_of(experiment.path) / "tuned") as lanes:
            spares = experiment.retrieval is not None and not fresh
            wire = Sparing(lanes, project_of(experiment.path) / "retrieval") if spares else lanes
            return await execute(prepared, run, wire, store, watch, opened)
    finally:
        if lanes is not None:
            if lanes.left_out:  # what an earlier session learnt stays true where this one asked nothing
                store.note("left_out", (store.fact("left_out") or {}) | lanes.left_out)
            for note in lanes.notes():
                sys.stderr.write(note + "\n")


def load_run(folder: str | Path) -> Run:
    """The run in a folder, computed again from its log alone: zero calls, also after templates or data were edited.

    Raises BadInput where there is no such run, Interrupted where it is not complete.
    """
    folder = Path(folder)
    if not (folder / LOG).is_file():
        raise BadInput(_no_log(folder))
    with tempfile.TemporaryDirectory() as place:
        copied(folder / LOG, Path(place) / LOG)  # of a damaged log, opening it to write would leave an empty one
        store = Store(Path(place) / LOG, None)
        try:
            facts = store.fact("options")
            if facts is None:
                remedy = "`promptlab mine` goes on with it."
                raise BadInput(Problem("the log does not say how the run was started", str(folder / LOG), 0, remedy))
            inputs = Path(place) / "inputs"
            restore(store.inputs(), inputs)
            experiment = Experiment.load(inputs / facts["experiment"], facts["overrides"])
            prepared = prepare(experiment, facts["limit"], test=facts["test"])
            recorded = Recorded(store)
            reads = store.fact("test_reads") or 1
            findings = waited(lambda: execute(prepared, facts["run"], recorded, recorded, Unwatched(), lambda: reads))
        finally:
            store.close()
    return Run(folder, prepared, findings)


def _no_log(folder: Path) -> Problem:
    """What is told of a folder without a log: it is another one, or the log was deleted."""
    if not lost(folder):
        return Problem("there is no run here", str(folder), remedy="Name a folder under runs/.")
    remedy = "`promptlab mine` makes it again; what the cache holds costs nothing. The tables can still be compared."
    return Problem(
        f"the log of this run ({LOG}) was deleted, and with it what it was made from", str(folder), 0, remedy
    )


def rebuild(folder: str | Path) -> Run:
    """Write results.csv and predictions.csv of a complete run again, from its log alone.

    Raises as ``load_run`` does.
    """
    run = load_run(folder)
    write_tables(run)
    return run


def runs_of(experiment: Experiment) -> Path:
    """Where the runs of an experiment are."""
    return experiment.folder / "runs"


def _ordinal(experiment: Experiment, identity: str, *, fresh: bool) -> str:
    """The run's id. ``--fresh`` adds an ordinal: the unfinished one of an earlier --fresh, else the next."""
    if not fresh:
        return identity
    number = 2
    while (runs_of(experiment) / f"{identity}-{number}" / "results.csv").exists():
        number += 1
    return f"{identity}-{number}"


def _keep(store: Store, prepared: Prepared, run: str) -> None:
    """Put everything the run is made from into its log, and remember the splits."""
    experiment, rows = prepared.experiment, prepared.rows
    if rows.splits:
        save(experiment.folder / "splits.csv", rows.splits)
    if store.fact("options") is not None:
        return
    paths = [*experiment.files, *(Path(source.path) for source in prepared.sources.values())]
    if prepared.task.shelf is not None:
        paths += prepared.task.shelf.files()
    if rows.splits:
        paths.append(experiment.folder / "splits.csv")
    root, files = gather(paths)
    place = experiment.path.resolve().relative_to(root)
    own = {(place.parent / name).as_posix(): content for name, content in own_files(experiment).items()}
    store.keep_inputs(own | files)
    settings = json.loads(json.dumps(canonical(experiment), default=str))
    store.note("made", {"settings": settings, "promptlab": __version__})
    store.note(
        "options",
        {
            "experiment": place.as_posix(),
            "overrides": experiment.overrides,
            "limit": prepared.limit,
            "test": prepared.test,
            "run": run,
        },
    )
