"""A choice that the rows do not bear out yet: what they do rule out, what is open, how many rows would tell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from promptlab.choice.prices import dearer, least
from promptlab.choice.rule import Choice, Judged, order


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def margin(choice: Choice) -> str:
    """The margin with its word."""
    return choice.unit.points(choice.limits.margin)[1:]


def held(choice: Choice, judged: Judged) -> str:
    """The arm beside the reference, in figures."""
    if judged.bound is None:
        return choice.best
    gap = f"{choice.unit.points(judged.bound.delta)}{choice.unit.span(judged.bound.low, judged.bound.high)}"
    return f"against {choice.reference} {gap}"


def ruled_out(choice: Choice, *, told: bool = False) -> list[str]:
    """What the rows say of the arms that are not in question any more, in clauses. ``told``: the reference was named.

    Those outside the limits are not in it.
    """
    apart = {choice.name, *choice.rivals}
    rest = [each for each in choice.judged if not each.outside and each.arm.name not in apart]
    worse = [each.arm.name for each in rest if each.verdict == "worse"]
    clauses = []
    if worse:
        than = "" if told else f" than {choice.reference}"
        clauses.append(f"{listed(worse)} {_is(worse)} worse{than}{by_more(choice)}")
    alike: dict[str, list[Judged]] = {}
    for each in rest:
        if each.verdict in ("eligible", "open"):
            alike.setdefault(_behind(choice, each, several=False), []).append(each)
    for same in alike.values():
        names = [each.arm.name for each in same]
        clauses.append(f"{listed(names)} {_behind(choice, same[0], several=len(same) > 1)}")
    return clauses


def _behind(choice: Choice, judged: Judged, *, several: bool) -> str:
    """Why an arm that is not shown to be worse is not taken, either."""
    verb, why = "are" if several else "is", dearer(choice, judged, several=several)
    if judged.verdict == "open":
        return f"{verb} not shown to be {_what(choice)}, and {why}"
    return why if judged.bound is None else f"{verb} as good, but {why}"


def by_more(choice: Choice) -> str:
    """The words "by more than 2.0 points", behind a space; nothing without a margin."""
    return f" by more than {margin(choice)}" if choice.limits.margin > 0 else ""


def undecided(choice: Choice) -> list[str]:
    """First what is decided, then what is open and how many rows would tell, then what to take and why."""
    pick = choice.of(choice.name or choice.reference)
    left = {choice.name, *choice.rivals}
    clauses, names = ruled_out(choice), listed([each.arm.name for each in choice.judged if each.arm.name in left])
    if clauses:
        first = f"Not decided: {'; '.join(clauses)}. What is left is {names}."
    elif len(left) == 2:
        first = f"Not decided: these test rows rule out neither {names.replace(' and ', ' nor ')}."
    else:
        first = f"Not decided: these test rows rule out none of {names}."
    best = f"it is {choice.best}"
    if pick.bound is not None:
        near = f"within {margin(choice)} of {choice.reference}, {choice.best}"
        best = f"it is shown to be {near}, and {least(choice, pick)}"
    return [first, f"Open: {_open(choice)}.{rows(choice)}", f"Until then take {choice.name}: {best}."]


def rows(choice: Choice) -> str:
    """How many rows would tell, where a number does."""
    if choice.rows is None or all(choice.of(name).failed for name in choice.rivals):
        return ""
    known = [choice.of(name).bound for name in choice.rivals]
    have = max((bound.n for bound in known if bound is not None), default=0)
    if choice.rows > have:
        return f" If they are equal, about {choice.rows:,} test rows would show it; there are {have:,}."
    if any(len(choice.of(name).arm.seeds) > 1 for name in (*choice.rivals, choice.reference)):
        return " More test rows would hardly tell, for tuning seeds differ by too much: tune with more seeds."
    return f" If they are equal, as many test rows as there are ({have:,}) mostly show it: bring a few more."


def _open(choice: Choice) -> str:
    pick, cost = choice.of(choice.name or choice.reference), order(choice.basis, choice.limits)
    by = f" by {margin(choice)} or more" if choice.limits.margin > 0 else ""
    told = []
    for name in choice.rivals:
        rival = choice.of(name)
        if rival.failed:
            told.append(f"calls that failed could turn how {name} compares (choose again: they are asked again)")
        elif rival.bound is None or math.isnan(rival.bound.low):
            told.append(f"of {name} nothing can be told on so few rows")
        elif cost(rival) > cost(pick):
            told.append(f"{name} may be better than {choice.reference}{by} ({held(choice, rival)})")
        else:
            word = "has fewer moving parts" if choice.basis == "parts" else "is cheaper"
            compared = f"may be as good as {choice.reference}, or worse{by}"
            told.append(f"{name}, which {word}, {compared} ({held(choice, rival)})")
    return "; ".join(told)


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _what(choice: Choice) -> str:
    """What an arm that is dearer than the pick would have to be."""
    if choice.name == choice.reference:
        return "better" + (f" by {margin(choice)} or more" if choice.limits.margin > 0 else "")
    return f"as good as {choice.reference}"
