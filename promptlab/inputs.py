"""The files of an experiment, read with all their problems: templates, rows, bank, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from promptlab.allocators import ALLOCATORS, Allocator
from promptlab.bank import Bank
from promptlab.dataset import load as load_dataset
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment
from promptlab.folder import project_of
from promptlab.importing import implementation
from promptlab.jury.human import read_human
from promptlab.metrics import Metric
from promptlab.metrics import load as load_metric
from promptlab.proposers import PROPOSERS, Proposer
from promptlab.retrieve.library import Library
from promptlab.retrieve.opening import opened
from promptlab.retrieve.pool import Progress, quiet
from promptlab.rows import Rows, read_rows
from promptlab.template import Source, Template
from promptlab.template import load as load_templates


@dataclass(frozen=True)
class Inputs:
    """What the files of an experiment hold, as far as they could be read. ``places``: of the demos, for messages.

    ``allocator`` None = it could not be loaded, and a problem says so.
    """

    templates: dict[str, Template]
    sources: dict[str, Source]
    rows: Rows | None
    bank: Bank | None
    places: Mapping[str, tuple[str, int]]
    metrics: dict[str, Metric]
    proposers: tuple[Proposer, ...] = ()
    allocator: Allocator | None = None
    library: Library | None = None


@dataclass
class Relay:
    """Progress for whoever listens by the time that something is built."""

    hear: Progress = quiet

    def __call__(self, what: str, done: int, of: int) -> None:
        """``done`` of so many passages have had this done to them."""
        self.hear(what, done, of)


def read_inputs(experiment: Experiment, problems: list[Problem], wrong: frozenset[str]) -> Inputs:
    """Read every file that no ``wrong`` key names; their problems go on the list."""
    nothing: tuple[dict[str, Template], dict[str, Source]] = ({}, {})
    templates, sources = nothing
    rows: Rows | None = None
    bank: tuple[Bank | None, Mapping[str, tuple[str, int]]] = (None, {})
    if "templates" not in wrong:
        templates, sources = caught(problems, lambda: load_templates(experiment.templates), nothing)
    if "data" not in wrong:
        rows = caught(problems, lambda: read_rows(experiment), None)
    if not wrong & {"data", "bank"}:
        bank = caught(problems, lambda: _bank(experiment, rows), bank)
    metrics: dict[str, Metric] = {}
    for name in experiment.metrics if "metrics" not in wrong else ():
        load = partial(_named, experiment, ("metrics", name), partial(_metric, experiment, name, rows))
        found = caught(problems, load, None)
        metrics |= {name: found} if found is not None else {}
    proposers, allocator = _roles(experiment, problems) if "search" not in wrong else ((), None)
    library = caught(problems, lambda: read_library(experiment), None) if "retrieval" not in wrong else None
    return Inputs(templates, sources, rows, bank[0], bank[1], metrics, proposers, allocator, library)


def caught(problems: list[Problem], read: Any, otherwise: Any) -> Any:
    """What ``read`` gives; its problems go on the list, so that all files are looked at."""
    try:
        return read()
    except BadInput as error:
        problems += error.problems
        return otherwise


def read_library(experiment: Experiment) -> Library | None:
    """The corpus read and cut, what finds something in it imported; None where the experiment retrieves nothing."""
    if experiment.retrieval is None:
        return None
    cache = project_of(experiment.path) / "retrieval"
    library: Library = _named(experiment, ("retrieval",), lambda: opened(experiment.retrieval, cache, Relay()))
    # A run asks for what it rests on; the log, the cache or `sparing` answers what is known. So its budget does not
    # depend on what was kept, and it can be computed again from its log alone.
    library = replace(library, parts=replace(library.parts, anew=True))
    for chunk in library.settings.chunks if library.settings.retrieving else ():
        library.pool(chunk)
    return library


def _named(experiment: Experiment, key: tuple[str | int, ...], read: Any) -> Any:
    """What ``read`` gives; its problems without a place of their own are told at the key that asked for it."""
    try:
        return read()
    except BadInput as error:
        raise BadInput(
            replace(each, path=_from_here(each.path))
            if each.path
            else experiment.problem(key, each.message, each.remedy)
            for each in error.problems
        ) from None


def _from_here(path: str) -> str:
    """A path below the current directory as people would type it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _metric(experiment: Experiment, name: str, rows: Rows | None) -> Metric:
    """The metric; a judge with who is asked, and what people said."""
    spec, model = experiment.metrics[name], experiment.jury.models.get(name)
    judge = {"model": model, "human": read_human(experiment, name, rows)} if model else {}
    return load_metric(spec.spec, {**spec.options, **judge}, experiment.folder)


def _roles(experiment: Experiment, problems: list[Problem]) -> tuple[tuple[Proposer, ...], Allocator | None]:
    """The proposers and the allocator; those that cannot be imported, or do not take their options, are problems."""
    search, found = experiment.search, list[Any]()
    asked = [(_key(experiment, i), "proposer", PROPOSERS, each) for i, each in enumerate(search.propose)]
    allocate = ((("search", "allocate"), "allocator", ALLOCATORS, search.allocate),)
    for key, kind, known, (name, options) in (*asked, *allocate):
        load = partial(implementation, kind, name, known, experiment.folder, options)
        found.append(caught(problems, partial(_named, experiment, key, load), None))
    return tuple(found[:-1]), found[-1]


def _key(experiment: Experiment, place: int) -> tuple[str | int, ...]:
    """Where a proposer stands in the file: under its name, or by its place in the list."""
    key, name = ("search", "propose"), experiment.search.propose[place][0]
    named = [each for each in experiment.places if each[:2] == key and each[2:] and each[-1] == name]
    return named[0] if named else (*key, place)


def _bank(experiment: Experiment, rows: Rows | None) -> tuple[Bank | None, Mapping[str, tuple[str, int]]]:
    """The bank, and where its demos stand; none without one, or where the rows that it is made of are not there."""
    spec = experiment.bank
    if spec is None:
        return None, {}
    if not isinstance(spec.path, Path):
        return (Bank(rows.train), rows.places) if rows else (None, {})
    dataset = load_dataset(spec.path, spec.columns)
    return Bank(dataset.examples), {key: (dataset.path, line) for key, line in dataset.lines.items()}
