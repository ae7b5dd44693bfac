"""From a parsed experiment to all that a run needs: files read, everything checked, nothing spent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from promptlab import capabilities, slots
from promptlab.allocators import Allocator
from promptlab.check import check_answers, check_bank, check_metrics, check_rows, check_templates
from promptlab.errors import BadInput, Problem, ordered
from promptlab.experiment import Experiment, canonical, missing_keys, read_draft
from promptlab.folder import project_of
from promptlab.importing import source_of
from promptlab.inputs import Inputs, caught, read_inputs
from promptlab.metrics.accepted import text_of
from promptlab.predict import Label, Task
from promptlab.proposers import Proposer
from promptlab.records import Example, Slot, Variant
from promptlab.rows import Rows
from promptlab.space import Space
from promptlab.template import Source
from promptlab.version import __version__
from promptlab.view import View

TRIED = 200  # variants rendered on one row before anything is spent
TRIED_ROWS = 500  # rows on which a template is rendered; many templates share TRIED_CELLS of them
TRIED_CELLS = 2000
COMPARED_ROWS = 5  # rows on which the values of a slot are compared; what is equal there, on ten times as many


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
    files = read_inputs(experiment, problems, frozenset())
    labels = _labels(experiment, files.rows.all) if files.rows else ()
    parser = experiment.answer or ("label" if labels else "text")
    space = _checked(experiment, files, labels, parser, problems)
    if files.rows is None or space is None or files.allocator is None or problems:
        raise BadInput(ordered(problems))
    rows = files.rows
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
    )
    baseline = slots.baseline(experiment, space, files.templates)
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
    _try(prepared)
    return replace(prepared, rows=replace(kept, notes=(*kept.notes, *_alike(prepared))))


def opened(
    path: str | Path, overrides: Sequence[str] = (), limit: int | None = None, *, test: bool = True, keys: bool = False
) -> Prepared:
    """Load and prepare. With a problem in the experiment's file, those of the files it names are told as well.

    ``keys``: the API keys are needed, too.
    """
    draft = read_draft(path, overrides)
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
    lacks_bank = experiment.bank is not None and bank is None
    if rows is not None and templates:
        problems += check_templates(experiment, templates, files.sources, rows, bank)
    if not templates or lacks_bank:
        return None
    space: Space | None = caught(problems, lambda: slots.build(experiment, templates, bank, labels), None)
    if rows is not None and not problems:
        problems += check_answers(experiment, templates, rows, labels, parser)
    return space


def _labels(experiment: Experiment, examples: Iterable[Example]) -> tuple[Label, ...]:
    """The labels: as the experiment lists them, else what the column holds if that is a set of labels at all."""
    if experiment.data.labels is not None:
        return tuple(Label(each.name, each.description) for each in experiment.data.labels)
    answers = [answer for example in examples for answer in example.answers]
    plain = [text_of(answer) for answer in answers if isinstance(answer, (str, int))]
    names = sorted(set(plain))
    few = len(names) <= 50 and len(answers) >= 5 * len(names) and len(plain) == len(answers)
    texts = all(isinstance(answer, str) for answer in answers)  # numbers are classes only where that is said
    if experiment.answer == "label" or (few and texts):
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
    ]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return "r" + hashlib.sha256(text.encode()).hexdigest()[:10]


def _content(example: Example) -> list[Any]:
    passages = [[passage.id, passage.text] for passage in example.passages]
    return [example.id, dict(example.inputs), example.label, example.group, example.weight, passages]


def _try(prepared: Prepared) -> None:
    """Render a spread of variants on the first row, and every template on many rows, so that errors cost nothing."""
    space, task, rows = prepared.space, prepared.task, prepared.rows
    step = max(1, space.size // TRIED)
    numbers = islice(range(0, space.size, step), TRIED)
    variants = [prepared.baseline, *(space.variant(space.point(number), "try") for number in numbers)]
    first = {str(variant.slots["template"]): variant for variant in reversed(variants)}
    cells = [(variant, rows.dev[0]) for variant in variants]
    some = rows.scored[: min(TRIED_ROWS, max(20, TRIED_CELLS // len(first)))]
    cells += [(variant, example) for variant in first.values() for example in some]
    found: dict[tuple[str, int], Problem] = {}
    for variant, example in cells:
        try:
            task.prompt(variant).messages(example)
        except BadInput as error:
            for problem in error.problems:
                found.setdefault((problem.path, problem.line), problem)
    if found:
        raise BadInput(ordered(found.values()))


def _alike(prepared: Prepared) -> list[str]:
    """What to tell of values of a template's slot that send the same messages: often a misspelt comparison."""
    space = prepared.space
    kept = next(slot.values for slot in space.slots if slot.name == "template")
    notes = []
    for slot in space.slots:
        if len(slot.when) != 1 or slot.when[0][0] != "template" or "." in slot.name:  # nested, of no template, or bank
            continue
        [name] = slot.when[0][1]
        groups = [list(slot.values)] if name in kept else []
        for given, rows in _settings(prepared, slot, str(name)):
            parts = [_parted(prepared, given, slot.name, group, rows) for group in groups]
            groups = [part for each in parts for part in each if len(part) > 1]
            if not groups:
                break
        path = prepared.task.templates[str(name)].path
        for group in groups:
            *some, last = map(str, group)
            notes.append(f"note: {path}: the values {', '.join(some)} and {last} of `{slot.name}` send the same prompt")
    return notes


def _settings(prepared: Prepared, slot: Slot, template: str) -> Iterator[tuple[dict[str, Any], tuple[Example, ...]]]:
    """Where the values of a slot are compared: the other slots at their first values; then each at each other one.

    Only values that are equal at all before come to the next, so that this costs nothing where none are.
    """
    dev = prepared.rows.dev
    first = {"template": template}
    yield first, dev[:COMPARED_ROWS]
    yield first, dev[COMPARED_ROWS : 10 * COMPARED_ROWS]
    for other in prepared.space.slots:
        if other.name != slot.name and other.when and template in other.when[0][1]:
            needs = {name: values[0] for name, values in other.when}
            for value in other.values[1:] if len(other.when) == 1 else other.values:
                yield {**needs, **first, other.name: value}, dev[:COMPARED_ROWS]


def _parted(
    prepared: Prepared, given: Mapping[str, Any], slot: str, values: Sequence[Any], rows: Sequence[Example]
) -> list[list[Any]]:
    """The values of a slot, those together that send the same messages and have them read by the same parser."""
    parts: dict[Hashable, list[Any]] = {}
    task, space = prepared.task, prepared.space
    for value in values:
        wanted = {**given, slot: value}
        point: dict[str, Any] = {}
        for each in sorted(space.slots, key=lambda each: len(each.when)):
            if all(point.get(name) in ok for name, ok in each.when):
                point[each.name] = wanted[each.name] if wanted.get(each.name) in each.values else each.values[0]
        word = task.templates[point["template"]].parser
        read = word[str(value)] if isinstance(word, Mapping) and word["by"] == slot else ""
        prompt = task.prompt(space.variant(point, "try"))
        try:
            sent: Hashable = tuple(prompt.messages(example) for example in rows)
        except BadInput:  # in a hole, perhaps: nothing can be said
            sent = object()
        parts.setdefault((read, sent), []).append(value)
    return list(parts.values())
