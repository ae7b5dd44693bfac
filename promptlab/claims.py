"""What a finished search may say of the variants that its allocator kept, on dev alone."""

from __future__ import annotations

from promptlab.allocators.cohort import is_open
from promptlab.allocators.race import Race, proven
from promptlab.claim import fixed, raced
from promptlab.findings import Findings
from promptlab.prepare import Prepared
from promptlab.unit import unit_of

FEW = 10  # variants below which the replays that ``fixed`` quotes say nothing


def claims(prepared: Prepared, found: Findings) -> list[str]:
    """The sentence of a race that came to its end, or of a fixed budget; none where all were scored in full."""
    view, allocator = found.search.view, prepared.allocator
    ran = int(view.asked.any(axis=1).sum())
    if isinstance(allocator, Race):
        return [raced(allocator, ran, unit_of([view.scores]))] if proven(view, allocator) else []
    unit = unit_of([view.scores])
    name, _ = prepared.experiment.search.allocate
    if name != "ranks" or ran < FEW or not unit.rate or view.asked[view.asked.any(axis=1)].all():
        return []
    if is_open(view):  # generations of rewritten texts: the replays were of sets that were there from the start
        return []
    said = fixed(float(view.asked.sum()) / ran)
    return [said] if said else []
