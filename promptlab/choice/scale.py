"""Margin and target against the scale of the scores, before anything is spent. Pure."""

from __future__ import annotations

from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment
from promptlab.experiment.choose import Choose
from promptlab.metrics import METRICS


def rates(experiment: Experiment) -> bool:
    """Whether every score is known to lie from 0 to 1: built-in metrics do, and a mean of them."""
    weights = experiment.search.objective
    known = all(experiment.metrics[name].spec.partition(":")[0] in METRICS for name in weights)
    return known and all(each >= 0 for each in weights.values()) and sum(weights.values()) <= 1 + 1e-9


def check_scale(experiment: Experiment, wish: Choose) -> None:
    """BadInput where points or per cent were written for scores that go from 0 to 1."""
    if not rates(experiment):
        return
    found: list[Problem] = []
    if wish.margin >= 1:
        what = f"`choose.margin` is {wish.margin:g}, and scores go from 0 to 1: every arm would be as good as the best"
        found.append(experiment.problem(("choose", "margin"), what, f"Did you mean {wish.margin / 100:g}?"))
    if wish.target is not None and wish.target > 1:
        what = f"`choose.target` is {wish.target:g}, and scores go from 0 to 1: no arm could reach it"
        found.append(experiment.problem(("choose", "target"), what, f"Did you mean {wish.target / 100:g}?"))
    if found:
        raise BadInput(found)
