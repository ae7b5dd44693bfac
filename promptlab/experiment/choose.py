"""`choose` of an experiment: which arms, within which limits, at which use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from promptlab.errors import nearest
from promptlab.experiment.data import existing_file
from promptlab.experiment.sheet import Sheet
from promptlab.records import Model

if TYPE_CHECKING:
    from promptlab.experiment.file import ChooseFile

ARMS = ("prompt", "prompt+demos", "rag", "rag+demos", "fine-tuned", "fine-tuned+rag")
"""Every arm, the one with the fewest moving parts first: a corpus is more to keep than demos, a model of one's own more
than a corpus."""
MARGIN, MONTHS = 0.02, 12.0


@dataclass(frozen=True, slots=True)
class Choose:
    """Which arms to try (those that the experiment cannot have are left out, and it is said), and what they must keep.

    None = no such limit, or no such price. ``margin`` and ``target`` are in the unit of the scores. Costs are those of
    ``months`` months with so many calls and changes of knowledge each. ``label_usd``: what one label costs; None =
    labels are not counted. ``probe``: rows of another task, on which tuning may lose no more than two points.
    """

    arms: tuple[str, ...] = ARMS
    target: float | None = None
    margin: float = MARGIN
    p95_ms: float | None = None
    usd_per_1k: float | None = None
    volume_per_month: float | None = None
    months: float = MONTHS
    updates_per_month: float = 0.0
    label_usd: float | None = None
    probe: Path | None = None


def read_choose(sheet: Sheet, file: ChooseFile | None, models: Sequence[Model]) -> Choose:
    """The settings; all arms and no limits without the key."""
    if file is None:
        return Choose()
    for place, name in enumerate(file.arms or ()):
        if name not in ARMS:
            key = ("choose", "arms", place)
            sheet.add(key, f"{sheet.name(key)}: there is no arm {name!r}", nearest(name, ARMS))
    unpriced = [model.name for model in models if model.price is None]
    if file.usd_per_1k is not None and unpriced:
        what = f"a limit in dollars needs a price, and the model {unpriced[0]!r} has none"
        remedy = "Give it price: {input: …, output: …} in US dollars per million tokens."
        sheet.add(("choose", "usd_per_1k"), f"`choose.usd_per_1k`: {what}", remedy)
    probe = None if file.probe is None else existing_file(sheet, ("choose", "probe"), file.probe)
    given = file.model_dump(exclude_none=True, exclude={"arms", "probe"})
    return Choose(arms=tuple(file.arms or ARMS), probe=probe, **given)
