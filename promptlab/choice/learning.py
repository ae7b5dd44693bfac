"""Learning curves of an arm: the variants that differ from its pick in one size alone, on the same dev rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from promptlab.choice.curve import Curve, curve
from promptlab.finished import Run
from promptlab.records import Variant
from promptlab.results import as_measured
from promptlab.stats.sample import Array, codes_of

AXES = {"bank.k": "demos", "retrieval.k": "passages", "model": "training rows"}
_TUNED = re.compile(r"(?P<own>tuned-.+-s(?P<seed>\d+))-n(?P<rows>\d+)")


def curves(run: Run, beside: Sequence[Run] = ()) -> tuple[Curve, ...]:
    """Score against demos, passages and training rows, in this order; an axis with one size has none.

    Only sizes that were scored on every dev row are points; the others are named in the curve. Training rows follow the
    seed of the pick. ``beside``: the first runs of the experiment's other arms: an arm with demos lacks the prompt
    without any, which one of those may be.
    """
    view, pick = as_measured(run.findings).search.view, _pick(run)
    groups, found = codes_of([example.group for example in view.dev]), []
    for slot, axis in AXES.items():
        sizes = _sizes(slot, pick, run, beside)
        whole = {x: row for x, row in sizes.items() if not np.isnan(row).any()}
        if len(sizes) < 2 or not whole:
            continue
        part = tuple((x, int(np.sum(~np.isnan(row)))) for x, row in sorted(sizes.items()) if x not in whole)
        which = f"seed {_seed(pick)}" if slot == "model" else ""
        made = curve(axis, list(whole), list(whole.values()), run.findings.seed, groups)
        found.append(replace(made, which=which, part=part))
    return tuple(found)


def _pick(run: Run) -> Variant:
    return run.findings.search.view.variants[run.findings.choice.pick]


def _sizes(slot: str, pick: Variant, run: Run, beside: Sequence[Run]) -> dict[float, Array]:
    """Dev's scores by size; of several with one size, one that is scored in full. Other arms give size 0 alone."""
    sizes: dict[float, Array] = {}
    for each in (run, *(other for other in beside if other is not run)):
        for variant, row in _alike(slot, pick, each, run):
            x = _size(slot, variant, pick)
            if x is None or (each is not run and x > 0):
                continue
            if x not in sizes or (np.isnan(sizes[x]).any() and not np.isnan(row).any()):
                sizes[x] = row
    return sizes


def _alike(slot: str, pick: Variant, run: Run, own: Run) -> Iterator[tuple[Variant, Array]]:
    """A run's variants that differ from the pick in nothing but the slot, with their scores on the same dev rows."""
    view = as_measured(run.findings).search.view
    if [each.id for each in view.dev] == [each.id for each in own.findings.search.view.dev]:
        yield from (pair for pair in zip(view.variants, view.scores, strict=False) if _near(pair[0], pick, slot))


def _near(one: Variant, other: Variant, slot: str) -> bool:
    """Whether two variants have a slot and differ in nothing else.

    What vanishes with it is no difference: no demos have no order, and one passage has none, either.
    """
    if slot not in one.slots or slot not in other.slots:
        return False
    family = slot.split(".", maxsplit=1)[0] + "."
    apart = {name for name in {*one.slots, *other.slots} if one.slots.get(name) != other.slots.get(name)}
    vanished = {name for name in apart if name.startswith(family) and not (name in one.slots and name in other.slots)}
    return apart - vanished <= {slot}


def _size(slot: str, variant: Variant, pick: Variant) -> float | None:
    """How much of it: the value, or the rows that a tuned model learned from.

    None for a model that was not tuned, or of another base, arm or seed than the pick's.
    """
    if slot != "model":
        return float(variant.slots[slot])
    own, found = (_TUNED.fullmatch(str(each.slots[slot])) for each in (pick, variant))
    return float(found["rows"]) if own and found and own["own"] == found["own"] else None


def _seed(pick: Variant) -> str:
    found = _TUNED.fullmatch(str(pick.slots["model"]))
    return found["seed"] if found else ""
