"""promptlab render: the byte-exact messages of a variant on a row."""

from __future__ import annotations

import sys
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
    from promptlab.pick import find_row, find_variant
    from promptlab.prepare import opened
    from promptlab.progressed import known_of
    from promptlab.shelf import STANDING_IN
    from promptlab.tokens import count_messages

    prepared = opened(experiment, overrides or ())
    chosen, example = find_variant(prepared, variant), find_row(prepared, row)
    prompt = prepared.task.prompt(chosen)
    seen = prompt.shown(example, known_of(prepared))
    messages = prompt.messages(example, seen.passages)
    tokens, exact = count_messages(messages, prompt.model.id)
    if as_json:
        request = prompt.request(messages)
        print_json({"variant": chosen.id, "slots": dict(chosen.slots), "row": example.id, "tokens": tokens,
                    "tokens_exact": exact, "body": dict(request.body),
                    **({} if seen.exact else {"note": STANDING_IN})})  # fmt: skip
        return
    from rich.text import Text

    out = console()
    out.rule(Text(visible(f"{chosen.id} · row {example.id}", tty=True)), style="dim")
    for message in messages:
        out.print(f"[{message.role}]", style="bold cyan", markup=False, highlight=False)
        text = visible(message.content, tty=sys.stdout.isatty())
        sys.stdout.write(text + "\n")  # not typer.echo: on a pipe it would drop what looks like an escape sequence
    slots = visible(", ".join(f"{name}={value}" for name, value in chosen.slots.items()), tty=True)
    out.rule(style="dim")
    if not seen.exact:
        out.print(STANDING_IN, style="yellow")
    out.print(f"{slots}\n{tokens} tokens{'' if exact else ' (estimated)'}", markup=False, highlight=False, style="dim")


def visible(text: str, *, tty: bool) -> str:
    """Text for a terminal: what could steer it (escape sequences, carriage returns, direction marks) as an escape.

    On a pipe the text stays as it is, byte for byte.
    """
    if not tty:
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text)
