"""promptlab choose: prompting, retrieval or fine-tuning, measured on one labelled set."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli.arguments import AsJson, ExperimentPath, Limit, Overrides

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console

    from promptlab.choice.planned import Planned
    from promptlab.prepare import Prepared
    from promptlab.session import Watch


def choose(
    experiment: ExperimentPath,
    overrides: Overrides = None,
    limit: Limit = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask everything anew: no cache, new runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; train outside of promptlab, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Mine every arm (prompt, demos, retrieval, fine-tuning) within one budget, and choose by score and total cost.

    Models that the experiment's `tune` asks for and that are not there yet are trained first.

    Example: promptlab choose experiments/product_qa/experiment.yaml
    """
    from promptlab.choice.choose import choose as run
    from promptlab.choice.choose import untrained
    from promptlab.choice.chosen import home
    from promptlab.choice.outline import outline
    from promptlab.choice.planned import planned
    from promptlab.cli.chosen import tell
    from promptlab.cli.show import console
    from promptlab.prepare import opened

    out = console(error=as_json)
    prepared = opened(experiment, overrides or (), limit, keys=True)
    plan = planned(prepared, prepared.experiment.choose)
    asking = _paid(plan) and not yes and out.is_terminal and sys.stdin.isatty()
    if plan.training.external and not (yes or asking):
        plan = untrained(plan)  # nobody is there to be asked
    _say(out, *prepared.rows.notes, *outline(plan))
    if asking and not typer.confirm("Go on?", default=True, err=as_json):
        out.print("Nothing was spent.")
        raise typer.Exit(0)
    tell(run(_trained(plan, out), _watched(out), fresh=fresh), home(prepared), as_json=as_json)


def _paid(plan: Planned) -> bool:
    return plan.training.external or any(not model.endpoint.embedded for model in plan.prepared.experiment.asked)


def _trained(plan: Planned, out: Console) -> Planned:
    """The plan with the models that it lacked; of arms whose training came to nothing it is told."""
    from promptlab.choice.choose import trained
    from promptlab.choice.outline import about
    from promptlab.cli.training import training

    if not plan.training.jobs:
        return plan
    with training(out, about(plan), quick=not plan.training.external) as hears:
        made = trained(plan, hears)
    new = [each for each in made.left_out if each not in plan.left_out]
    _say(out, *(f"arm {each.arm} is left out: {each.left_out}" for each in new))
    return made


def _say(out: Console, *lines: str) -> None:
    from promptlab.cli.board import printable

    for line in lines:
        out.print(printable(line), highlight=False, markup=False)


def _watched(out: Console) -> Callable[[str, Prepared], AbstractContextManager[Watch]]:
    from promptlab.cli.progress import progress

    @contextmanager
    def watched(arm: str, prepared: Prepared) -> Iterator[Watch]:
        _say(out, f"{arm}: run {prepared.identity}")
        with progress(out, prepared.experiment.search.budget) as watch:
            yield watch

    return watched
