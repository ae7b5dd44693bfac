"""A finished run's winner as files, by kind. Pure: nothing is written here, and the same run gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from promptlab.errors import BadInput, Problem, nearest
from promptlab.export.chosen import Chosen, chosen
from promptlab.finished import Run

KINDS: Mapping[str, str] = {
    "jinja": "promptlab.export.jinja:jinja",
    "messages": "promptlab.export.messages:as_messages",
    "python": "promptlab.export.python:python",
    "openai": "promptlab.export.openai:openai",
    "promptfoo": "promptlab.export.promptfoo:promptfoo",
    "dspy": "promptlab.export.dspy:dspy",
    "prompty": "promptlab.export.prompty:prompty",
}
"""Every kind → what writes it."""

ALONE = ("promptfoo", "dspy", "prompty")  # formats that hold one prompt


def export(run: Run, to: str, variant: str = "") -> Mapping[str, str]:
    """The files of a kind, by name: ``variant`` (an id), else the winner, dev's pick or the baseline.

    Raises BadInput for an unknown kind or variant, and where a kind cannot say what the prompt does.
    """
    if to not in KINDS:
        raise BadInput(Problem(f"there is no kind of export {to!r}", remedy=nearest(to, KINDS)))
    which = chosen(run, variant)
    if which.ensemble and to in ALONE:
        count = len(which.prompts)
        what = f"{which.variant.id} is a vote of {count} prompts, and {to} holds one"
        remedy = "Take --to python, or name one of its members with --variant: "
        raise BadInput(Problem(what, remedy=remedy + ", ".join(each.id for each in which.variant.members) + "."))
    module, _, name = KINDS[to].partition(":")
    write: Callable[[Chosen], Mapping[str, str]] = getattr(import_module(module), name)
    return write(which)
