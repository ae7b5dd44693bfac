"""The trainer `lora`: a low-rank adapter on this machine, with transformers, peft and trl, as a program of its own."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from importlib.util import find_spec

from promptlab.errors import BadInput, Problem
from promptlab.tune.command import Command
from promptlab.tune.trainer import Place

NEEDED = ("torch", "transformers", "peft", "trl", "datasets")


def adapter(place: Place) -> Command:
    """The program promptlab.tune.lora as a command: it outlives a kill, and its memory ends with it."""
    lacking = [name for name in NEEDED if find_spec(name) is None]
    if lacking:
        remedy = "Install the extra: pip install 'promptlab-workbench[lora]'."
        raise BadInput(Problem(f"`tune.trainer: lora` needs {', '.join(lacking)}", remedy=remedy))
    settings = place.settings
    epochs = 3 if settings.epochs is None else settings.epochs
    line = f"{shlex.quote(sys.executable)} -m promptlab.tune.lora {{train}} {{valid}} {{seed}} {{out}} {{base}}"
    return Command(replace(place, settings=replace(settings, command=f"{line} {epochs} {settings.method}")))
