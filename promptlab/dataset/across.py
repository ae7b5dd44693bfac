"""Groups that were to stay on one side of a split, and do not: files or a column say the split, so nobody drew it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptlab.dataset.file import capped
from promptlab.errors import Problem
from promptlab.records import Example, Split

PARTS: tuple[Split, ...] = ("train", "dev", "test")


def across(
    parts: Mapping[Split, Sequence[Example]], places: Mapping[str, tuple[str, int]], column: str
) -> list[Problem]:
    """A problem for each group that has rows in several splits: told with a row of each, at the last of them.

    ``places`` maps ids to file and line; ``column`` names the groups.
    """
    firsts: dict[str, dict[Split, Example]] = {}
    for part in PARTS:
        for example in parts.get(part, ()):
            if example.group:
                firsts.setdefault(example.group, {}).setdefault(part, example)
    told: list[Problem] = []
    for group, found in firsts.items():
        if len(found) > 1:
            *others, last = (f"row {example.row or example.id} of {part}" for part, example in found.items())
            path, line = places.get([*found.values()][-1].id, ("", 0))
            what = f"the group {group!r} ({column}) is in {_counted(len(found))}: {', '.join(others)} and {last}"
            told.append(Problem(what, path, line, REMEDY))
    return capped(told)


REMEDY = (
    "Rows of one group stay in one split, as a score would be of what was seen: move them, give one file and fractions "
    "(`data.split: {dev: 0.5, test: 0.5, group: …}`), or leave the group out."
)


def _counted(count: int) -> str:
    return {2: "two splits", 3: "three splits"}.get(count, f"{count} splits")
