"""A run: lock its folder, resume or begin, mine, test, write the tables; and read a finished one back."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from promptlab.artifacts import write_artifacts
from promptlab.dataset.split import save
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment, missing_keys
from promptlab.folder import LOG, gather, locked, project_of, restore
from promptlab.own import own_files
from promptlab.predict import Prompt
from promptlab.predictions import frame, input_names, prediction_columns, prediction_rows
from promptlab.prepare import Prepared, prepare
from promptlab.reads import note_read
from promptlab.records import Example, Message, Variant
from promptlab.results import Findings, claimed, columns, fold, further_metrics
from promptlab.session import Unwatched, Watch, execute
from promptlab.store import Store
from promptlab.wire import Recorded, connect
from promptlab.write import write_csv

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is started. ``limit`` and ``test`` change what is decided; ``fresh`` asks everything anew."""

    fresh: bool = False
    limit: int | None = None
    test: bool = True
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Winner:
    """Dev's pick, or the baseline if nothing was above it. ``claimed``: test says that it beats the baseline."""

    variant: Variant
    claimed: bool
    prompt: Prompt = field(repr=False)

    def messages(self, **inputs: Any) -> list[dict[str, str]]:
        """The chat messages for one set of inputs, as an OpenAI-compatible endpoint takes them."""
        found: tuple[Message, ...] = self.prompt.messages(Example("", inputs))
        return [{"role": each.role, "content": each.content} for each in found]


