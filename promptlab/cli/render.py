"""promptlab render: the byte-exact messages of a variant on a row."""

from __future__ import annotations

from typing import Annotated

import typer

from promptlab.cli.arguments import AsJson, ExperimentPath, Overrides


def render(
    experiment: ExperimentPath,
    row: Annotated[str, typer.Option("--row", help="The number of a data row (from 1), or a row's id.")] = "1",
    variant: Annotated[
        str, typer.Option("--variant", help="A variant's id, or slot=value pairs: 'template=a/b,bank.k=4'.")
    ] = "",
    overrides: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Show the exact messages that a variant sends for a row, and how many tokens they are.

    Without --variant it is the baseline; slots that are not named keep the baseline's value.

    Example: promptlab render experiments/support_intent/experiment.yaml --row 3 --variant bank.k=4
    """
    from promptlab.cli.show import console, print_json
    from promptlab.experiment import Experiment
    from promptlab.pick import find_row, find_variant
    from promptlab.prepare import prepare
    from promptlab.tokens import count_messages

    prepared = prepare(Experiment.load(experiment, overrides or ()))
    chosen, example = find_variant(prepared, variant), find_row(prepared, row)
    prompt = prepared.task.prompt(chosen)
    messages = prompt.messages(example)
    tokens, exact = count_messages(messages, prompt.model.id)
    if as_json:
        request = prompt.request(messages)
        print_json({"variant": chosen.id, "slots": dict(chosen.slots), "row": example.id, "tokens": tokens,
                    "tokens_exact": exact, "body": dict(request.body)})  # fmt: skip
        return
    out = console()
    out.rule(f"{chosen.id} · row {example.id}", style="dim")
    for message in messages:
        out.print(f"[{message.role}]", style="bold cyan", markup=False, highlight=False)
        typer.echo(message.content)
    slots = ", ".join(f"{name}={value}" for name, value in chosen.slots.items())
    out.rule(style="dim")
    out.print(f"{slots}\n{tokens} tokens{'' if exact else ' (estimated)'}", markup=False, highlight=False, style="dim")
