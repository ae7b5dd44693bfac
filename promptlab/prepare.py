"""From a parsed experiment to all that a run needs: files read, everything checked, nothing spent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from promptlab import capabilities, design, slots
from promptlab.admit import MORE, Door
from promptlab.alike import alike
from promptlab.allocators import Allocator
from promptlab.check import (
    check_answers,
    check_bank,
    check_metrics,
    check_proposers,
    check_rows,
    check_templates,
)
from promptlab.check_corpus import check_reading, check_retrieval
from promptlab.check_render import check_render
from promptlab.check_skew import check_skew, unchecked
from promptlab.closing import joined
from promptlab.errors import BadInput, Problem, ordered
from promptlab.experiment import Experiment, canonical, missing_keys, read_draft
from promptlab.folder import project_of
from promptlab.grams import Grams, grams
from promptlab.importing import source_of
from promptlab.inputs import Inputs, caught, read_inputs
from promptlab.metrics.accepted import singly, text_of
from promptlab.mine import draw
from promptlab.predict import Label, Task, predict
from promptlab.proposers import Proposer
from promptlab.records import Example, Variant
from promptlab.retrieve.library import Library
from promptlab.retrieve.notes import notes
from promptlab.rows import Rows
from promptlab.shelf import Shelf, first_gold
from promptlab.space import Space
from promptlab.template import Source
from promptlab.tune.skew import Skews, skews
from promptlab.version import __version__
from promptlab.view import View

INSIDE = ("grid", "random", "tpe")  # proposers of nothing but points of the space


@dataclass(frozen=True)
class Prepared:
    """A checked experiment with its files read, its proposers and allocator loaded.

    ``identity`` hashes all that can change a decision. ``limit`` and ``test`` are as ``prepare`` was asked.
    """

    experiment: Experiment
    task: Task
    space: Space
    rows: Rows
    baseline: Variant
    sources: Mapping[str, Source]
    proposers: tuple[Proposer, ...]
    allocator: Allocator
    identity: str
    limit: int | None = None
    test: bool = True

    def view(self) -> View:
        """What the search starts from: the baseline alone, nothing scored.

        Raises BadInput where a tuned model would be asked otherwise than it was taught: it may still be trained anew.
        """
        if self.skewed:
            raise BadInput(self.skewed)
        shape = (1, len(self.rows.dev))
        return View(
            space=self.space,
            train=self.rows.train,
            dev=self.rows.dev,
            variants=(self.baseline,),
            scores=np.full(shape, np.nan),
            asked=np.zeros(shape, dtype=bool),
            live=np.ones(1, dtype=bool),
            finalists=self.seats,
            answers=np.full(shape, None, dtype=object),
            meta=self.experiment.meta,
            bank=self.task.bank,
            predict=partial(predict, self.task, split="train", phase="design"),
        )

    @property
    def seats(self) -> int:
        """The most finalists there can be: none is left empty where proposers may write variants of their own."""
        most = self.experiment.search.finalists
        inside = all(name in INSIDE for name, _ in self.experiment.search.propose)
        return min(most, self.space.size - self.space.holds(self.baseline)) if inside else most

    @cached_property
    def design(self) -> design.Design | None:
        """What is scored before the search begins."""
        size = self.experiment.search.design
        rng = draw(self.experiment.seed, "design", 0)
        return None if size is None else design.drawn(self.view(), size, rng, self.door)

    def start(self) -> View:
        """The view of the first round: the design's variants beside the baseline."""
        return self.view() if self.design is None else joined(self.view(), self.design.variants)

    @cached_property
    def door(self) -> Door:
        """What new variants have to pass."""
        return Door(self.task, self.rows.dev[:MORE], self._secrets, self.experiment.search.longest, self.skews.of)

    @cached_property
    def skews(self) -> Skews:
        """Who asks tuned models otherwise than they were taught."""
        bank = self.task.bank.demos if self.task.bank else ()
        held = {"dev": self.rows.dev, "test": self.rows.test}
        return skews(self.experiment.models, self.experiment.folder, self.task, (*bank, *self.rows.train), held)

    @cached_property
    def skewed(self) -> list[Problem]:
        """Where the baseline or the whole space asks a tuned model otherwise than it was taught."""
        return check_skew(self.experiment, self.space, self.baseline, self.skews)

    def _secrets(self) -> Grams:
        """The runs of words of dev and test rows, but for what train, bank, templates and labels say as well."""
        told = [*self.rows.train, *(self.task.bank.demos if self.task.bank else ())]
        texts = [text_of(value) for each in told for value in each.inputs.values()]
        texts += [f"{label} {label.description}" for label in self.task.labels]
        return grams(self.rows.scored, [*texts, *(source.text for source in self.sources.values())])


