"""What an arm costs a user: setup once, then every call, every month and every change of knowledge."""

from __future__ import annotations

from dataclasses import dataclass

from promptlab.choice.arm import Arm
from promptlab.experiment.choose import MONTHS


@dataclass(frozen=True, slots=True)
class Use:
    """How much an answerer will be used: calls a month, for so many months, with so many changes of knowledge each.

    ``per_month`` None: not said, so that only the price of a call can be compared.
    """

    per_month: float | None = None
    months: float = MONTHS
    updates_per_month: float = 0.0


def per_call(arm: Arm, use: Use) -> float | None:
    """US dollars a call, with its share of hosting and of updates where the volume is known; None without a price."""
    usd = arm.serving.usd
    if usd is None or not use.per_month:
        return usd
    if use.updates_per_month and arm.update_usd is None:
        return None
    monthly = arm.serving.usd_per_month + use.updates_per_month * (arm.update_usd or 0.0)
    return usd + monthly / use.per_month


def total(arm: Arm, use: Use) -> float | None:
    """US dollars over all months: S + V·c. None without a volume or where a price is missing: nothing is guessed."""
    each, setup = per_call(arm, use), arm.setup.usd
    if each is None or setup is None or not use.per_month:
        return None
    return setup + use.months * use.per_month * each


def monthly(arm: Arm, use: Use) -> float | None:
    """US dollars a month once it runs."""
    each = per_call(arm, use)
    return None if each is None or not use.per_month else use.per_month * each
