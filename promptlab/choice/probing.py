"""The off-task probe: a small experiment of its own, base and tuned model on the same rows of another task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from promptlab.choice.probe import FEWEST, Loss, loss
from promptlab.choice.tuned import said
from promptlab.dataset import Columns, load
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment
from promptlab.finished import Run
from promptlab.prepare import Prepared, prepare
from promptlab.records import Budget, Model
from promptlab.write import write_text

TEMPLATE = "{{ prompt }}\n"
LONGEST = 256  # tokens of an answer, where the experiment does not say
COLUMNS = Columns({"prompt": "prompt"}, "answer")
REMEDY = f"A probe is a table with the columns prompt (sent as it stands) and answer; {FEWEST} rows or more."


def rows(path: Path) -> int:
    """How many rows a probe has. Raises BadInput where it cannot be asked: no such columns, no rows, empty ones."""
    try:
        found = load(path, COLUMNS)
    except BadInput as error:
        told = [replace(each, remedy=f"{each.remedy} {REMEDY}".strip()) for each in error.problems]
        raise BadInput(told) from None
    empty = [each for each in found.examples if not str(each.inputs["prompt"] or "").strip()]
    if empty:
        what = f"row {empty[0].row}: the prompt is empty"
        raise BadInput(Problem(what, found.path, found.lines[empty[0].id], REMEDY))
    if len(found.examples) == 1:
        what = "a probe of 1 row tells nothing of what was lost"
        raise BadInput(Problem(what, found.path, found.lines[found.examples[0].id], REMEDY))
    return len(found.examples)


def check(whole: Prepared, names: Iterable[str], path: Path, budget: Budget) -> None:
    """BadInput where the probe of models of these ``names`` could not be asked, as their base shows; nothing is left.

    All of it is made ready as it will be then, but for the tuned models, which need not be there yet.
    """
    bases = {base.name: base for base in (_base(whole, name) for name in names)}
    with TemporaryDirectory() as made:
        folder = Path(made).resolve()
        try:
            prepare(_written(folder, _settings(whole, list(bases.values()), path, budget)))
        except BadInput as error:
            raise BadInput([_of_probe(each, folder, path) for each in error.problems]) from None


def probing(whole: Prepared, tuned: Model, path: Path, budget: Budget) -> Experiment:
    """The experiment, written beside the runs: the rows' `prompt` asked as it stands, within the probe's own budget.

    Before = the base model, found by the tuned one's name (`tuned-BASE-s1-n100`), else the experiment's first.
    """
    models = [_base(whole, tuned.name), tuned]
    return _written(whole.experiment.folder / "runs" / "probe", _settings(whole, models, path, budget))


def _base(whole: Prepared, tuned: str) -> Model:
    models = whole.experiment.models
    bases = [each for each in models if tuned.startswith(f"tuned-{each.name}-")]
    return max(bases, key=lambda each: len(each.name), default=models[0])


def _settings(whole: Prepared, models: Sequence[Model], path: Path, budget: Budget) -> dict[str, Any]:
    """The experiment that asks these models; the first is what the others are compared with."""
    tokens = whole.experiment.params.get("max_tokens", (LONGEST,))[0] or LONGEST
    return {
        "name": f"{whole.experiment.name}: off-task probe",
        "endpoint": said(models[0])["base_url"],
        "models": [said(each) for each in models],
        "params": {"temperature": 0, "max_tokens": tokens},
        "data": {"path": str(path.resolve()), "inputs": ["prompt"], "label": "answer", "split": "all"},
        "templates": ["probe.j2"],
        "answer": "text",
        "metrics": {"main": "normalised"},
        "baseline": {"model": models[0].name},
        "search": {
            "propose": ["grid"],
            "allocate": "full",
            "budget": {name: cap for name, cap in asdict(budget).items() if cap is not None},
        },
        "seed": whole.experiment.seed,
    }


def _written(folder: Path, settings: Mapping[str, Any]) -> Experiment:
    write_text(folder / "probe.j2", TEMPLATE)
    write_text(folder / "experiment.yaml", json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
    return Experiment.load(folder)


def _of_probe(problem: Problem, folder: Path, path: Path) -> Problem:
    """A problem as one of the probe's file: the user has written no other."""
    ours = bool(problem.path) and Path(problem.path).resolve().is_relative_to(folder)
    where = Problem(problem.message, str(path)) if ours else problem
    told = f"as an off-task probe (`choose.probe`): {where.message}"
    return replace(where, message=told, remedy=f"{where.remedy} {REMEDY}".strip())


def lost(run: Run) -> Loss:
    """What the tuned model answers against the base, row by row."""
    view = run.findings.search.view
    return loss(view.scores[1], view.scores[0], run.findings.seed)
