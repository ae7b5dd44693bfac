"""The off-task probe: a small experiment of its own, base and tuned model on the same rows of another task."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from promptlab.choice.probe import FEWEST, Loss, loss
from promptlab.choice.tuned import said
from promptlab.dataset import Columns, load
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment
from promptlab.finished import Run
from promptlab.prepare import Prepared
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
    return len(found.examples)


def probing(whole: Prepared, tuned: Model, path: Path, budget: Budget) -> Experiment:
    """The experiment, written beside the runs: the rows' `prompt` asked as it stands, within the probe's own budget.

    Before = the base model, found by the tuned one's name (`tuned-BASE-s1-n100`), else the experiment's first.
    """
    models = whole.experiment.models
    bases = [each for each in models if tuned.name.startswith(f"tuned-{each.name}-")]
    before = max(bases, key=lambda each: len(each.name), default=models[0])
    tokens = whole.experiment.params.get("max_tokens", (LONGEST,))[0] or LONGEST
    settings: dict[str, Any] = {
        "name": f"{whole.experiment.name}: off-task probe",
        "endpoint": said(before)["base_url"],
        "models": [said(before), said(tuned)],
        "params": {"temperature": 0, "max_tokens": tokens},
        "data": {"path": str(path.resolve()), "inputs": ["prompt"], "label": "answer", "split": "all"},
        "templates": ["probe.j2"],
        "answer": "text",
        "metrics": {"main": "normalised"},
        "baseline": {"model": before.name},
        "search": {
            "propose": ["grid"],
            "allocate": "full",
            "budget": {name: cap for name, cap in asdict(budget).items() if cap is not None},
        },
        "seed": whole.experiment.seed,
    }
    folder = whole.experiment.folder / "runs" / "probe"
    write_text(folder / "probe.j2", TEMPLATE)
    write_text(folder / "experiment.yaml", json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
    return Experiment.load(folder)


def lost(run: Run) -> Loss:
    """What the tuned model answers against the base, row by row."""
    view = run.findings.search.view
    return loss(view.scores[1], view.scores[0], run.findings.seed)
