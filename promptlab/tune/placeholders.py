"""`tune.command` as words: split without a shell, its placeholders filled in. Pure."""

from __future__ import annotations

import shlex
import string
from collections.abc import Mapping

from promptlab.errors import BadInput, Problem, nearest

PLACES = ("train", "valid", "seed", "out", "base")


def words(command: str, values: Mapping[str, str]) -> list[str]:
    """The command's words, its placeholders filled in word by word: a path with spaces stays one argument.

    Raises BadInput: quotes that do not close, a placeholder that there is none of, no {train}.
    """
    try:
        split = shlex.split(command)
        named = [name for word in split for _, name, _, _ in string.Formatter().parse(word) if name is not None]
    except ValueError as error:
        remedy = "Write braces that are no placeholder twice: {{ and }}."
        raise BadInput(Problem(f"`tune.command` cannot be read: {error}", remedy=remedy)) from None
    unknown = [name for name in named if name not in PLACES]
    if unknown:
        remedy = nearest(unknown[0], PLACES)
        raise BadInput(Problem(f"`tune.command` has no placeholder {{{unknown[0]}}}", remedy=remedy))
    if "train" not in named:
        raise BadInput(Problem("`tune.command` does not use {train}", remedy="It is the path of the training file."))
    return [word.format_map(values) for word in split]
