"""The choice in words: one sentence with its reason, a verdict's reason for every arm, and what the claim is about."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from promptlab.choice.prices import basis, dearer, least, whole
from promptlab.choice.rule import Choice, Judged, Verdict
from promptlab.choice.undecided import by_more, held, listed, margin, rows, ruled_out, undecided
from promptlab.reads import MOST_READS
from promptlab.stats.paired import mean


def sentences(choice: Choice) -> list[str]:
    """The choice and why; who keeps which limit not; what "cheaper" was taken to mean, and what qualifies the claim."""
    return [*_decision(choice), *_refuted(choice), *_outside(choice), *basis(choice), *_claims(choice)]


def reason(choice: Choice, judged: Judged) -> str:
    """Why an arm has its verdict, and what it costs in all where that is known."""
    cost = whole(choice, judged)
    said = _reason(choice, judged)
    return f"{said}; {cost}" if cost and cost not in said else said


def legend(choice: Choice) -> list[str]:
    """What the verdicts in a choice mean, those that do not say it themselves."""
    best = f"{choice.best} ({choice.reference})"
    meaning: Mapping[Verdict, str] = {
        "until then": "what to take until more rows decide",
        "eligible": f"shown to be as good as {best}, but not the cheapest",
        "open": f"neither shown to be as good as {best}, nor worse",
        "worse": f"worse than {best}{by_more(choice)}",
        "outside": "does not keep the limits",
    }
    seen = {each.verdict for each in choice.judged}
    return [f"{verdict} = {said}" for verdict, said in meaning.items() if verdict in seen]


def _reason(choice: Choice, judged: Judged) -> str:
    if judged.outside:
        return "outside the limits: " + "; ".join(judged.outside)
    if judged.bound is not None and math.isnan(judged.bound.low):
        return f"{judged.bound.n} row{' is' if judged.bound.n == 1 else 's are'} too few to tell anything"
    beside = held(choice, judged)
    if judged.failed:
        return f"{beside}, but rows on which calls failed could turn that"
    told = {
        "chosen": lambda: f"{beside}; {least(choice, judged)}",
        "until then": lambda: f"{beside}; not decided yet against {listed(choice.rivals)}",
        "worse": lambda: f"{beside}: worse than {choice.best}{by_more(choice)}",
        "open": lambda: f"{beside}: neither shown to be as good as {choice.best}, nor worse{by_more(choice)}",
        "eligible": lambda: f"{beside}, but {dearer(choice, judged)}",
    }
    return told[judged.verdict]()


def _decision(choice: Choice) -> list[str]:
    if choice.name is None:
        return [_nothing(choice)]
    if not choice.decided:
        return undecided(choice)
    pick = choice.of(choice.name)
    if pick.bound is None:
        if all(each.outside for each in choice.judged if each is not pick):
            return [f"Choice: {choice.name}, for no other arm keeps the limits."]
        return [f"Choice: {choice.name}, {choice.best}. On test {'; '.join(ruled_out(choice, told=True))}."]
    close = f"at worst {choice.unit.points(-pick.bound.low)[1:]} below" if pick.bound.low < 0 else "not below"
    beside = f"({held(choice, pick)}, margin {margin(choice)})"
    first = (
        f"Choice: {choice.name}. It is {close} {choice.reference}, {choice.best} {beside}, and {least(choice, pick)}."
    )
    others = ruled_out(choice)
    return [first, *([f"Of the others, {'; '.join(others)}."] if others else [])]


def _nothing(choice: Choice) -> str:
    within = [each for each in choice.judged if not each.outside]
    if not within:
        return "Not decided: no arm keeps the limits."
    one, names = len(within) == 1, listed([each.arm.name for each in within])
    if all(each.verdict == "worse" for each in within):
        shown = f"{'is' if one else 'all are'} worse than"
    else:
        shown = f"{'is not' if one else 'none is'} shown to be as good as"
    best = f"{choice.reference}, {choice.best}, which does not keep them"
    return f"Not decided: {names} {'keeps' if one else 'keep'} the limits, and {shown} {best}.{rows(choice)}"


def _refuted(choice: Choice) -> Iterator[str]:
    if choice.refuted:
        yield (
            f"{choice.refuted} was {choice.dev}, but test shows {choice.reference} to be better{by_more(choice)}: "
            f"so the arms are held against {choice.reference}."
        )


def _outside(choice: Choice) -> Iterator[str]:
    for each in choice.judged:
        if each.outside:
            yield f"{each.arm.name} is outside the limits: {'; '.join(each.outside)}."


def _claims(choice: Choice) -> Iterator[str]:
    tuned = [each.arm for each in choice.judged if each.arm.tuned]
    once = [arm.name for arm in tuned if len(arm.seeds) < 2]
    if len(once) == 1:
        yield f"{once[0]} was tuned once: what is said of it is said of this model, not of tuning."
    elif once:
        yield f"{listed(once)} were tuned once: what is said of them is said of these models, not of tuning."
    for arm in tuned:
        if len(arm.seeds) > 1:
            means = [mean(each) for each in arm.seeds]
            scores = ", ".join("no score" if math.isnan(each) else choice.unit.score(each) for each in means)
            on_test = "" if all(map(math.isnan, means)) else f" ({scores} on test)"
            yield (
                f"{arm.name} was tuned with {len(arm.seeds)} seeds{on_test}: its score is the mean of "
                f"{len(arm.seeds)} seeds, its p95 that of all their answers, and its bounds hold for another seed."
            )
    if choice.reads > 1:
        new = " Bring new rows." if choice.reads > MOST_READS else ""
        yield f"These test rows have been read {choice.reads} times by now; the bounds are wider for it.{new}"
