"""How often the rules of evidence are right, beside what they promise: what tests/test_evidence.py simulates, larger.

    python tests/benchmarks/evidence.py --reps 2000

Ends with 1 if a figure misses its promise by more than two Monte-Carlo errors.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the matrices are small: threads only wait for one another
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from evidence_world import CLAIMS, called_different, called_different_by_t  # noqa: E402 - found by the path above


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--reps", type=int, default=2000, help="simulated runs per line")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    missed = 0
    print("| rule | what | n | promised | measured |\n|---|---|---|---|---|")
    for claim in CLAIMS:
        found = claim.share(given.reps, given.seed + claim.n)
        error = claim.error(given.reps)
        off = not claim.low - error <= found <= claim.high + error
        missed += off
        row = (claim.rule, claim.what, claim.n, claim.nominal, f"{found:.3f}{' MISSED' * off}")
        print("|", " | ".join(map(str, row)), "|", flush=True)
    for n in (50, 200, 1000):
        for psi in (0.1, 0.2):
            ours, theirs = (
                share(n, psi, psi / 2, given.reps, given.seed + n)
                for share in (called_different, called_different_by_t)
            )
            what = f"power: {50 * psi:g} points are found, {100 * psi:g} % of rows differ"
            print(f"| 6 | {what} | {n} | >= {theirs:.3f} (t) | {ours:.3f} |", flush=True)
            missed += ours < theirs
    print(f"\nThe promise of each line holds within two Monte-Carlo errors of {given.reps} runs but for {missed}.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
