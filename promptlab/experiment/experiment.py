"""experiment.yaml → Experiment: parsed, checked and frozen. Every problem of the file is told at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from promptlab.answer import parser
from promptlab.errors import BadInput, Problem, nearest
from promptlab.experiment.bank import BankSpec, read_bank
from promptlab.experiment.budget import check_budget, check_meta
from promptlab.experiment.choose import Choose, read_choose
from promptlab.experiment.data import Data, existing_file, read_data, relative_to
from promptlab.experiment.file import ExperimentFile
from promptlab.experiment.metrics import Jury, apart, read_jury, read_metrics
from promptlab.experiment.models import read_meta, read_models
from promptlab.experiment.params import read_params
from promptlab.experiment.retrieval import read_retrieval
from promptlab.experiment.search import (
    MetricSpec,
    Search,
    read_baseline,
    read_search,
    read_space,
)
from promptlab.experiment.shape import check_shape
from promptlab.experiment.sheet import Sheet, read_sheet, where
from promptlab.experiment.tune import read_tune
from promptlab.records import Model
from promptlab.retrieve.settings import Settings
from promptlab.tune.settings import TuneSettings
from promptlab.yaml_file import Key

FILE = "experiment.yaml"
OTHERS: Mapping[str, str] = {
    **dict.fromkeys((".j2", ".jinja", ".jinja2"), "a template"),
    **dict.fromkeys((".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"), "a table of rows"),
}
INDIFFERENT = ("grid", "random")
"""Proposers that no score has a part in."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A checked experiment: the files exist and the settings fit together; templates and rows are not read yet.

    ``params`` maps each parameter to the tuple of its values (several = a slot; null = not sent). ``space_pins`` maps
    slots to the values that are left, ``exclude`` are the holes, ``baseline`` slot values (None: the file names none).
    ``meta`` is the model that proposers ask: the first one if the file names none; ``jury`` who judges, by metric;
    ``retrieval`` where passages come from (None: from the rows, or from nowhere).
    ``answer`` is None where every template says its own or the default holds. ``source`` is the file's text;
    ``files`` are the file itself and all that it names but templates: rows, bank, labels, schemas.
    """

    path: Path
    name: str
    source: str
    models: tuple[Model, ...]
    params: Mapping[str, tuple[Any, ...]]
    data: Data
    templates: tuple[Path, ...]
    bank: BankSpec | None
    space_pins: Mapping[str, tuple[Any, ...]]
    exclude: tuple[Mapping[str, Any], ...]
    answer: str | None
    metrics: Mapping[str, MetricSpec]
    baseline: Mapping[str, Any] | None
    search: Search
    seed: int = 7
    meta: Model | None = None
    jury: Jury = field(default_factory=lambda: Jury({}, {}))
    retrieval: Settings | None = None
    choose: Choose = field(default_factory=Choose)
    tune: TuneSettings | None = None
    files: tuple[Path, ...] = ()
    overrides: tuple[str, ...] = ()
    places: Mapping[Key, tuple[str, int]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
        """Read a file, or the experiment.yaml of a folder; ``overrides`` are `key=value` as `--set` takes them.

        Raises BadInput with every problem: file and line, or the `--set` that brought it.
        """
        draft = read_draft(path, overrides)
        if draft.problems or draft.experiment is None:
            raise BadInput(draft.problems)
        return draft.experiment

    @property
    def asked(self) -> tuple[Model, ...]:
        """Every model that may be asked: those that answer, that proposers ask, that judge, that retrieval needs."""
        found = (self.retrieval.embedding, self.retrieval.model) if self.retrieval else ()
        beside = [each for each in (self.meta, *self.jury.models.values(), *found) if each is not None]
        every = (*self.models, *beside)
        return tuple(each for place, each in enumerate(every) if each not in every[:place])

    @property
    def fixed(self) -> bool:
        """Whether every variant is known before any score is seen, and all meet every row: no test set is needed then.

        Dev alone can tell a winner, all that were tried counted (EVIDENCE 2).
        """
        written = any(key[:2] == ("data", "split") for key in self.places) or "all" not in self.data.paths
        known = all(name in INDIFFERENT for name, _ in self.search.propose)
        return known and not written and self.search.allocate[0] == "full" and not self.data.split.train

    @property
    def folder(self) -> Path:
        """Where the experiment lives: what its paths are relative to, and where its runs go."""
        return self.path.parent

    def problem(self, key: Key, message: str, remedy: str = "") -> Problem:
        """A problem at a key of the file, like ("baseline", "task"): for checks that need templates or rows."""
        path, line = where(self.places, key, str(self.path))
        return Problem(message, path, line, remedy)


@dataclass(frozen=True, slots=True)
class Draft:
    """A file that may have problems: what could be read of it, and the top-level keys that are ``wrong``."""

    experiment: Experiment | None
    problems: tuple[Problem, ...]
    wrong: frozenset[str]


def read_draft(path: str | Path, overrides: Sequence[str] = (), *, training: bool = False) -> Draft:
    """Read as much as can be, so that problems of other files can be told together with those of this one.

    ``training``: tuned models that are not there yet are passed over. Raises BadInput where nothing can be read at all.
    """
    sheet = read_sheet(_file(Path(path)), overrides)
    sheet.training = training
    experiment = _read(sheet, check_shape(sheet))
    if experiment is not None:
        experiment = replace(experiment, overrides=tuple(overrides))
    problems = sorted(sheet.problems, key=lambda each: (each.path != str(sheet.path), each.path, each.line))
    return Draft(experiment, tuple(problems), frozenset(sheet.wrong))


def _file(path: Path) -> Path:
    """The experiment file that a path means."""
    try:
        if path.is_dir():
            path = path / FILE
        if path.is_file() and path.suffix.lower() not in OTHERS:
            return path
        if path.is_file():
            what = f"this is {OTHERS[path.suffix.lower()]}, not an experiment"
            raise BadInput(Problem(what, str(path), 0, f"Name an {FILE}, or the folder that holds one."))
        names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    except (OSError, ValueError):
        names = []
    near = nearest(path.name, names)
    if near.startswith("Did"):
        remedy = near
    elif path.parent.is_dir():
        remedy = f"Name an {FILE}, or the folder that holds one."
    else:
        remedy = f"There is no folder {str(path.parent)!r}, either."
    raise BadInput([Problem("there is no such file", str(path), 0, remedy)])


def _read(sheet: Sheet, file: ExperimentFile) -> Experiment | None:
    """Build every part, noting problems on the sheet; None where a part that cannot be left out is missing."""
    models = read_models(sheet, file.endpoint, file.models, file.tune.price if file.tune else None)
    params = read_params(sheet, file.params)
    data = read_data(sheet, file.data, trains=bool(file.bank and file.bank.from_ == "train"))
    templates = _templates(sheet, file.templates)
    bank = read_bank(sheet, file.bank, data)
    pins, holes = read_space(sheet, file.space or {})
    metrics = read_metrics(sheet, file.metrics)
    search = read_search(sheet, file.search, metrics)
    meta = read_meta(sheet, file.endpoint, file.search.meta if file.search else None, models)
    jury = read_jury(sheet, file.endpoint, metrics, models)
    check_budget(sheet, search, models, params)
    check_meta(sheet, search.budget, meta, models)
    for name, judge in jury.models.items():
        check_meta(sheet, search.budget, judge, models, ("metrics", name, metrics[name].spec, "model"))
    retrieval = read_retrieval(sheet, file.retrieval, file.endpoint, models, data)
    for name in ("embedding", "model") if retrieval else ():
        check_meta(sheet, search.budget, getattr(retrieval, name), models, ("retrieval", name))
    if data is None:
        return None
    data = apart(sheet, data, jury)
    return Experiment(
        path=sheet.path,
        name=file.name or _name(sheet.path),
        source=sheet.source,
        models=models,
        params=params,
        data=data,
        templates=templates,
        bank=bank,
        space_pins=pins,
        exclude=holes,
        answer=_answer(sheet, file.answer) or ("labels" if data.columns.many == "all" else None),
        metrics=metrics,
        baseline=read_baseline(sheet, file.baseline),
        search=search,
        seed=7 if file.seed is None else file.seed,
        meta=meta,
        jury=jury,
        retrieval=retrieval,
        choose=read_choose(sheet, file.choose, models),
        tune=read_tune(sheet, file.tune, models),
        files=(sheet.path, *(each for each in dict.fromkeys(sheet.files) if each not in templates)),
        places=sheet.places,
    )


def _name(path: Path) -> str:
    return path.absolute().parent.name if path.name == FILE else path.stem


def _answer(sheet: Sheet, spec: str | None) -> str | None:
    if spec is not None:
        try:
            parser(spec)
        except BadInput as error:
            for each in error.problems:
                sheet.add(("answer",), each.message, each.remedy)
    return spec


def _templates(sheet: Sheet, patterns: Sequence[str] | None) -> tuple[Path, ...]:
    """The template files, sorted, each once. One whose name starts with `_` is a part of others: no glob finds it."""
    if patterns is None:
        if not sheet.given("templates"):
            sheet.add((), "`templates` is missing", "Name template files, like templates: [templates/*.j2].")
        return ()
    found: set[Path] = set()
    for place, pattern in enumerate(patterns):
        key: Key = ("templates", place)
        if not glob.has_magic(pattern):
            found.add(existing_file(sheet, key, pattern))
            continue
        paths = (sheet.folder / each for each in glob.iglob(pattern, root_dir=sheet.folder, recursive=True))  # noqa: PTH207 - Path.glob takes neither .. nor absolute patterns
        files = {Path(os.path.normpath(each)) for each in paths if not each.name.startswith("_") and each.is_file()}
        if not files:
            sheet.add(key, f"{sheet.name(key)}: no file matches {pattern!r}", relative_to(sheet))
        found |= files
    return tuple(sorted(found))


def missing_keys(experiment: Experiment, environ: Mapping[str, str] = os.environ) -> list[Problem]:
    """The variables that should hold API keys and do not: asked when a run starts, not when a file is read."""
    users: dict[str, list[str]] = {}
    for model in experiment.asked:
        if model.endpoint.api_key_env and not environ.get(model.endpoint.api_key_env, "").strip():
            users.setdefault(model.endpoint.api_key_env, []).append(model.name)
    return [
        experiment.problem(
            ("endpoint", "api_key_env"),
            f"the environment variable {variable} is not set; it should hold the key for {', '.join(names)}",
            f"Set it: export {variable}=…",
        )
        for variable, names in users.items()
    ]
