"""The trainer `lora`: a low-rank adapter on this machine, with transformers, peft and trl, as a program of its own."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from promptlab.errors import BadInput, Problem
from promptlab.records import Model
from promptlab.tune.command import Command
from promptlab.tune.trainer import Place

NEEDED = ("torch", "transformers", "peft", "trl", "datasets")
NAMES = "Like models: [{id: ./my-base, base_url: http://127.0.0.1:8000/v1}]: a folder, or a name on the hub."


def adapter(place: Place) -> Command:
    """The program promptlab.tune.lora as a command: it outlives a kill, and its memory ends with it.

    Raises BadInput: the extra is not installed, the base is no model that can be trained here.
    """
    lacking = [name for name in NEEDED if find_spec(name) is None]
    if lacking:
        remedy = "Install the extra: pip install 'promptlab-workbench[lora]'."
        raise BadInput(Problem(f"`tune.trainer: lora` needs {', '.join(lacking)}", remedy=remedy))
    base, settings = trained(place.base, place.folder), place.settings
    epochs = 3 if settings.epochs is None else settings.epochs
    line = f"{shlex.quote(sys.executable)} -m promptlab.tune.lora {{train}} {{valid}} {{seed}} {{out}} {{base}}"
    settings = replace(settings, command=f"{line} {epochs} {settings.method}")
    return Command(replace(place, base=base, settings=settings))


def trained(base: Model, folder: Path) -> Model:
    """The base, a folder by its whole path. Raises BadInput where it can be no transformers model."""
    from promptlab.embedded.engine import MODELS

    if base.endpoint.embedded and base.id in MODELS:
        what = f"`tune.trainer: lora` trains a transformers model, and {base.id!r} is one of the offline engine"
        raise BadInput(Problem(what, remedy=NAMES))
    path = folder / Path(base.id).expanduser()
    if path.is_dir():
        return replace(base, id=str(path.resolve()))
    if base.id.startswith((".", "/", "~")):
        raise BadInput(Problem(f"`tune.trainer: lora`: there is no folder {base.id!r}", remedy=NAMES))
    return base
