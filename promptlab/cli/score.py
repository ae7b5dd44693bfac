"""promptlab score: one template on one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlab.cli.arguments import AsJson

if TYPE_CHECKING:
    from promptlab.finished import Run
    from promptlab.score import Ask


def score(  # noqa: PLR0913, PLR0917 - one argument per option
    template: Annotated[Path, typer.Argument(metavar="TEMPLATE", help="A template file (.j2).")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled rows: csv, tsv, jsonl, json, parquet.")],
    label: Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="The column of right answers.")] = None,
    inputs: Annotated[
        str, typer.Option("--inputs", metavar="A,B=COLUMN", help="Only these columns; B=COLUMN gives one a name.")
    ] = "",
    passages: Annotated[
        str | None, typer.Option("--passages", metavar="COLUMN", help="The column of passages, if it reads any.")
    ] = None,
    answer: Annotated[
        str, typer.Option("--answer", help="How answers are read: label, text, last-line, number, json:FIELD, …")
    ] = "",
    metric: Annotated[str, typer.Option("--metric", help="What is scored (default: exact; numeric for numbers).")] = "",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="CHOICE=VALUE", help="An option of a choice (default: the first), or params.X=…"),
    ] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", metavar="URL", help="An endpoint's address.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="ID", help="A model of it.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="VAR", help="The environment variable with its key.")
    ] = None,
    price: Annotated[
        str, typer.Option("--price", metavar="IN,OUT", help="US dollars per million tokens in and out.")
    ] = "",
    limit: Annotated[int | None, typer.Option("--limit", min=2, metavar="N", help="Only N rows.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.csv", help="Also write every row and its answer here.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask everything anew, not from the cache.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on the terminal before spending.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score one template on every row of one file: the score, its interval, and what went wrong.

    Choices of the template stand at their first option. The offline engine answers unless --base-url names another.

    Example: promptlab score templates/triage/message.j2 tickets.csv --label team --set task=desk
    """
    from promptlab.cli.label import which_label
    from promptlab.cli.scored import show
    from promptlab.errors import BadInput
    from promptlab.score import Ask, scored

    if label is None:
        raise BadInput(which_label(data))
    endpoint, who = _endpoint(base_url, model, api_key_env, price)
    named = _named(inputs)
    ask = Ask(template, data, label, named, passages, answer, metric, tuple(sets or ()), endpoint, who)
    _check_out(out, ask)
    run = _mined(ask, limit, fresh, yes, as_json)
    if out is not None:
        _copy(run.folder / "predictions.csv", out)
    show(run, scored(run), out or run.folder / "predictions.csv", as_json=as_json)


def _endpoint(
    base_url: str | None, model: str | None, api_key_env: str | None, price: str
) -> tuple[dict[str, Any] | str, dict[str, Any] | str]:
    """`endpoint` and the item of `models`, as an experiment holds them."""
    from promptlab.errors import BadInput, Problem

    if base_url in (None, "embedded"):
        if api_key_env or price:
            option = "--api-key-env" if api_key_env else "--price"
            raise BadInput(
                Problem(f"{option} needs --base-url", remedy="The offline engine takes no key and no money.")
            )
        return "embedded", model or "small"
    if model is None:
        raise BadInput(Problem("--base-url needs --model", remedy="Name a model as the endpoint does."))
    endpoint = {"base_url": base_url} | ({"api_key_env": api_key_env} if api_key_env else {})
    if not price:
        return endpoint, model
    try:
        paid_in, paid_out = (float(each) for each in price.split(","))
    except ValueError:
        what = f"--price {price!r} is not two numbers"
        raise BadInput(Problem(what, remedy="Like --price 0.15,0.60: in and out, dollars per million.")) from None
    return endpoint, {"id": model, "price": {"input": paid_in, "output": paid_out}}


def _named(inputs: str) -> dict[str, str]:
    """--inputs as variables and their columns: `a,b=Column B`."""
    pairs = [each.strip().partition("=") for each in inputs.split(",") if each.strip()]
    return {name.strip(): (column.strip() or name.strip()) for name, _, column in pairs}


def _check_out(out: Path | None, ask: Ask) -> None:
    from promptlab.errors import BadInput, Problem

    if out is None:
        return
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise BadInput(Problem("--out cannot be written here", str(out), remedy="Name a file in a folder that exists."))
    if out.resolve() in (ask.data.resolve(), ask.template.resolve()):
        raise BadInput(Problem("--out would overwrite what is scored", str(out), remedy="Name another file."))


def _mined(ask: Ask, limit: int | None, fresh: bool, yes: bool, as_json: bool) -> Run:
    from promptlab.check_skew import check_scored
    from promptlab.cli.progress import progress
    from promptlab.cli.show import console
    from promptlab.errors import BadInput
    from promptlab.experiment import Experiment
    from promptlab.prepare import prepare
    from promptlab.run import mine
    from promptlab.score import write_experiment

    prepared = prepare(Experiment.load(write_experiment(ask)), limit)
    unfit = check_scored(prepared.baseline, prepared.skews, str(ask.data))
    if unfit:
        raise BadInput(unfit)
    experiment = prepared.experiment
    err = console(error=True)
    paid = not experiment.models[0].endpoint.embedded
    question = f"At most {len(prepared.rows.dev):,} calls. Go on?"
    if paid and not yes and err.is_terminal and not typer.confirm(question, default=True, err=as_json):
        raise typer.Exit(0)
    with progress(err, experiment.search.budget) as watch:
        return mine(prepared, watch, fresh=fresh)


def _copy(source: Path, target: Path) -> None:
    import shutil

    from promptlab.errors import BadInput, Problem

    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise BadInput(Problem(f"cannot be written: {error.strerror}", str(target))) from None
