"""The off-task probe: a small experiment of its own, base and tuned model on the same rows of another task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from promptlab.choice.probe import Loss, loss
from promptlab.choice.tuned import said
from promptlab.experiment import Experiment
from promptlab.finished import Run
from promptlab.prepare import Prepared
from promptlab.records import Model
from promptlab.write import write_text

TEMPLATE = "{{ prompt }}\n"
LONGEST = 256  # tokens of an answer, where the experiment does not say
MOST = 1_000_000  # calls; it takes two for each row


def probing(whole: Prepared, tuned: Model, rows: Path) -> Experiment:
    """The experiment, written beside the runs: rows with the columns `prompt` and `answer`, asked as they stand.

    Before = the base model, found by the tuned one's name (`tuned-BASE-s1-n100`), else the experiment's first.
    """
    base = next((each for each in whole.experiment.models if tuned.name.startswith(f"tuned-{each.name}-")), None)
    before = base or whole.experiment.models[0]
    tokens = whole.experiment.params.get("max_tokens", (LONGEST,))[0] or LONGEST
    settings: dict[str, Any] = {
        "name": f"{whole.experiment.name}: off-task probe",
        "endpoint": said(before)["base_url"],
        "models": [said(before), said(tuned)],
        "params": {"temperature": 0, "max_tokens": tokens},
        "data": {"path": str(rows.resolve()), "inputs": ["prompt"], "label": "answer", "split": "all"},
        "templates": ["probe.j2"],
        "answer": "text",
        "metrics": {"main": "normalised"},
        "baseline": {"model": before.name},
        "search": {"propose": ["grid"], "allocate": "full", "budget": {"calls": MOST}},
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
