"""What each choice of each slot is worth, drawn: effects with their intervals, and what matters together."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from promptlab.comparison.effects import Effect, Effects
from promptlab.comparison.effects import effects as effects_of
from promptlab.finished import Run
from promptlab.report.marks import joined, table, tag, wide
from promptlab.report.running import Running
from promptlab.report.strip import across, axis, strip, upright, whisker
from promptlab.report.svg import Scale
from promptlab.unit import Unit

MOST = 60  # effects on the drawing
CUT = 60  # characters of a value


def effects(run: Run, unit: Unit) -> Markup | None:
    """The drawing and the interactions; None where the run holds nothing that could tell."""
    found = effects_of(run.results, run.predictions, run.findings.seed)
    if not found.effects or (isinstance(run, Running) and found.source == "near the winner"):
        return None  # while a run goes on there is no winner to be near to
    return joined((_drawn(found, unit), _together(found, unit), _unclear(found)))


def _drawn(found: Effects, unit: Unit) -> Markup:
    shown = found.effects[:MOST]
    slots = list(dict.fromkeys(each.slot for each in shown))
    along = across((0.0, *(x for each in shown for x in (each.low, each.high))))
    heads = (tag("th", said, scope="col", class_=kind or None) for said, kind in (("value", ""), ("difference", "num")))
    plot = tag("th", axis(along, unit.gap, 3), scope="col", class_="drawn", aria_label="drawn")
    body = []
    for slot in slots:
        own = sorted((each for each in shown if each.slot == slot), key=lambda each: -each.delta)
        title = f"{_cut(slot)}, against {_cut(_one(own))}"
        body.append(tag("tr", tag("th", title, colspan=3, scope="rowgroup", class_="slot")))
        body += [_effect(each, unit, along) for each in own]
    caption = tag("caption", _caption(found, len(shown)))
    inner = tag("table", caption, tag("thead", tag("tr", *heads, plot)), tag("tbody", joined(body)), class_="effects")
    return wide(inner, "Slot effects")


def _one(own: Sequence[Effect]) -> str:
    """What the values of a slot are compared with, where that is the same for all."""
    against = {each.against for each in own}
    return next(iter(against)) if len(against) == 1 else "the value named"


def _effect(each: Effect, unit: Unit, along: Scale) -> Markup:
    clear = each.low > 0 or each.high < 0
    row = {"delta": each.delta, "low": each.low, "high": each.high}
    looks = "delta, tied" if clear else "dev, beaten"
    drawn = strip([upright(along, 0.0), *whisker(along, row, ("delta", "low", "high"), 13, looks)])
    figures = unit.gap(each.delta), " ", tag("span", unit.span(each.low, each.high).strip(), class_="span")
    tip = f"{each.slot}: {each.value} against {each.against}, {each.n} rows"
    value = tag("td", _cut(each.value), class_="value", title=tip)
    return tag("tr", value, tag("td", *figures, class_="num"), tag("td", drawn, class_="drawn"))


def _caption(found: Effects, shown: int) -> str:
    more = f" {len(found.effects) - shown} more are left out." if len(found.effects) > shown else ""
    if found.source == "near the winner":
        return (
            "Near the winner: variants scored in full that differ in one slot alone, on the same dev rows. It holds "
            f"there, and of the rest of the space nothing is told. Full dots: the interval is clear of 0.{more}"
        )
    whole = "a sample of the space" if found.sampled else "every variant"
    return (
        f"From a design block of {found.variants} variants ({whole}) on {found.rows} dev rows, which no allocator "
        f"picked; 95 % intervals. Full dots: the interval is clear of 0.{more}"
    )


def _together(found: Effects, unit: Unit) -> Markup:
    if not found.interactions:
        said = f"None of {found.looked} interactions stands out." if found.looked else ""
        return tag("p", said) if said else Markup("")
    rows = [
        [f"{each.slots[0]} = {each.values[0]}", f"{each.slots[1]} = {each.values[1]}",
         f"{unit.gap(each.delta)}{unit.span(each.low, each.high)}"]
        for each in found.interactions
    ]  # fmt: skip
    caption = f"Together worth more, or less, than the sum; {found.looked} looked at"
    return table(["this", "with this", "more than the sum"], rows, caption, ["", "", "num"])


def _unclear(found: Effects) -> Markup:
    names = ", ".join(f"{slot} = {value}" for slot, value in found.unclear)
    return tag("p", f"These variants cannot tell apart: {names}.") if names else Markup("")


def _cut(said: str) -> str:
    flat = " ".join(said.split())
    return flat if len(flat) <= CUT else f"{flat[: CUT - 1]}…"
