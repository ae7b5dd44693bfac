"""What a forecast says, in sentences: how many rows would tell more, and what the budget buys."""

from __future__ import annotations

from promptlab.forecast import FORESEEN, Forecast


def outlook(expected: Forecast) -> list[str]:
    """The sentences behind the smallest difference that the rows can show."""
    return [more_rows(expected), *buys(expected)]


def more_rows(expected: Forecast) -> str:
    """How many rows it takes, and how many that is more, to show a small difference."""
    rows = expected.test_rows or expected.dev_rows
    split = "test" if expected.test_rows else "dev"
    said = []
    for gap, needed in expected.needed.items():
        few, many = min(needed.values()), max(needed.values())
        least, most = (f"{100 * share:.0f} %" for share in (min(needed), max(needed)))
        if many <= rows:
            said.append(f"{100 * gap:.0f} points: these are enough")
        else:
            more = f"{max(0, few - rows):,} to {many - rows:,} more" if few > rows else f"up to {many - rows:,} more"
            said.append(f"{100 * gap:.0f} points: {few:,} to {many:,} rows ({more})")
    return f"{split} rows that show a difference, if {least} to {most} of answers differ: {'; '.join(said)}"


def buys(expected: Forecast) -> list[str]:
    """What the calls are good for; nothing where they have no cap."""
    if expected.carries is None or expected.complete is None:
        return []
    tried = expected.variants - 1
    lines = []
    if expected.finding_calls:
        lines.append(f"of the search calls, about {expected.finding_calls:,} embed the corpus or find passages")
    if expected.meta_calls:
        lines.append(
            f"of the search calls, at least {expected.meta_calls:,} write new variants: about {tried:,} are tried"
        )
    room = "any number" if expected.carries >= FORESEEN else f"{expected.carries:,}"
    lines.append(
        f"beside the baseline this budget scores {expected.complete:,} variants in full (all {expected.dev_rows} dev "
        f"rows); with early dropping there is room for {room}, and {tried:,} are tried"
    )
    return lines
