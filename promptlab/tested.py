"""What test says of dev's pick and the other finalists, and whether the pick wins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from promptlab.final import won_on_dev
from promptlab.findings import Findings
from promptlab.measured import by_variant, objective_of, whole
from promptlab.reads import reread as reread  # noqa: PLC0414 - the cost of p, as others know it
from promptlab.stats.paired import Paired, error_bounds, paired
from promptlab.stats.sample import Array, Codes, codes_of
from promptlab.stats.ties import max_t
from promptlab.view import View

ALPHA = 0.05
DEV_ALPHA = 0.025  # one-sided, where dev is all there is


@dataclass(frozen=True, slots=True)
class Tested:
    """What test says of the baseline (0) and the finalists: scores per row, differences, p; empty if it was not read.

    p of dev's pick is raw, the others' is adjusted for being many and never below the pick's; all are for the number of
    runs that have read these rows. ``groups``: a code per row, None where every row stands alone.
    """

    weights: Array
    scores: Mapping[int, Array]
    gaps: Mapping[int, Paired]
    p: Mapping[int, float]
    groups: Codes | None = None
    fills: tuple[float, float] = field(default=(0.0, 1.0))


def tested(found: Findings) -> Tested:
    """What test says, repeats averaged first, every difference on the rows that both have."""
    weights = np.array([example.weight for example in found.test_rows])
    if not found.test:
        return Tested(weights, {}, {}, {})
    variants, rows = found.search.view.variants, by_variant(found.test)
    groups = codes_of([example.group for example in found.test_rows])
    finalists, pick = found.choice.finalists, found.choice.pick
    scores = {v: objective_of(found.task, rows.get(variants[v].id, []), found.test_rows) for v in (0, *finalists)}
    seed = seed_of(found)
    gaps = {v: paired(scores[v], scores[0], seed, weights, groups=groups) for v in finalists}
    if not finalists:
        return Tested(weights, scores, {}, {}, groups)
    differences = np.array([scores[v] - scores[0] for v in finalists]) * (weights / weights.mean())
    family = dict(zip(finalists, max_t(differences, seed=found.seed, groups=groups), strict=True))
    raw = gaps[pick].p if pick in gaps else 0.0
    p = {v: raw if v == pick else float(np.maximum(raw, family[v])) for v in finalists}
    return Tested(
        weights,
        scores,
        gaps,
        {v: reread(each, found.reads) for v, each in p.items()},
        groups,
        fills_of(found, scores.values()),
    )


def seed_of(found: Findings) -> int | None:
    """The seed of the bootstrap; None where rows are pseudo-values, for which t covers better."""
    return None if whole(found.task) else found.seed


def fills_of(found: Findings, scores: Iterable[Array]) -> tuple[float, float]:
    """The least and the most that a missing row may have scored: 0 and 1, of pseudo-values the extremes there are."""
    if not whole(found.task):
        return 0.0, 1.0
    known = np.concatenate([each[~np.isnan(each)] for each in scores])
    return float(known.min(initial=0.0)), float(known.max(initial=1.0))


def alone_p(found: Findings, view: View) -> float | None:
    """Where there is no test split: how likely chance alone makes the pick as good on dev (one-sided, all counted).

    None where test decides, or where proposers adapted, variants fell or groups are too few for anything to be said.
    """
    return won_on_dev(view, found.choice, found.seed) if found.alone and not found.test else None


def borne_out(found: Findings, test: Tested, view: View) -> bool:
    """Whether dev's pick wins: above the baseline with p below .05, whatever failed calls would have said.

    On test; where there is no test split, on dev by the one-sided test of the best of all (below .025).
    """
    pick = found.choice.pick
    if pick == 0:
        return False
    if pick in test.gaps:
        bounds = error_bounds(test.scores[pick], test.scores[0], test.weights, test.fills)
        return test.gaps[pick].delta > 0 and test.p[pick] < ALPHA and min(bounds) > 0
    p = alone_p(found, view)
    bounds = error_bounds(view.scores[pick], view.scores[0], view.weights, fills_of(found, view.scores))
    return p is not None and p < DEV_ALPHA and min(bounds) > 0


def pick_p(found: Findings, test: Tested, view: View) -> float | None:
    """The p of dev's pick, two-sided: test's, or twice dev's one-sided one where dev is all there is; None = none."""
    if found.choice.pick in test.p:
        p = test.p[found.choice.pick]
        return None if math.isnan(p) else p
    one_sided = alone_p(found, view)
    return None if one_sided is None else min(1.0, 2 * one_sided)
