"""The answer of a row, looked for in passages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from promptlab.records import Example, Passage


def folded(text: str) -> str:
    """Text as it is compared: small letters, one space between words."""
    return " ".join(text.casefold().split())


class Answers:
    """The accepted answers of a row, looked for as whole words. Truth values and empty ones do not count."""

    def __init__(self, example: Example) -> None:
        wanted = [folded(str(each)) for each in _leaves(example.answers)]
        parts = "|".join(re.escape(each) for each in sorted(wanted, key=len, reverse=True) if each)
        self._pattern = re.compile(rf"(?<!\w)(?:{parts})(?!\w)") if parts else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def stand_in(self, passage: Passage) -> bool:
        """Whether the passage, or its title, says one of the answers."""
        if self._pattern is None:
            return False
        return bool(self._pattern.search(folded(f"{passage.title}\n{passage.text}")))


def _leaves(values: Iterable[object]) -> Iterable[object]:
    for each in values:
        if isinstance(each, dict):
            yield from _leaves(each.values())
        elif isinstance(each, list | tuple | set | frozenset):
            yield from _leaves(each)
        elif each is not None and not isinstance(each, bool):
            yield each
