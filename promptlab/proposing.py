"""One proposer's turn: what it gives, and what is told where its calls fail."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promptlab.admit import Refused
from promptlab.errors import BadInput, CallFailed, Problem, PromptlabError
from promptlab.proposers import Proposer
from promptlab.records import Flow, Variant
from promptlab.view import View


@dataclass(frozen=True, slots=True)
class Proposed:
    """What a proposer gave. ``refused``: texts that lost something, and what failed calls cost."""

    variants: tuple[Variant, ...]
    refused: Refused = field(default_factory=dict)


def proposing(proposer: Proposer, n: int, view: View, rng: np.random.Generator) -> Flow[Proposed]:
    """At most ``n`` variants. A call that failed for good costs the proposals of this turn, and nothing else.

    Raises BadInput for whatever else a proposer raises or gives, naming it.
    """
    try:
        found = yield from proposer(n, view, rng)
        given = _variants(found)[:n]
        return Proposed(tuple(each for each in given if each is not None), _lost(proposer, given.count(None)))
    except CallFailed as error:
        return Proposed((), {"failed": {"count": n, "example": f"{name_of(proposer)}, round {view.round}: {error}"}})
    except (PromptlabError, GeneratorExit):
        raise
    except Exception as error:
        what = f"the proposer `{name_of(proposer)}` failed in round {view.round}: {type(error).__name__}: {error}"
        remedy = "Mend it and run the same command: every answer so far is kept."
        raise BadInput(Problem(what, remedy=remedy)) from error


def _lost(proposer: Proposer, count: int) -> Refused:
    what = f"{name_of(proposer)}: an open text that is empty, or has not each mark of its option once"
    return {"placeholder": {"count": count, "example": what}} if count else {}


def _variants(found: Any) -> tuple[Variant | None, ...]:
    given = tuple(found) if isinstance(found, Iterable) else (found,)
    for each in given:
        if each is not None and not isinstance(each, Variant):
            raise TypeError(f"it gave {each!r:.60}, and no variants")
    return given


def name_of(proposer: Any) -> str:
    """What people call a proposer: its function or class."""
    if isinstance(proposer, functools.partial):
        return name_of(proposer.func)
    return str(getattr(proposer, "__name__", type(proposer).__name__)).lower()
