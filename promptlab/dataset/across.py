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
    """A problem for each group with rows in train and elsewhere: told with a row of each split, at the last of them.

    ``places`` maps ids to file and line; ``column`` names the groups.
    """
    told: list[Problem] = []
    for group, found in _torn(parts).items():
        if "train" in found:
            *others, last = (f"row {example.row or example.id} of {part}" for part, example in found.items())
            path, line = places.get([*found.values()][-1].id, ("", 0))
            what = f"the group {group!r} ({column}) is in {_counted(len(found))}: {', '.join(others)} and {last}"
            told.append(Problem(what, path, line, REMEDY))
    return capped(told)


def noted(parts: Mapping[Split, Sequence[Example]], column: str) -> list[str]:
    """What to tell where groups have rows in several splits: whoever gave the splits may have meant it (by time)."""
    torn = _torn(parts)
    if not torn:
        return []
    group, found = next(iter(torn.items()))
    where = " and ".join(f"row {example.row or example.id} of {part}" for part, example in found.items())
    many = f"{len(torn)} group{'s' * (len(torn) > 1)} of `{column}`"
    return [f"{many} with rows in several splits, like {group!r} ({where}): dev, test and train are not independent"]


def _torn(parts: Mapping[Split, Sequence[Example]]) -> dict[str, dict[Split, Example]]:
    """The groups with rows in several splits, and a row in each."""
    firsts: dict[str, dict[Split, Example]] = {}
    for part in PARTS:
        for example in parts.get(part, ()):
            if example.group:
                firsts.setdefault(example.group, {}).setdefault(part, example)
    return {group: found for group, found in firsts.items() if len(found) > 1}


REMEDY = (
    "What is trained on a group knows its other rows: move them, give one file and fractions "
    "(`data.split: {dev: 0.5, test: 0.5, group: …}`), or leave the group out."
)


def _counted(count: int) -> str:
    return {2: "two splits", 3: "three splits"}.get(count, f"{count} splits")
