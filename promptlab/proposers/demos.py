"""Which demos, how many, in which order: lists of the bank beyond the declared selections.

A list of a good variant is changed by one move: swap, drop, add or permute (orders: Lu et al. 2022; bootstrapped
reasoning: Zelikman et al. 2022, Khattab et al. 2023). A demo shows its reasoning where the task's own model, asked with
the variant's own prompt, came to the right answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from promptlab.bank import Bank, Listed
from promptlab.errors import CallFailed
from promptlab.records import Flow, Variant
from promptlab.view import View

PARENTS = 4  # of the best variants, one is changed; the better ones more often
DRAWN = ("random", "balanced", "diverse")
_PICKED = ("bank.select", "bank.seed", "bank.order")


def demos(
    n: int, view: View, rng: np.random.Generator, most: int = 16, reasoned: int = 1, right: float = 1.0
) -> Flow[tuple[Variant, ...]]:
    """Good variants with other lists of at most ``most`` demos.

    The first ``reasoned`` of them ask the model to answer each of their demos: an output that scores ``right`` or more
    takes the place of the demo's answer.
    """
    known = {variant.id for variant in view.variants}
    found: list[Variant] = []
    best = leaders(view, demos=True) if view.bank else []
    for _ in range(10 * n if view.bank else 0):
        parent = good(best, rng) or drawn(view, rng)
        if len(found) >= n or parent is None or view.bank is None:
            break
        variant = showing(view, parent, _moved(view.bank, _list(view, parent, rng), most, rng), "demos")
        if variant is not None and len(found) < reasoned and view.predict is not None:
            variant = yield from _reasoned(view, variant, right)
        if variant is not None and variant.id not in known:
            known.add(variant.id)
            found.append(variant)
    return tuple(found)


def shows(view: View, variant: Variant) -> bool:
    """Whether a variant's template shows demos."""
    return any(slot.name == "bank.k" for slot in view.space.active(variant.slots))


def leaders(view: View, *, demos: bool = False) -> list[Variant]:
    """The best live variants, no ensembles; of those that show ``demos``."""
    ranked = (view.variants[v] for v in view.ranking())
    able = (each for each in ranked if "ensemble" not in each.slots and (not demos or shows(view, each)))
    return list(islice(able, PARENTS))


def good(best: Sequence[Variant], rng: np.random.Generator) -> Variant | None:
    """One of the best, the better the likelier; None where there is none."""
    return best[min(int(rng.geometric(0.5)) - 1, len(best) - 1)] if best else None


def drawn(view: View, rng: np.random.Generator) -> Variant | None:
    """A drawn point that shows demos."""
    for _ in range(50):
        number = int.from_bytes(rng.bytes(16), "big") % view.space.size
        variant = view.space.variant(view.space.point(number), "demos")
        if shows(view, variant):
            return variant
    return None


def showing(view: View, parent: Variant, listed: Listed, origin: str) -> Variant | None:
    """The parent with these demos; None where the space has a hole."""
    kept = {name: value for name, value in parent.slots.items() if name not in _PICKED}
    values = {**kept, "bank.k": len(listed), "bank.demos": listed}
    known = any(parent.id == variant.id for variant in view.variants)
    made = view.space.variant(values, origin, (parent.id,) if known else ())
    return None if view.space.excluded(values) else made


def _list(view: View, parent: Variant, rng: np.random.Generator) -> Listed:
    """What the parent shows whatever the row, or else a drawn list of a size that the experiment names."""
    assert view.bank is not None
    listed = view.bank.listed(parent.slots)
    if listed:
        return listed
    sizes = [k for slot in view.space.slots if slot.name == "bank.k" for k in slot.values if k > 0] or [4]
    setting = {
        "bank.k": sizes[rng.integers(len(sizes))],
        "bank.select": DRAWN[rng.integers(len(DRAWN))],
        "bank.seed": int(rng.integers(2**31)),
    }
    return _permuted(view.bank.listed(setting), rng)


def _permuted(listed: Listed, rng: np.random.Generator) -> Listed:
    return tuple(listed[place] for place in rng.permutation(len(listed)))


def _moved(bank: Bank, listed: Listed, most: int, rng: np.random.Generator) -> Listed:
    """One move away."""
    shown = {each if isinstance(each, str) else each[0] for each in listed}
    others = [demo.id for demo in bank.demos if demo.id not in shown]
    moves = ["swap"] if others and listed else []
    moves += ["add"] if others and len(listed) < most else []
    moves += ["drop", "permute"] if len(listed) > 1 else []
    if not moves:
        return listed
    move, changed = moves[rng.integers(len(moves))], list(listed)
    if move == "permute":
        return _permuted(listed, rng)
    place = int(rng.integers(len(listed) + (move == "add")))
    new = others[rng.integers(len(others))] if move in ("swap", "add") else None
    changed[place : place + (move != "add")] = [new] if new is not None else []
    return tuple(changed)[:most]


def _reasoned(view: View, variant: Variant, right: float) -> Flow[Variant | None]:
    """The variant with the outputs that it gives to its own demos, where they are right and say more than the answer.

    A demo is not shown while it is asked itself. Ends at the first output that is the bare answer: nothing to show.
    """
    assert view.bank is not None
    assert view.predict is not None
    known = {demo.id: demo for demo in view.bank.demos}
    kept: list[str | tuple[str, str]] = []
    listed: Sequence[str | tuple[str, str]] = variant.slots["bank.demos"]
    for each in listed:
        demo = known[each if isinstance(each, str) else each[0]]
        row = yield from view.predict(variant, demo)
        row = (yield from view.predict(variant, demo)) if row.status == "error" else row
        if row.status == "error":
            raise CallFailed(row.error)  # no answer at all: no round may be closed on it
        output = row.output.strip()
        if row.status == "ok" and any(output == str(answer) for answer in demo.answers):
            return variant
        kept.append((demo.id, output) if row.status == "ok" and row.score >= right else each)
    parent = next((each for each in view.variants if each.id in variant.parents), variant)
    return showing(view, parent, tuple(kept), "demos")
