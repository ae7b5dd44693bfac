"""Allocators on recorded scores: python tests/benchmarks/allocate.py MATRICES [--reps 200] [--only known,race,...].

MATRICES is a folder of .npz with scores[variant, example]; files named gepa_* and fcot_* are told apart. Prints the
regret share (of best minus median) and its ratio to halving in the same run, with nothing known (and what textbook
halving and the rank schedule reached on a larger pool of such matrices, to tell a weak policy from a strong yardstick),
with five finalists known and with their children's parents known as well; then what the paired race claims, keeps and
takes; then what allocating costs per prediction.
The aims: ratios of at most .92, .60 and .50; the race within 1 point in 96 % of runs for 30 % (gepa) and 12 % (fcot)
of the grid; under 1 ms per prediction at 200 variants and 2,000 examples.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from promptlab.replay.game import drawn, play
from promptlab.replay.matrix import Matrix
from promptlab.replay.spec import specs
from promptlab.replay.sweep import Row, Sweep, chosen, loaded, sweep

CALM = Sweep(specs("halving,halving[brackets=3],uniform,ranks,ucb,top_two"), (3.0, 5.0, 10.0, 20.0, 40.0))
KINDS = ("gepa", "fcot")
FEWEST = 15  # distinct variants
ELSEWHERE = {  # regret shares at 3, 5, 10, 20, 40 calls per variant on 21 and 10 matrices, some of them these
    "gepa": {"successive halving": (0.56, 0.49, 0.35, 0.21, 0.11), "rank schedule": (0.55, 0.46, 0.30, 0.19, 0.085)},
    "fcot": {"successive halving": (0.38, 0.28, 0.15, 0.063, 0.034), "rank schedule": (0.35, 0.24, 0.13, 0.061, 0.030)},
}


def ratios(title: str, folder: Path, plan: Sweep) -> None:
    """A table of regret shares, and of their ratios to halving."""
    matrices = used(folder, plan)
    rows = sweep(matrices, plan, lambda _: None)
    print(f"\n{title}: regret share (ratio to halving), {plan.reps} repetitions")
    for kind in KINDS:
        some = [row for row in rows if row["matrix"].startswith(kind)]
        if not some:
            continue
        print(
            f"{kind} ({len({row['matrix'] for row in some}):2d})"
            + " " * 13
            + "".join(f"{b:>14g}" for b in plan.budgets)
        )
        base = [_mean(some, "halving", budget) for budget in plan.budgets]
        for spec in plan.allocators:
            figures = [_mean(some, spec.text, budget) for budget in plan.budgets]
            print(
                f"  {spec.text:<20}" + "".join(f"  {f:.3f} ({f / b:.2f})" for f, b in zip(figures, base, strict=True))
            )
        for name, known in ELSEWHERE[kind].items() if plan.history == 0 else ():
            print(f"  {name + ' *':<20}" + "".join(f"  {each:.3f}       " for each in known))
    if plan.history == 0:
        print("* on a larger pool of such matrices")


def used(folder: Path, plan: Sweep) -> list[Matrix]:
    """The matrices with something to find among at least 15 distinct variants."""
    matrices, _ = chosen([folder], plan, 0.02)
    return [each for each in matrices if each.name.startswith(KINDS) and len(each.scores) >= FEWEST]


def _mean(rows: Sequence[Row], allocator: str, budget: float, column: str = "regret_share") -> float:
    found = [row[column] for row in rows if row["allocator"] == allocator and row["budget"] == budget]
    return float(np.mean(found))


def claims(folder: Path, reps: int) -> None:
    """What the races claim at the price of which share of the grid."""
    plan = Sweep(specs("race,race[z=2],race[strict=true]"), (math.inf,), reps)
    matrices = used(folder, plan)
    width = {each.name: each.scores.shape[1] for each in matrices}
    rows = sweep(matrices, plan, lambda _: None)
    print(f"\nRaces, within 1 point: share of the grid, claims kept, worst matrix; {reps} repetitions")
    for kind in KINDS:
        for spec in plan.allocators:
            some = [row for row in rows if row["matrix"].startswith(kind) and row["allocator"] == spec.text]
            grid = np.mean([row["calls_used"] / width[row["matrix"]] for row in some])
            kept = [row["kept"] for row in some if row["kept"] is not None]
            claimed = np.mean([row["claimed"] for row in some])
            told = f"{np.mean(kept):.3f} (worst {min(kept):.2f})" if kept else "nothing"
            print(f"  {kind} {spec.text:<18} {grid:.1%} of the grid, claimed in {claimed:.0%}, kept {told}")


def overhead() -> None:
    """Milliseconds per prediction at 200 variants and 2,000 examples, 20 calls per variant."""
    rng = np.random.default_rng(0)
    chance = np.clip(0.5 + rng.normal(0, 0.1, 200)[:, None] + rng.normal(0, 0.2, 2000), 0, 1)
    matrix = Matrix("made", (rng.random((200, 2000)) < chance).astype(float))
    print(
        "\nMilliseconds per prediction, 200 variants x 2,000 examples, 20 calls per variant, nothing and 5 rows known"
    )
    for spec in specs("uniform,halving,ranks,race,race[strict=true],ucb,top_two"):
        allocator, _ = loaded(spec)
        taken = []
        for known in (0, 5):
            case = drawn(matrix, 195, known, False, np.random.default_rng(1))
            start = time.perf_counter()
            outcome = play(case, allocator, 20.0 * len(case.pool), None, 1)
            taken.append(1000 * (time.perf_counter() - start) / outcome.calls)
        print(f"  {spec.text:<18}" + "".join(f"{each:8.3f}" for each in taken))


def main() -> None:
    """Everything, or what --only names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("matrices", type=Path)
    parser.add_argument("--reps", type=int, default=200)
    parser.add_argument("--only", default="nothing,known,parents,race,overhead")
    given = parser.parse_args()
    plan = replace(CALM, reps=given.reps)
    if "nothing" in given.only:
        ratios("Nothing known", given.matrices, plan)
    two = specs("halving,ranks")
    if "known" in given.only:
        ratios("Five finalists known", given.matrices, replace(plan, allocators=two, history=5))
    if "parents" in given.only:
        known = replace(plan, allocators=two, budgets=(3.0, 5.0, 10.0), history=5, parents=True)
        ratios("Finalists and parents known", given.matrices, known)
    if "race" in given.only:
        claims(given.matrices, given.reps)
    if "overhead" in given.only:
        overhead()


if __name__ == "__main__":
    main()
