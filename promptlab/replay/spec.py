"""Allocators as the command line names them: ``race``, ``race[z=1,strict=true]``, ``package.module:name``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.errors import BadInput, Problem

_SPEC = re.compile(r"(?P<name>[A-Za-z_][\w.]*(?::[A-Za-z_]\w*)?)(?:\[(?P<options>[^\[\]]*)\])?")


@dataclass(frozen=True)
class Spec:
    """A name, its options, and the text that both were read from."""

    text: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def specs(text: str) -> tuple[Spec, ...]:
    """The allocators of a list with commas between them. Raises BadInput with all that cannot be read."""
    found = [_spec(each.strip()) for each in re.split(r",(?![^\[]*\])", text) if each.strip()]
    problems = [each for each in found if isinstance(each, Problem)]
    if problems or not found:
        raise BadInput(problems or [Problem("--allocate names no allocator")])
    return tuple({each.text: each for each in found if isinstance(each, Spec)}.values())


def budgets(text: str) -> tuple[float, ...]:
    """Calls per variant, from a list with commas between them; `all` is infinite. Raises BadInput."""
    found: list[float] = []
    problems = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        try:
            value = math.inf if each == "all" else float(each)
        except ValueError:
            value = math.nan
        if not value > 0 or (math.isinf(value) and each != "all"):
            problems.append(Problem(f"--budget: {each!r} is no number of calls", remedy="Write 3,5,10 or all."))
        found.append(value)
    if problems or not found:
        raise BadInput(problems or [Problem("--budget names no number of calls")])
    return tuple(dict.fromkeys(found))


def _spec(text: str) -> Spec | Problem:
    match = _SPEC.fullmatch(text)
    if match is None:
        return Problem(f"--allocate: cannot read {text!r}", remedy="Write race, or race[z=1,eps=0].")
    options = {}
    for each in filter(None, (part.strip() for part in (match["options"] or "").split(","))):
        name, equals, value = each.partition("=")
        if not equals:
            return Problem(f"--allocate: {each!r} in {text!r} is no option", remedy="Write name=value.")
        options[name.strip()] = _value(value.strip())
    return Spec(text, match["name"], options)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
