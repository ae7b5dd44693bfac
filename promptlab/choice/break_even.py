"""From how many answers on one arm is cheaper than another, and when that is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from promptlab.choice.arm import Arm
from promptlab.choice.costs import Use, per_call

MONTH = 365.25 / 12  # days
FARTHEST = 36_500  # days


@dataclass(frozen=True, slots=True)
class BreakEven:
    """When an arm is the cheaper one: ``from`` so many calls on, ``until`` so many, ``always`` or ``never``.

    ``calls``: the number at which both cost the same; None = there is none.
    """

    kind: Literal["from", "until", "always", "never"]
    calls: float | None = None

    def __str__(self) -> str:
        """In short."""
        return self.kind if self.calls is None else f"{self.kind} {self.calls:,.0f}"

    def against(self, name: str) -> str:
        """In words, beside the arm that it is compared with."""
        if self.calls is None:
            return f"{self.kind} cheaper than {name}"
        reach = f"from {self.calls:,.0f} calls on" if self.kind == "from" else f"up to {self.calls:,.0f} calls"
        return f"cheaper than {name} {reach}"


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


def between(arm: Arm, other: Arm, use: Use) -> BreakEven | None:
    """An arm against another, with hosting and changes of knowledge in the price of a call.

    None where a price is missing, or both cost the same.
    """
    setup, usd = arm.setup.usd, per_call(arm, use)
    other_setup, other_usd = other.setup.usd, per_call(other, use)
    if setup is None or usd is None or other_setup is None or other_usd is None:
        return None
    return break_even(setup, usd, other_setup, other_usd)


def when(found: BreakEven, per_month: float | None, today: date) -> date | None:
    """The day on which so many calls have been made, at so many a month; None where there is none within 100 years."""
    if found.calls is None or not per_month:
        return None
    days = found.calls / per_month * MONTH
    return today + timedelta(days=days) if days < FARTHEST else None


def too_late(found: BreakEven, per_month: float | None, today: date, shutdown: str) -> bool:
    """Whether an arm would pay for itself only after the day on which its model ends (ISO; empty: it does not end)."""
    if not shutdown or found.kind != "from" or not per_month:
        return False
    day = when(found, per_month, today)
    return day is None or day.isoformat() > shutdown[:10]
