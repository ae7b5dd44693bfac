"""The tree of errors.

* PromptlabError                 everything a user can cause; printed, never a traceback
  x BadInput             exit 2  files, settings or data that cannot be used: nothing was spent
  x EndpointUnusable     exit 3  the endpoint cannot go on; the same command resumes
  x Interrupted          exit 4  minutes or real spend ran out, or a signal came; the same command resumes
  x CallFailed                   one request failed for good: a missing row, never a wrong answer
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input, and what to do about it.

    ``message`` says what is wrong with key and value in it; ``path`` and ``line`` (1-based) say where; ``remedy``
    says what to do, a nearest valid name included.
    """

    message: str
    path: str = ""
    line: int = 0
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}: " if self.path and self.line else f"{self.path}: " if self.path else ""
        message = self.message if not self.remedy or self.message.endswith((".", "!", "?")) else self.message + "."
        return f"{where}{message}{' ' + self.remedy if self.remedy else ''}"


class PromptlabError(Exception):
    """Anything a user can cause. ``exit_code`` is what the command ends with."""

    exit_code = 2


class BadInput(PromptlabError):  # noqa: N818 - reads as what it is: the input is bad
    """Files, settings or data that cannot be used. Holds every problem found, not just the first."""

    def __init__(self, problems: Iterable[Problem] | Problem | str) -> None:
        if isinstance(problems, str):
            problems = [Problem(problems)]
        elif isinstance(problems, Problem):
            problems = [problems]
        self.problems: tuple[Problem, ...] = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(map(str, self.problems)))


class EndpointUnusable(PromptlabError):  # noqa: N818 - a state of the endpoint, not of the program
    """The endpoint cannot go on (wrong key, no such model, too many errors). The same command resumes."""

    exit_code = 3


class Interrupted(PromptlabError):  # noqa: N818 - an interruption is not a mistake
    """Minutes or real spend ran out (exit 4), or a signal came (130, 143). The same command resumes."""

    def __init__(self, message: str, exit_code: int = 4) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class CallFailed(PromptlabError):  # noqa: N818 - thrown into flows: the call failed, the flow may go on
    """One request failed for good after its retries: the row is missing, never wrong."""

    exit_code = 3


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """File by file, in the order in which files are first named, and by line within a file."""
    listed = list(problems)
    files = {path: place for place, path in reversed(list(enumerate(each.path for each in listed)))}
    return sorted(listed, key=lambda each: (files[each.path], each.line))


def nearest(name: str, names: Iterable[str]) -> str:
    """The remedy for a misspelt name: the closest valid one, or the list of them. Empty if there is none."""
    known: Sequence[str] = sorted({str(each) for each in names})
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(known[:20])}{', …' if len(known) > 20 else ''}." if known else ""
