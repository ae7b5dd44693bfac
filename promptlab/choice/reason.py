"""The choice in words: one sentence with its reason, a verdict's reason for every arm, and what the claim is about."""

from __future__ import annotations

import math
from collections.abc import Iterator

from promptlab.choice.rule import Choice, Judged, order


def sentences(choice: Choice) -> list[str]:
    """The choice and why; then what "cheapest" was taken to mean, and what qualifies the claim."""
    return [_decision(choice), *_basis(choice), *_claims(choice)]


def reason(choice: Choice, judged: Judged) -> str:
    """Why an arm has its verdict."""
    if judged.outside:
        return "outside the limits: " + "; ".join(judged.outside)
    if judged.bound is not None and math.isnan(judged.bound.low):
        return f"{judged.bound.n} rows are too few to tell anything"
    held = _held(choice, judged)
    margin = choice.unit.points(choice.limits.margin)[1:]
    if judged.failed:
        return f"{held}, but rows on which calls failed could turn that"
    if judged.verdict == "eligible":
        return f"{held}, but {_dearer(choice, judged)}"
    return {
        "chosen": lambda: f"{held}; {_least(choice, judged)}",
        "until then": lambda: f"{held}; not decided against {_listed(choice.rivals)}",
        "worse": lambda: f"{held}: worse than the best on dev by more than {margin}",
        "open": lambda: f"{held}: not shown to be within {margin} of the best on dev, nor shown not to be",
    }[judged.verdict]()


def _held(choice: Choice, judged: Judged) -> str:
    """The arm beside the reference, in figures."""
    if judged.bound is None:
        return "the best on dev"
    gap = f"{choice.unit.points(judged.bound.delta)}{choice.unit.span(judged.bound.low, judged.bound.high)}"
    return f"against {choice.reference} {gap}"


def _decision(choice: Choice) -> str:
    if choice.name is None:
        return _nothing(choice)
    pick = choice.of(choice.name)
    if not choice.decided:
        best = "the best on dev" if pick.bound is None else f"within the margin of {choice.reference}, the best on dev"
        return f"Not decided: {_undecided(choice)}{_rows(choice)} Until then {choice.name}: it is {best}."
    margin = choice.unit.points(choice.limits.margin)[1:]
    if pick.bound is None:
        others = len([each for each in choice.judged if not each.outside]) - 1
        if not others:
            return f"Choice: {choice.name}: no other arm keeps the limits."
        dearer = " Those as good cost more." if any(each.verdict == "eligible" for each in choice.judged) else ""
        none = f"no arm is better by {margin} or more, and no cheaper one is as good"
        return f"Choice: {choice.name}: the best on dev; on test {none}.{dearer}"
    close = f"at worst {choice.unit.points(-pick.bound.low)[1:]} below" if pick.bound.low < 0 else "not below"
    return (
        f"Choice: {choice.name}: {close} {choice.reference}, the best on dev "
        f"({_held(choice, pick)}, margin {margin}), and {_least(choice, pick)}."
    )


def _nothing(choice: Choice) -> str:
    within = [each.arm.name for each in choice.judged if not each.outside]
    if not within:
        return "Not decided: no arm keeps the limits."
    worse = (
        f"{_listed(within)} keep{'s' * (len(within) == 1)} the limits, and none is shown as good as {choice.reference}"
    )
    return f"Not decided: {worse}.{_rows(choice)}"


def _undecided(choice: Choice) -> str:
    pick, cost = choice.name, order(choice.basis, choice.limits)
    margin = choice.unit.points(choice.limits.margin)[1:]
    told = []
    for name in choice.rivals:
        rival = choice.of(name)
        if rival.bound is None or rival.failed:
            told.append(f"failed calls could turn how {name} compares")
        elif cost(rival) > cost(choice.of(pick or choice.reference)):
            told.append(f"{name} may be better than {pick} by {margin} or more ({_held(choice, rival)})")
        else:
            as_good = f"{name}, which is cheaper, may be as good as {choice.reference}"
            told.append(f"{as_good}, or worse by {margin} or more ({_held(choice, rival)})")
    return "; ".join(told) + "."


def _rows(choice: Choice) -> str:
    if choice.rows is None:
        return ""
    known = [choice.of(name).bound for name in choice.rivals]
    have = max((bound.n for bound in known if bound is not None), default=0)
    return f" About {choice.rows:,} test rows would tell if they are equal; there are {have:,}."


def _least(choice: Choice, judged: Judged) -> str:
    """What puts an arm in front, with the dollars where they are known."""
    use = choice.limits.use
    if choice.basis == "total" and judged.total is not None and use.per_month:
        span = f"{use.months:g} months at {use.per_month:,.0f} calls a month"
        return f"of those as good it costs the least: {_usd(judged.total)} for {span}"
    if choice.basis == "call" and judged.arm.serving.usd is not None:
        return f"of those as good it costs the least a call: {_usd(1000 * judged.arm.serving.usd)} for 1,000"
    return "of those as good it has the fewest moving parts"


def _dearer(choice: Choice, judged: Judged) -> str:
    chosen = choice.of(choice.name or "")
    if choice.basis == "total" and judged.total is not None and chosen.total is not None:
        more = judged.total - chosen.total
        if more > 0:
            return f"it costs {_usd(more)} more than {choice.name}"
    return f"it {'costs more a call' if choice.basis == 'call' else 'has more moving parts'} than {choice.name}"


def _basis(choice: Choice) -> Iterator[str]:
    if choice.basis == "parts":
        yield (
            "Cheaper means fewer moving parts here (prompt < demos < rag < fine-tuned < both): all cost the same, or "
            "something has no price, and nothing is guessed."
        )
    elif choice.basis == "call":
        yield "Cheaper means a call here, setup not counted: no volume_per_month is given."


def _claims(choice: Choice) -> Iterator[str]:
    for each in choice.judged:
        if each.arm.tuned and len(each.arm.seeds) < 2:
            yield f"{each.arm.name} was tuned once: what is said of it is said of this model, not of tuning."
        elif each.arm.tuned:
            yield f"{each.arm.name} was tuned with {len(each.arm.seeds)} seeds, and its bounds hold for another one."
    if choice.reads > 1:
        yield (
            f"These test rows have been read {choice.reads} times by now; the bounds are wider for it"
            f"{': bring new rows' if choice.reads > 5 else ''}."
        )


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _usd(value: float) -> str:
    return f"${value:,.2f}" if value >= 0.01 or value == 0 else f"${value:.2g}"
