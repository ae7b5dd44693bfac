"""What arms cost, in words: what "cheaper" means in a choice, and why where it means less than all dollars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptlab.choice.costs import NO_VOLUME, Use, lacking
from promptlab.choice.rule import Choice, Judged, order
from promptlab.experiment.choose import ARMS


def usd(value: float) -> str:
    """Dollars with cents; with two digits where it is less than one cent."""
    return f"${value:,.2f}" if value >= 0.01 or value == 0 else f"${value:.2g}"


def span(use: Use) -> str:
    """The months and their volume."""
    return f"{use.months:g} month{'s' * (use.months != 1)} at {use.per_month or 0:,.0f} calls a month"


def whole(choice: Choice, judged: Judged) -> str:
    """All that an arm costs over the months; empty where that is not known."""
    return "" if judged.total is None else f"{usd(judged.total)} for {span(choice.limits.use)}"


def least(choice: Choice, judged: Judged) -> str:
    """What puts an arm in front of those that are as good."""
    cost = order(choice.basis, choice.limits)
    good = [each for each in choice.judged if each.eligible and not each.outside and each is not judged]
    if not good:
        return "no other arm within the limits is shown to be as good"
    if choice.basis == "parts":
        return "of those as good it has the fewest moving parts"
    tied = any(cost(each)[0] == cost(judged)[0] for each in good)
    word = "none of those as good costs less" if tied else "of those as good it costs the least"
    fewer = ", and none has fewer moving parts" if tied else ""
    if choice.basis == "total":
        return f"{word}: {whole(choice, judged)}{fewer}"
    return f"{word} a call: {usd(1000 * (judged.arm.serving.usd or 0))} for 1,000{fewer}"


def dearer(choice: Choice, judged: Judged, *, several: bool = False) -> str:
    """What puts an arm, or ``several`` like it, behind the one that is taken."""
    costs = "cost" if several else "costs"
    chosen = choice.of(choice.name or choice.reference)
    cost = order(choice.basis, choice.limits)
    if choice.basis == "parts":
        return f"{'have' if several else 'has'} more moving parts than {chosen.arm.name}"
    if cost(judged)[0] == cost(chosen)[0]:
        return f"{costs} as much as {chosen.arm.name}, with more moving parts"
    if judged.total is not None and chosen.total is not None:
        return f"{costs} {usd(judged.total - chosen.total)} more than {chosen.arm.name}"
    return f"{costs} more a call than {chosen.arm.name}"


def basis(choice: Choice) -> Iterator[str]:
    """What "cheaper" was taken to mean; nothing where there is only one arm to take."""
    within = [each for each in choice.judged if not each.outside and each.verdict != "worse"]
    use = choice.limits.use
    if len(within) < 2:
        return
    if choice.basis == "parts":
        yield f"Cheaper means fewer moving parts here ({' < '.join(ARMS)}), for {_why(within, use)}."
    elif choice.basis == "call":
        yield f"Cheaper means a call here, and setup is not counted: {NO_VOLUME}."
    else:
        unlabelled = all(each.arm.setup.labels is None for each in within)
        labels = "without labels (`choose.label_usd` is not given)" if unlabelled else "with labels"
        yield f"Costs are setup, calls, hosting and changes of knowledge for {span(use)}, {labels}."


def _why(within: Sequence[Judged], use: Use) -> str:
    """Why dollars do not tell the arms apart."""
    lacks = dict.fromkeys(lack for each in within for lack in lacking(each.arm, use))
    if lacks:
        return f"no cost is guessed: {'; '.join(lacks)}"
    return "all cost the same" + ("" if use.per_month else f" a call, and {NO_VOLUME}")
