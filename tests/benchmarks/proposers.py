"""What each proposer brings on copies of the two sample experiments: the pick's test score against the baseline's.

    python tests/benchmarks/proposers.py [--calls 1500] [--seeds 3] [--train 0.2] [--only NAMES] [--on TEXT]
        [--allocate NAME] [--out F.csv]

Every run: the embedded engine, the default allocator, one finalist, one proposer alone (``ensemble`` after ``random``,
to be compared with it). Only the seed of the search changes: test rows are always the sample's own half; ``--train``
is the share of all rows that moves from dev to train. product_qa starts from its plain prompt with passages: closed
book, no wording can do much. The interval is over test rows, of the difference averaged over the seeds; ``won`` counts
the seeds whose own test says so (p < .05). Calls are those of the budget, by purpose (meta: writing texts), per run.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shutil
import sqlite3
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402 - the path above comes first

from promptlab.api import Experiment  # noqa: E402
from promptlab.finished import Run  # noqa: E402
from promptlab.measured import scores_of  # noqa: E402
from promptlab.stats.paired import paired  # noqa: E402

PROPOSERS: dict[str, list[Any]] = {
    **{name: [name] for name in ("grid", "random", "tpe", "demos", "format", "corpus")},
    "ensemble": ["random", "ensemble"],
    **{name: [name] for name in ("paraphrase", "induce", "history")},
    "evolve ga": [{"evolve": {"by": "ga"}}],
    "evolve de": [{"evolve": {"by": "de"}}],
    "evolve demos": [{"evolve": {"by": "ga", "demos": True}}],
    "reflect": ["reflect"],
    "gepa": ["gepa"],
}
STARTS: dict[str, dict[str, Any]] = {
    "support_intent": {},
    "product_qa": {
        "baseline": {"template": "qa/grounded", "task": "plain", "format": "short", "bank.k": 0},
        "retrieval": None,
        "space": None,
        "data.gold": None,
        "data.passages": "passages",  # those of the rows
    },
}


@dataclass(frozen=True)
class Outcome:
    """What one proposer reached on one experiment: means over its seeds, scores in points."""

    experiment: str
    proposer: str
    seeds: int
    baseline: float
    pick: float
    delta: float
    low: float
    high: float
    won: int
    variants: float
    answers: float
    meta: float
    seconds: float


def copied(folder: Path) -> Path:
    """A copy of what the samples are made of, without earlier runs."""
    for name in ("experiments", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("runs", "results.csv", ".promptlab"))
    return folder / "experiments"


def outcome(experiments: Path, name: str, proposer: str, said: argparse.Namespace) -> Outcome:
    """All seeds of one proposer on one experiment."""
    began, picks, bases, variants = time.perf_counter(), [], [], []
    won, asked = 0, {"answer": 0, "meta": 0}
    for seed in range(1, said.seeds + 1):
        run = mined(experiments / name, name, PROPOSERS[proposer], seed, said)
        found = run.findings
        rows: dict[str, list[Any]] = {}
        for row in found.test:
            rows.setdefault(row.variant, []).append(row)
        base, pick = (found.search.view.variants[v].id for v in (0, found.choice.pick))
        bases.append(scores_of(rows[base], found.test_rows))
        picks.append(scores_of(rows[pick], found.test_rows))
        won += run.winner.claimed
        variants.append(len(found.search.view.variants) - 1)
        with sqlite3.connect(run.folder / "run.sqlite") as log:
            for purpose, count in log.execute("select purpose, count(*) from calls group by purpose"):
                asked[purpose] = asked.get(purpose, 0) + count
    gap = paired(np.mean(picks, axis=0), np.mean(bases, axis=0), 1)
    figures = [100 * float(each) for each in (np.mean(bases), np.mean(picks), gap.delta, gap.low, gap.high)]
    spent = (np.mean(variants), asked["answer"] / said.seeds, asked["meta"] / said.seeds, time.perf_counter() - began)
    return Outcome(name, proposer, said.seeds, *figures, won, *map(float, spent))


def mined(folder: Path, name: str, propose: list[Any], seed: int, said: argparse.Namespace) -> Run:
    """One run."""
    split = {"train": said.train, "dev": 0.5 - said.train, "test": 0.5, "seed": 7}
    split |= {"group": "customer"} if name == "support_intent" else {}
    if not said.train:
        del split["train"]
    search = {"propose": propose, "finalists": 1, "budget": {"calls": said.calls}}
    search |= {"allocate": said.allocate} if said.allocate else {}
    return Experiment.load(folder, {"search": search, "data.split": split, "seed": seed, **STARTS[name]}).mine()


def line(each: Outcome) -> str:
    """As it is printed."""
    return (
        f"{each.experiment:15s} {each.proposer:13s} {each.baseline:6.1f} {each.pick:6.1f} {each.delta:+7.1f} "
        f"[{each.low:+6.1f}, {each.high:+6.1f}] {each.won}/{each.seeds} {each.variants:9.0f} {each.answers:8.0f} "
        f"{each.meta:6.0f} {each.seconds:6.0f} s"
    )


def main() -> None:
    """Run what is asked for and print the table, line by line."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--calls", type=int, default=1500)
    asked.add_argument("--seeds", type=int, default=3)
    asked.add_argument("--train", type=float, default=0.2)
    asked.add_argument("--only", default="")
    asked.add_argument("--on", default="")
    asked.add_argument("--allocate", default="")
    asked.add_argument("--out", type=Path)
    said = asked.parse_args()
    found: list[Outcome] = []
    print(
        f"{'experiment':15s} {'proposer':13s} {'base':>6s} {'pick':>6s} {'delta':>7s} {'95 %':>16s} won  variants  "
        "answers   meta"
    )
    for name, proposer in itertools.product(STARTS, PROPOSERS):
        if said.on in name and any(part in proposer for part in said.only.split(",")):
            with tempfile.TemporaryDirectory() as place:
                found.append(outcome(copied(Path(place)), name, proposer, said))
            print(line(found[-1]), flush=True)
    if said.out:
        with said.out.open("w", newline="") as file:
            out = csv.DictWriter(file, list(asdict(found[0])))
            out.writeheader()
            out.writerows(map(asdict, found))


if __name__ == "__main__":
    main()
