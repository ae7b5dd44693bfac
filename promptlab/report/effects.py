"""What each choice of each slot is worth, drawn: effects with their intervals, and what matters together."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from promptlab.comparison.effects import Effect, Effects
from promptlab.comparison.effects import effects as effects_of
from promptlab.finished import Run
from promptlab.report.marks import joined, table, tag
from promptlab.report.svg import figure, line, point, scale, words
from promptlab.unit import Unit

MOST = 60  # effects on the drawing
WIDTH, LEFT, HIGH, TOP, CUT = 860, 330, 20, 34, 46


def effects(run: Run, unit: Unit) -> Markup | None:
    """The drawing and the interactions; None where the run holds no block that could tell."""
    found = effects_of(run.results, run.predictions, run.findings.seed)
    if not found.effects:
        return None
    return joined((_drawn(found, unit), _together(found, unit), _unclear(found)))


def _drawn(found: Effects, unit: Unit) -> Markup:
    shown = found.effects[:MOST]
    slots = list(dict.fromkeys(each.slot for each in shown))
    ordered = sorted(shown, key=lambda each: (slots.index(each.slot), -each.delta))
    height = TOP + HIGH * (len(ordered) + len(slots)) + 10
    along = scale((0.0, *(x for each in ordered for x in (each.low, each.high))), LEFT, WIDTH - 150)
    parts = [line(along(0), TOP - 6, along(0), height - 6, "zero")]
    for tick in along.ticks():
        parts += [
            words(along(tick), TOP - 18, unit.gap(tick), at="middle"),
            line(along(tick), TOP - 12, along(tick), TOP - 7, "axis"),
        ]
    y, before = TOP, ""
    for each in ordered:
        if each.slot != before:
            own = [effect for effect in ordered if effect.slot == each.slot]
            parts.append(words(0, y + 14, f"{_cut(each.slot)}, against {_cut(_one(own))}", kind="label head"))
            y, before = y + HIGH, each.slot
        parts += _effect(each, unit, along(each.delta), (along(each.low), along(each.high)), y)
        y += HIGH
    caption = _caption(found, len(shown))
    return figure(parts, (WIDTH, height), "Slot effects", caption, caption)


def _one(own: Sequence[Effect]) -> str:
    """What the values of a slot are compared with, where that is the same for all."""
    against = {each.against for each in own}
    return next(iter(against)) if len(against) == 1 else "the value named"


def _effect(each: Effect, unit: Unit, x: float, span: tuple[float, float], y: float) -> list[Markup]:
    middle, clear = y + HIGH / 2, each.low > 0 or each.high < 0
    tip = f"{each.slot}: {each.value} against {each.against}, {each.n} rows"
    return [
        words(LEFT - 10, middle + 4, _cut(each.value), at="end"),
        line(span[0], middle, span[1], middle, "whisker" if clear else "whisker dev"),
        point(x, middle, "tied" if clear else "beaten", tip, size=4),
        words(WIDTH - 142, middle + 4, f"{unit.gap(each.delta)}{unit.span(each.low, each.high)}", kind="label"),
    ]


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
