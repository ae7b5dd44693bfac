"""Who judged: the model behind every metric that asks one, and how its rubric begins."""

from __future__ import annotations

from markupsafe import Markup

from promptlab.experiment import Experiment
from promptlab.report.marks import table

BEGINNING = 160  # characters of a rubric; the experiment file has all of it


def judges(experiment: Experiment) -> Markup | None:
    """A row for each judge; None where no metric has one."""
    rows = [
        [name, spec.spec, _model(experiment, name), _rubric(str(spec.options.get("rubric", "")))]
        for name, spec in experiment.metrics.items()
        if name in experiment.jury.models
    ]
    return table(["metric", "kind", "model", "rubric"], rows, "Judges", ["", "", "id", "long"]) if rows else None


def _model(experiment: Experiment, name: str) -> str:
    model = experiment.jury.models[name]
    return model.id if model.name == model.id else f"{model.name} ({model.id})"


def _rubric(said: str) -> str:
    """The first words, cut between two of them."""
    flat = " ".join(said.split())
    return flat if len(flat) <= BEGINNING else f"{flat[:BEGINNING].rsplit(' ', 1)[0]} …"
