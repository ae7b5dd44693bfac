"""A prepared experiment with more overrides: how an arm is made of the whole."""

from __future__ import annotations

from collections.abc import Sequence

from promptlab.experiment import Experiment
from promptlab.experiment.experiment import INDIFFERENT
from promptlab.prepare import Prepared, prepare


def overridden(prepared: Prepared, overrides: Sequence[str]) -> Prepared:
    """The experiment with more overrides. Only its own run may leave results.csv beside it: an arm counts its rows."""
    made = loaded(prepared.experiment, overrides)
    limit = prepared.limit or len(prepared.rows.all)
    done = prepare(made, limit)
    inside = all(name in INDIFFERENT for name, _ in made.search.propose)
    if done.space.size > 1 or not inside or made.search.allocate[0] == "full":
        return done
    return prepare(loaded(made, ('search.allocate="full"',)), limit)  # else nobody would ask one variant alone on dev


def loaded(experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """The experiment with more overrides, and with a test split where it leaves that open."""
    every = (*experiment.overrides, *overrides)
    made = Experiment.load(experiment.path, every)
    return Experiment.load(experiment.path, (*every, "data.split={dev: 0.5, test: 0.5}")) if made.fixed else made