@dataclass(frozen=True)
class Run:
    """A finished run. Tables are pandas DataFrames, folded from the run's log."""

    folder: Path
    prepared: Prepared
    findings: Findings
    test_reads: int = 0

    @property
    def id(self) -> str:
        """What the column ``run`` says."""
        return self.findings.run

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """results.csv as rows, best rank first."""
        return fold(self.findings)

    @cached_property
    def columns(self) -> list[str]:
        """The columns of results.csv."""
        slots = [name for name in self.prepared.space.names() if name not in ("model", "template")]
        return columns(slots, further_metrics(self.findings.task))

    @cached_property
    def results(self) -> pd.DataFrame:
        """One row per variant, best rank first: the columns of results.csv."""
        return frame(self.columns, [[row.get(name) for name in self.columns] for row in self.rows])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per variant, example and repeat: the columns of predictions.csv."""
        header, rows = self._predicted()
        return frame(header, rows)

    def _predicted(self) -> tuple[list[str], Iterator[list[Any]]]:
        found, examples = self.findings, self.examples
        names = input_names(examples)
        unpriced = {name for name, model in found.task.models.items() if model.price is None}
        predictions = (*found.search.predictions, *found.test)
        return prediction_columns(names), prediction_rows(self.id, predictions, examples, names, unpriced)

    def write_tables(self) -> None:
        """Write results.csv and predictions.csv into the run's folder."""
        write_csv(self.folder / "predictions.csv", *self._predicted())
        write_csv(
            self.folder / "results.csv", self.columns, ([r.get(name) for name in self.columns] for r in self.rows)
        )

    @property
    def examples(self) -> Mapping[str, Example]:
        """Every scored row by id."""
        return {example.id: example for example in self.prepared.rows.scored}

    @property
    def winner(self) -> Winner:
        """Dev's pick, or the baseline if nothing is above it."""
        found = self.findings
        variant = found.search.view.variants[found.choice.pick]
        row = next(each for each in self.rows if each["variant"] == variant.id)
        return Winner(variant, row["status"] == "winner" and claimed(row), found.task.prompt(variant))

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Read a run back from its log alone, for zero calls, also after templates or data were edited.

        Raises BadInput where there is no such run, Interrupted where it is not complete.
        """
        return replay(Path(folder))


def mine(experiment: Experiment, options: Options | None = None, watch: Watch | None = None) -> Run:
    """Run or resume an experiment, and write its tables.

    Raises BadInput before anything is spent, EndpointUnusable or Interrupted when the same call would go on later.
    """
    options, watch = options or Options(), watch or Unwatched()
    problems = missing_keys(experiment)
    if problems:
        raise BadInput(problems)
    prepared = prepare(experiment, options.limit, test=options.test)
    run = _ordinal(experiment, prepared.identity, fresh=options.fresh)
    folder = runs_of(experiment) / run
    project = project_of(experiment.path)
    with locked(folder):
        store = Store(folder / LOG, None if options.fresh else project / "cache.sqlite")
        try:
            _keep(store, prepared, options, run)
            _tell(store)
            reads = 0

            def opened() -> None:
                nonlocal reads
                reads = note_read(project, prepared.rows.test, run)

            findings = _waited(lambda: _wired(prepared, run, store, watch, opened))
            done = Run(folder, prepared, findings, reads)
            write_artifacts(done, store)
            store.note("completed", value=True)
        finally:
            _tell(store)
            store.close()
    return done


def _tell(store: Store) -> None:
    """Name what was damaged and moved aside: the run goes on without it."""
    for note in store.notes():
        sys.stderr.write(note + "\n")


async def _wired(prepared: Prepared, run: str, store: Store, watch: Watch, opened: Callable[[], None]) -> Findings:
    async with connect(prepared.experiment.models) as transport:
        return await execute(prepared, run, transport, store, watch, opened)


def replay(folder: Path) -> Run:
    """The run in a folder, computed again from its log: stored inputs, stored answers, no endpoint."""
    if not (folder / LOG).is_file():
        raise BadInput(Problem("there is no run here", str(folder), remedy="Name a folder under runs/."))
    store = Store(folder / LOG, None)
    try:
        facts = store.fact("options")
        if facts is None:
            _tell(store)
            raise BadInput(Problem("the log does not say how the run was started", str(folder / LOG)))
        with tempfile.TemporaryDirectory() as place:
            restore(store.inputs(), Path(place))
            experiment = Experiment.load(Path(place) / facts["experiment"], facts["overrides"])
            prepared = prepare(experiment, facts["limit"], test=facts["test"])
            recorded = Recorded(store)
            findings = _waited(lambda: execute(prepared, facts["run"], recorded, recorded, Unwatched(), lambda: None))
        return Run(folder, prepared, findings, store.fact("test_reads") or 0)
    finally:
        store.close()


def rebuild(folder: str | Path) -> Run:
    """Write results.csv and predictions.csv of a complete run again, from its log alone.

    Raises as ``Run.load`` does.
    """
    run = replay(Path(folder))
    run.write_tables()
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


def _keep(store: Store, prepared: Prepared, options: Options, run: str) -> None:
    """Put everything the run is made from into its log, and remember the splits."""
    experiment, rows = prepared.experiment, prepared.rows
    if rows.splits:
        save(experiment.folder / "splits.csv", rows.splits)
    if store.fact("options") is not None:
        return
    paths = [*experiment.files, *(Path(source.path) for source in prepared.sources.values())]
    if rows.splits:
        paths.append(experiment.folder / "splits.csv")
    root, files = gather(paths)
    place = experiment.path.resolve().relative_to(root)
    own = {(place.parent / name).as_posix(): content for name, content in own_files(experiment).items()}
    store.keep_inputs(own | files)
    store.note("options", {**asdict(options), "experiment": place.as_posix(), "run": run})


def _waited(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also where an event loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(1) as elsewhere:
        loop = asyncio.new_event_loop()
        task = loop.create_task(work())
        done = elsewhere.submit(_finished, loop, task)
        try:
            return done.result()
        except KeyboardInterrupt:  # the notebook's stop button reaches this thread, not that one
            loop.call_soon_threadsafe(task.cancel)
            raise


def _finished(loop: asyncio.AbstractEventLoop, task: asyncio.Task[T]) -> T:
    try:
        return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
