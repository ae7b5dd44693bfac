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

    from promptlab.choice.choose import Planned
    from promptlab.prepare import Prepared
    from promptlab.session import Watch


def choose(
    experiment: ExperimentPath,
    overrides: Overrides = None,
    limit: Limit = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask everything anew: no cache, new runs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before spending.")] = False,
    as_json: AsJson = False,
) -> None:
    """Mine every arm (prompt, demos, retrieval, fine-tuning) within one budget, and choose by score and total cost.

    Example: promptlab choose experiments/product_qa/experiment.yaml
    """
    from promptlab.choice.choose import choose as run
    from promptlab.choice.choose import home, planned
    from promptlab.cli.chosen import plan_lines, tell
    from promptlab.cli.show import console
    from promptlab.prepare import opened

    out = console(error=as_json)
    prepared = opened(experiment, overrides or (), limit, keys=True)
    plan = planned(prepared, prepared.experiment.choose)
    for line in (*prepared.rows.notes, *plan_lines(plan)):
        out.print(line, highlight=False, markup=False)
    if _asking(plan, out, yes=yes) and not typer.confirm("Go on?", default=True, err=as_json):
        out.print("Nothing was spent.")
        raise typer.Exit(0)
    tell(run(plan, _watched(out), fresh=fresh), home(prepared), as_json=as_json)


def _asking(plan: Planned, out: Console, *, yes: bool) -> bool:
    paid = any(not model.endpoint.embedded for model in plan.prepared.experiment.asked)
    return paid and not yes and out.is_terminal and sys.stdin.isatty()


def _watched(out: Console) -> Callable[[str, Prepared], AbstractContextManager[Watch]]:
    from promptlab.cli.progress import progress

    @contextmanager
    def watched(arm: str, prepared: Prepared) -> Iterator[Watch]:
        out.print(f"{arm}: run {prepared.identity}", highlight=False, markup=False)
        with progress(out, prepared.experiment.search.budget) as watch:
            yield watch

    return watched
