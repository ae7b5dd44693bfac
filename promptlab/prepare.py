"""From a parsed experiment to all that a run needs: files read, everything checked, nothing spent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from promptlab import __version__, slots
from promptlab.bank import Bank
from promptlab.check import check_bank, check_rows, check_templates
from promptlab.dataset import load as load_dataset
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment, canonical
from promptlab.metrics import Metric, source_of
from promptlab.metrics import load as load_metric
from promptlab.predict import Label, Task
from promptlab.records import Example, Variant
from promptlab.rows import Rows, read_rows
from promptlab.space import Space
from promptlab.template import Source
from promptlab.template import load as load_templates
from promptlab.view import View

TRIED = 200  # variants rendered on one row before anything is spent


@dataclass(frozen=True)
class Prepared:
    """A checked experiment with its files read. ``identity`` hashes all that can change a decision."""

    experiment: Experiment
    task: Task
    space: Space
    rows: Rows
    baseline: Variant
    sources: Mapping[str, Source]
    identity: str

    def view(self) -> View:
        """What the search starts from: the baseline alone, nothing scored."""
        shape = (1, len(self.rows.dev))
        return View(
            space=self.space,
            train=self.rows.train,
            dev=self.rows.dev,
            variants=(self.baseline,),
            scores=np.full(shape, np.nan),
            asked=np.zeros(shape, dtype=bool),
            live=np.ones(1, dtype=bool),
            finalists=self.experiment.search.finalists,
        )


def prepare(experiment: Experiment, limit: int | None = None, *, test: bool = True) -> Prepared:
    """Read and check everything. Raises BadInput with all problems that can be found together.

    ``limit`` keeps the first rows of dev and of test, in their stratified order; ``test`` False leaves test out.
    """
    problems: list[Problem] = []
    templates, sources = _caught(problems, lambda: load_templates(experiment.templates), ({}, {}))
    rows = _caught(problems, lambda: read_rows(experiment), None)
    bank = _caught(problems, lambda: _bank(experiment, rows), None)
    metrics = {
        name: _caught(problems, lambda s=spec: _metric(experiment, s), None)
        for name, spec in experiment.metrics.items()
    }
    if rows is None or not templates or problems:
        raise BadInput(problems)
    labels = _labels(experiment, rows.all)
    problems += check_rows(experiment, rows, labels)
    problems += check_templates(experiment, templates, rows, bank)
    problems += check_bank(experiment, bank, rows)
    space = _caught(problems, lambda: slots.build(experiment, templates, bank, labels), None)
    if space is None or problems:
        raise BadInput(problems)
    kept = replace(rows, dev=rows.dev[:limit], test=rows.test[:limit] if test else ())
    task = Task(
        templates=templates,
        models={model.name: model for model in experiment.models},
        parser=experiment.answer or ("label" if labels else "text"),
        metrics={name: metric for name, metric in metrics.items() if metric is not None},
        objective=experiment.search.objective,
        labels=labels,
        bank=bank,
        params=slots.fixed(experiment),
    )
    baseline = slots.baseline(experiment, space, templates)
    identity = _identity(experiment, task, kept)
    prepared = Prepared(experiment, task, space, kept, baseline, sources, identity)
    _try(prepared)
    return prepared


def _caught(problems: list[Problem], read: Any, otherwise: Any) -> Any:
    """What ``read`` gives; its problems go on the list, so that all files are looked at."""
    try:
        return read()
    except BadInput as error:
        problems += error.problems
        return otherwise


def _metric(experiment: Experiment, spec: Any) -> Metric:
    return load_metric(spec.spec, spec.options, experiment.folder)


def _bank(experiment: Experiment, rows: Rows | None) -> Bank | None:
    spec = experiment.bank
    if spec is None:
        return None
    if not isinstance(spec.path, Path):
        return Bank(rows.train) if rows else None
    return Bank(load_dataset(spec.path, spec.columns).examples)


def _labels(experiment: Experiment, examples: Iterable[Example]) -> tuple[Label, ...]:
    """The labels: as the experiment lists them, else what the column holds if that is a set of labels at all."""
    if experiment.data.labels is not None:
        return tuple(Label(each.name, each.description) for each in experiment.data.labels)
    answers = [answer for example in examples for answer in example.answers]
    names = sorted({answer for answer in answers if isinstance(answer, str)})
    wants = experiment.answer == "label"
    if wants or (len(names) <= 50 and len(answers) >= 5 * len(names) and all(isinstance(a, str) for a in answers)):
        return tuple(Label(name) for name in names)
    return ()


def _identity(experiment: Experiment, task: Task, rows: Rows) -> str:
    """The hash of all that can change a decision: settings, rows in their order, files, metric sources, version."""
    parts = [
        __version__,
        canonical(experiment),
        [sorted((name, each.hash) for name, each in task.templates.items())],
        task.bank.hash if task.bank else "",
        [[_content(example) for example in part] for part in (rows.train, rows.dev, rows.test)],
        {name: source_of(metric) for name, metric in task.metrics.items()},
        [str(label) for label in task.labels],
    ]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return "r" + hashlib.sha256(text.encode()).hexdigest()[:10]


def _content(example: Example) -> list[Any]:
    passages = [[passage.id, passage.text] for passage in example.passages]
    return [example.id, dict(example.inputs), example.label, example.group, example.weight, passages]


def _try(prepared: Prepared) -> None:
    """Render a spread of variants on the first rows, so that a template's errors cost nothing."""
    space, task = prepared.space, prepared.task
    step = max(1, space.size // TRIED)
    numbers = islice(range(0, space.size, step), TRIED)
    variants = [prepared.baseline, *(space.variant(space.point(number), "try") for number in numbers)]
    problems: list[Problem] = []
    for variant in variants:
        try:
            task.prompt(variant).messages(prepared.rows.dev[0])
        except BadInput as error:
            problems += error.problems
    if problems:
        first: dict[tuple[str, int], Problem] = {}
        for problem in problems:
            first.setdefault((problem.path, problem.line), problem)
        raise BadInput(first.values())
