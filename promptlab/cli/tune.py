"""promptlab tune: training files, jobs, the tuned model as one more variant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from promptlab.cli.arguments import AsJson, ExperimentPath, Overrides

if TYPE_CHECKING:
    from rich.console import Console

    from promptlab.tune.plan import TunePlan
    from promptlab.tune.tune import TunedModel


def tune(
    experiment: ExperimentPath,
    overrides: Overrides = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train anew what was trained before.")] = False,
    stop: Annotated[bool, typer.Option("--cancel", help="Cancel the jobs that were started; train nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a job is started.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the training files of an experiment, check and price them, and train; the same command goes on.

    Example: promptlab tune experiments/support_intent/experiment.yaml --set tune.trainer=openai
    """
    from promptlab.cli.board import printable
    from promptlab.cli.show import console, print_json
    from promptlab.prepare import opened
    from promptlab.tune.plan import plan
    from promptlab.tune.settings import TuneSettings
    from promptlab.tune.tune import cancel
    from promptlab.tune.tune import tune as train

    out = console(error=as_json)
    prepared = opened(experiment, overrides or (), keys=True)
    settings = prepared.experiment.tune or TuneSettings()
    if stop:
        for line in cancel(prepared, settings):
            out.print(printable(line), highlight=False, markup=False)
        return
    laid = plan(prepared, settings)
    for line in lines(laid):
        out.print(printable(line), highlight=False, markup=False)
    if not yes and _external(laid):
        if not (out.is_terminal and sys.stdin.isatty()):
            _write(laid, out)
        elif not typer.confirm("Start?", default=True, err=as_json):
            out.print("Nothing was started.")
            raise typer.Exit(0)
        else:
            yes = True
    models = train(
        prepared,
        settings,
        yes=yes,
        fresh=fresh,
        planned=laid,
        tell=lambda name, line: out.print(printable(f"{name}: {line}"), highlight=False, markup=False),
    )
    if as_json:
        print_json([row(each) for each in models])
        return
    if settings.trainer == "none":
        _write(laid, out)
    for each in models:
        out.print(printable(told(each)), highlight=False, markup=False)


def lines(laid: TunePlan) -> list[str]:
    """The plan in words."""
    found = [*laid.notes]
    if laid.settings.trainer == "given":
        return found
    for job in laid.jobs:
        usd = "" if job.cost.usd is None else f", ${job.cost.usd:.4g}"
        about = "" if job.cost.exact else "about "
        found.append(f"{job.name}: {len(job.rows)} rows, {about}{job.cost.train_tokens:,} tokens to train on{usd}")
    total = laid.cost
    if total.usd is None:
        found.append("no price is given (`tune.price.train`), so no cost is reckoned.")
    elif len(laid.jobs) > 1:
        found.append(f"{len(laid.jobs)} jobs, ${total.usd:.4g} together.")
    if laid.settings.price.hosting_per_hour:
        found.append(f"the tuned model is served at ${laid.settings.price.hosting_per_hour:g} an hour.")
    return found


def told(each: TunedModel) -> str:
    """A tuned model in words."""
    usd = "" if each.usd is None else f", ${each.usd:.4g}"
    tokens = "" if each.train_tokens is None else f", {each.train_tokens:,} tokens"
    taken = f" ({each.rows} rows{tokens}{usd})" if each.rows else ""
    return f"{each.model.name}: {each.model.id}{taken}"


def row(each: TunedModel) -> dict[str, object]:
    """A tuned model for programs."""
    return {
        "name": each.model.name,
        "id": each.model.id,
        "base_url": each.model.endpoint.base_url,
        "base": each.base,
        "recipe": each.recipe,
        "seed": each.seed,
        "rows": each.rows,
        "train_tokens": each.train_tokens,
        "usd": each.usd,
        "seconds": each.seconds,
        "folder": str(each.folder),
    }


def _external(laid: TunePlan) -> bool:
    settings = laid.settings
    return settings.trainer not in ("none", "given") and not (
        settings.trainer == "openai" and laid.base.endpoint.embedded
    )


def _write(laid: TunePlan, out: Console) -> None:
    for job in laid.jobs:
        out.print(f"{job.name}: files in {job.write().folder}", highlight=False, markup=False)
