"""CPU seconds of `promptlab --help` and every `promptlab X --help`: the median of some runs. Not collected by pytest.

python tests/benchmarks/help_cpu.py        exit 1 if one of them takes 0.3 s or more
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

LIMIT = 0.3
RUNS = 7
COMMANDS = ("", "init", "plan", "render", "mine", "compare", "score", "serve")


def seconds(*words: str) -> float:
    """User and system time of one process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    program = "from promptlab.cli import main; main()"
    subprocess.run([sys.executable, "-c", program, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> int:
    """Print a line per command."""
    slow = 0
    for name in COMMANDS:
        words = [*name.split(), "--help"]
        median = statistics.median(seconds(*words) for _ in range(RUNS))
        slow += median >= LIMIT
        print(f"{median:.3f} s  promptlab {' '.join(words)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