def prepare(experiment: Experiment, limit: int | None = None, *, test: bool = True) -> Prepared:
    """Read and check everything. Raises BadInput with all problems that can be found together.

    ``limit`` keeps the first rows of dev and of test, in their stratified order; ``test`` False leaves test out.
    """
    problems: list[Problem] = []
    files = read_inputs(experiment, problems, frozenset())
    labels = _labels(experiment, files.rows.all) if files.rows else ()
    parser = experiment.answer or ("label" if labels else "text")
    space = _checked(experiment, files, labels, parser, problems)
    if files.rows is None or space is None or files.allocator is None or problems:
        raise BadInput(ordered(problems))
    rows = _with_gold(files.rows, files.library)
    kept = replace(rows, dev=rows.dev[:limit], test=rows.test[:limit] if test else ())
    task = Task(
        templates=files.templates,
        models={model.name: model for model in experiment.models},
        parser=parser,
        metrics=files.metrics,
        objective=experiment.search.objective,
        labels=labels,
        bank=files.bank,
        params=slots.fixed(experiment),
        shelf=Shelf(files.library) if files.library else None,
    )
    baseline = slots.baseline(experiment, space, files.templates)
    task = replace(task, baseline=baseline)
    strategy = (*files.proposers, files.allocator)
    prepared = Prepared(
        experiment=experiment,
        task=task,
        space=space,
        rows=kept,
        baseline=baseline,
        sources=files.sources,
        proposers=files.proposers,
        allocator=files.allocator,
        identity=_identity(experiment, task, kept, strategy),
        limit=limit,
        test=test,
    )
    check_render(task, space, kept, baseline)
    about = notes(files.library, kept.scored, experiment.search.allocate[0]) if files.library else ()
    told = (*about, *alike(task, space, kept.dev), *unchecked(prepared.skews))
    every = (*experiment.files, *prepared.skews.files)  # those of tuned models are for whoever has a run's log alone
    own = replace(experiment, files=tuple(dict.fromkeys(every)))
    return replace(prepared, experiment=own, rows=replace(kept, notes=(*kept.notes, *told)))


def opened(
    path: str | Path,
    overrides: Sequence[str] = (),
    limit: int | None = None,
    *,
    test: bool = True,
    keys: bool = False,
    training: bool = False,
) -> Prepared:
    """Load and prepare. With a problem in the experiment's file, those of the files it names are told as well.

    ``keys``: the API keys are needed, too. ``training``: tuned models that are not there yet are passed over.
    """
    draft = read_draft(path, overrides, training=training)
    problems = list(draft.problems)
    experiment = draft.experiment
    if experiment is not None and keys and not draft.wrong & {"endpoint", "models"}:
        problems += missing_keys(experiment)
        problems += capabilities.problems(experiment, project_of(experiment.path))
    if experiment is not None and not problems:
        return prepare(experiment, limit, test=test)
    if experiment is not None:
        read_inputs(experiment, problems, draft.wrong)
    raise BadInput(ordered(problems))


def _checked(
    experiment: Experiment, files: Inputs, labels: tuple[Label, ...], parser: str, problems: list[Problem]
) -> Space | None:
    """The space; each check is made where the files that it needs could be read."""
    rows, templates, bank = files.rows, files.templates, files.bank
    if rows is not None:
        problems += check_rows(experiment, rows, labels)
        problems += check_metrics(experiment, rows, files.metrics)
        problems += check_bank(experiment, bank, rows, files.places, labels)
        problems += check_retrieval(experiment, files.library, rows)
    lacks_bank = experiment.bank is not None and bank is None
    if rows is not None and templates:
        problems += check_templates(experiment, templates, files.sources, rows, bank)
        problems += check_reading(experiment, templates)
    lacks_corpus = experiment.retrieval is not None and files.library is None
    if not templates or lacks_bank or lacks_corpus:
        return None
    space: Space | None = caught(
        problems, lambda: slots.build(experiment, templates, bank, labels, files.library), None
    )
    if rows is not None and space is not None and not problems:
        problems += check_proposers(experiment, files.proposers, space, rows, bank)
        problems += design.problems(experiment, space, len(rows.dev))
    if rows is not None and not problems:
        problems += check_answers(experiment, templates, rows, labels, parser)
    return space


def _labels(experiment: Experiment, examples: Iterable[Example]) -> tuple[Label, ...]:
    """The labels: as the experiment lists them, else what the column holds if that is a set of labels at all."""
    if experiment.data.labels is not None:
        return tuple(Label(each.name, each.description) for each in experiment.data.labels)
    answers = singly(answer for example in examples for answer in example.answers)
    plain = [text_of(answer) for answer in answers if isinstance(answer, (str, int))]
    names = sorted(set(plain))
    few = len(names) <= 50 and len(answers) >= 5 * len(names) and len(plain) == len(answers)
    texts = all(isinstance(answer, str) for answer in answers)  # numbers are classes only where that is said
    if experiment.answer in ("label", "labels") or (few and texts):
        return tuple(Label(name) for name in names)
    return ()


def _identity(experiment: Experiment, task: Task, rows: Rows, strategy: Iterable[Any]) -> str:
    """The hash of all that can change a decision: settings, rows in their order, files, sources of code, version."""
    parts = [
        __version__,
        canonical(experiment),
        [sorted((name, each.hash) for name, each in task.templates.items())],
        task.bank.hash if task.bank else "",
        [[_content(example) for example in part] for part in (rows.train, rows.dev, rows.test)],
        {name: source_of(metric) for name, metric in task.metrics.items()},
        [source_of(each) for each in strategy],
        [str(label) for label in task.labels],
        *([_corpus(task.shelf)] if task.shelf else []),
    ]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return "r" + hashlib.sha256(text.encode()).hexdigest()[:10]


def _corpus(shelf: Shelf) -> list[Any]:
    """What passages are found in, and by whose code."""
    return [shelf.library.hash, sorted(shelf.library.parts.sources.items())]


def _content(example: Example) -> list[Any]:
    passages = [[passage.id, passage.text] for passage in example.passages]
    gold = [list(example.gold)] if example.gold else []
    return [example.id, dict(example.inputs), example.label, example.group, example.weight, passages, *gold]


def _with_gold(rows: Rows, library: Library | None) -> Rows:
    """The rows, their gold by the ids that the corpus kept."""
    if library is None or not library.names:
        return rows

    def known(part: Sequence[Example]) -> tuple[Example, ...]:
        return tuple(replace(each, gold=first_gold(each.gold, library.names)) if each.gold else each for each in part)

    return replace(rows, train=known(rows.train), dev=known(rows.dev), test=known(rows.test))
