"""Many replays: every allocator at every budget on the same draws, on all cores, summed up per matrix."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptlab.allocators import ALLOCATORS, CLAIMS, Allocator
from promptlab.errors import BadInput, Problem
from promptlab.importing import implementation, imported
from promptlab.replay.game import Outcome, drawn, play
from promptlab.replay.matrix import Matrix, read_matrices
from promptlab.replay.spec import Spec
from promptlab.view import View

POINT = 0.01 + 1e-9
CHUNK = 10  # repetitions of one task
COLUMNS = (
    "matrix", "allocator", "budget", "reps", "calls_used", "regret_points", "regret_share", "within_1pt", "claimed",
    "kept",
)  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """What is replayed: budgets in calls per variant (infinite: as many as are asked for)."""

    allocators: tuple[Spec, ...]
    budgets: tuple[float, ...]
    reps: int = 200
    variants: int = 60
    seed: int = 1
    history: int = 0
    parents: bool = False


def chosen(paths: Iterable[Path], plan: Sweep, least: float) -> tuple[list[Matrix], list[str]]:
    """The matrices to replay, and what to tell of those left out. Raises BadInput where none is left.

    Left out: best minus median under ``least``, too few variants beside the known ones, parents that are not told.
    """
    kept, notes = [], []
    for matrix in read_matrices(paths):
        why = ""
        if matrix.spread < least:
            why = f"best minus median is {100 * matrix.spread:.1f} points: little to find (--least)"
        elif plan.history and len(matrix.scores) < 2 * plan.history:
            why = f"{len(matrix.scores)} distinct variants are too few beside {plan.history} known ones"
        elif plan.parents and not matrix.parents:
            why = "it holds no array `parent`"
        if why:
            notes.append(f"{matrix.name} is left out: {why}")
        else:
            kept.append(matrix)
            if matrix.fell:
                notes.append(f"{matrix.name}: {matrix.fell} left out that `full` would have scored on all dev rows")
    if not kept:
        raise BadInput([Problem(note) for note in notes])
    return kept, notes


def loaded(spec: Spec) -> tuple[Allocator, Callable[[View], bool] | None]:
    """An allocator, and what tells whether its end claims anything. BadInput: no such name, wrong options."""
    allocator = implementation("allocator", spec.name, ALLOCATORS, Path.cwd(), spec.options)
    if spec.name not in CLAIMS:
        return allocator, None
    proves = imported(f"allocator {spec.name!r}", CLAIMS[spec.name], Path.cwd(), ())
    return allocator, lambda view: bool(proves(view, allocator))


def sweep(matrices: Sequence[Matrix], plan: Sweep, told: Callable[[float], None], workers: int = 0) -> list[Row]:
    """One row per matrix, allocator and budget, in that order. ``told`` hears the share that is done.

    The same for any number of ``workers`` (0: all cores).
    """
    for spec in plan.allocators:
        loaded(spec)  # what is wrong is said once, here
    parts = [(at, range(start, min(plan.reps, start + CHUNK)))
             for at in range(len(matrices)) for start in range(0, plan.reps, CHUNK)]  # fmt: skip
    found: dict[tuple[int, int], list[list[Outcome]]] = {}
    for done, (at, reps, outcomes) in enumerate(_played(matrices, plan, parts, workers or os.cpu_count() or 1), 1):
        found[at, reps.start] = outcomes
        told(done / len(parts))
    return [row for at, matrix in enumerate(matrices) for row in _summed(matrix, plan, _joined(found, at))]


def _played(
    matrices: Sequence[Matrix], plan: Sweep, parts: Sequence[tuple[int, range]], workers: int
) -> Iterator[tuple[int, range, list[list[Outcome]]]]:
    if workers == 1 or len(parts) == 1:
        for at, reps in parts:
            yield at, reps, chunk(matrices[at], plan, reps)
        return
    with ProcessPoolExecutor(workers) as pool:
        tasks = {pool.submit(chunk, matrices[at], plan, reps): (at, reps) for at, reps in parts}
        try:
            for task in as_completed(tasks):
                yield *tasks[task], task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def chunk(matrix: Matrix, plan: Sweep, reps: Iterable[int]) -> list[list[Outcome]]:
    """Outcomes [allocator x budget, repetition]: all of them on the same draws."""
    made = [loaded(spec) for spec in plan.allocators]
    rows: list[list[Outcome]] = [[] for _ in made for _ in plan.budgets]
    for rep in reps:
        case = drawn(matrix, plan.variants, plan.history, plan.parents, np.random.default_rng([plan.seed, rep]))
        calls = [budget * len(case.pool) for budget in plan.budgets]
        outcomes = (
            play(case, allocator, each, claims, plan.seed + rep) for allocator, claims in made for each in calls
        )
        for row, outcome in zip(rows, outcomes, strict=True):
            row.append(outcome)
    return rows


def _joined(found: dict[tuple[int, int], list[list[Outcome]]], matrix: int) -> list[list[Outcome]]:
    parts = [found[key] for key in sorted(found) if key[0] == matrix]
    return [[outcome for part in parts for outcome in part[place]] for place in range(len(parts[0]))]


def _summed(matrix: Matrix, plan: Sweep, outcomes: Sequence[Sequence[Outcome]]) -> Iterator[Row]:
    rng = np.random.default_rng([plan.seed, 0])
    pool = len(drawn(matrix, plan.variants, plan.history, plan.parents, rng).pool)
    names = [(spec, budget) for spec in plan.allocators for budget in plan.budgets]
    for (spec, budget), found in zip(names, outcomes, strict=True):
        regrets = np.array([each.regret for each in found])
        shares = np.array([each.share for each in found])
        claimed = np.array([each.claimed for each in found])
        within = regrets <= POINT
        yield {
            "matrix": matrix.name,
            "allocator": spec.text,
            "budget": "all" if math.isinf(budget) else budget,
            "reps": len(found),
            "calls_used": float(np.mean([each.calls for each in found])) / pool,
            "regret_points": 100 * float(regrets.mean()),
            "regret_share": float(np.nanmean(shares)) if not np.isnan(shares).all() else None,
            "within_1pt": float(within.mean()),
            "claimed": float(claimed.mean()) if spec.name in CLAIMS else None,
            "kept": float(within[claimed].mean()) if claimed.any() else None,
        }
