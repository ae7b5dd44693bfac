"""From how many answers on one arm is cheaper than another, and when that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

MONTH = 365.25 / 12  # days


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When an arm is the cheaper one: ``from`` so many calls on, ``until`` so many, ``always`` or ``never``."""

    kind: Literal["from", "until", "always", "never"]
    calls: float | None = None

    def __str__(self) -> str:
        """The number alone where it is cheaper from there on."""
        words: Mapping[str, str] = {"from": "", "until": "until "}
        return self.kind if self.calls is None else f"{words[self.kind]}{self.calls:.0f}"


def break_even(setup: float, per_call: float, other_setup: float, other_per_call: float) -> BreakEven | None:
    """An arm against another one: N = (S - S') / (c' - c), where one has the dearer setup and the other dearer calls.

    None where both cost the same.
    """
    if setup == other_setup and per_call == other_per_call:
        return None
    if setup <= other_setup and per_call <= other_per_call:
        return BreakEven("always")
    if setup >= other_setup and per_call >= other_per_call:
        return BreakEven("never")
    calls = (setup - other_setup) / (other_per_call - per_call)
    return BreakEven("from" if setup > other_setup else "until", calls)


def when(found: BreakEven, per_month: float | None, today: date, shutdown: str = "") -> str:
    """The day on which an arm has paid for itself at so many calls a month; empty where there is none to say.

    ``shutdown`` is the day on which its model ends (ISO): what would pay later never does.
    """
    if found.kind != "from" or found.calls is None or not per_month:
        return ""
    days = found.calls / per_month * MONTH
    day = today + timedelta(days=days) if days < 36_500 else None
    if shutdown and (day is None or day.isoformat() > shutdown[:10]):
        return "exceeds model_shutdown_date"
    return day.isoformat() if day else "in more than 100 years"
