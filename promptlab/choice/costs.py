"""What an arm costs a user: setup once, then every call, every month and every change of knowledge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promptlab.choice.arm import Arm
from promptlab.experiment.choose import MONTHS

NO_VOLUME = "`choose.volume_per_month` is not given"


@dataclass(frozen=True, slots=True)
class Use:
    """How much an answerer will be used: calls a month, for so many months, with so many changes of knowledge each.

    ``per_month`` None: not said, so that only the price of a call can be compared.
    """

    per_month: float | None = None
    months: float = MONTHS
    updates_per_month: float = 0.0


def served(arm: Arm, use: Use) -> float | None:
    """US dollars an answer: its tokens, and its share of hosting.

    None without a price; and where it is hosted by the hour, for nobody knows how many answers.
    """
    usd, hosting = arm.serving.usd, arm.serving.usd_per_month
    if usd is None or not hosting:
        return usd
    return usd + hosting / use.per_month if use.per_month else None


def per_call(arm: Arm, use: Use) -> float | None:
    """US dollars a call, with its share of hosting and of updates where the volume is known; None without a price."""
    usd = served(arm, use)
    if usd is None or not use.per_month or not use.updates_per_month:
        return usd
    return None if arm.update_usd is None else usd + use.updates_per_month * arm.update_usd / use.per_month


def total(arm: Arm, use: Use) -> float | None:
    """US dollars over all months: S + V·c. None without a volume or where a price is missing: nothing is guessed."""
    each, setup = per_call(arm, use), arm.setup.usd
    if each is None or setup is None or not use.per_month:
        return None
    return setup + use.months * use.per_month * each


def lacking(arm: Arm, use: Use) -> list[str]:
    """What is missing to compare the arm's costs, in words; nothing where they are known."""
    return list(dict.fromkeys(_lacking(arm, use)))


def _lacking(arm: Arm, use: Use) -> Iterator[str]:
    if arm.serving.usd is None:
        where = " (`tune.price.input`, `tune.price.output`)" if arm.tuned else ""
        yield f"the model {arm.model or 'of ' + arm.name} has no price{where}"
    if not use.per_month:
        if arm.serving.usd_per_month:
            yield f"{arm.name} is hosted by the hour, and {NO_VOLUME}"
        return
    yield from arm.setup.unpriced
    if arm.setup.usd is None and not arm.setup.unpriced:
        yield f"what it takes to set up {arm.name} is not known"
    if use.updates_per_month and arm.update_usd is None and not (arm.tuned and arm.setup.unpriced):
        yield f"one change of knowledge of {arm.name} has no price"
