"""How long 100,000 predictions take to export, and how much memory: python tests/benchmarks/export.py [ROWS].

Prints seconds and peak memory of predictions.csv as a run writes it, and the same table through plain pandas.to_csv
for comparison (which guards no cell). The aim: under 10 s and 500 MB.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from promptlab.predictions import frame, prediction_columns, prediction_rows
from promptlab.records import Call, Completion, Example, Prediction, Usage
from promptlab.write import write_csv

EXAMPLES = 500
TEXT = "My parcel was due on Tuesday, tracking says delivered, but nothing came. Can you look into it, please? " * 3


def predictions(rows: int) -> tuple[list[Prediction], dict[str, Example]]:
    """As a run holds them: a fifth of the outputs are several lines long, some look like formulas."""
    examples = {f"m{i:04}": Example(f"m{i:04}", {"message": f"{TEXT}{i}"}, "delivery") for i in range(EXAMPLES)}
    ids = list(examples)
    found = []
    for n in range(rows):
        text = f"=delivery\nbecause it was late {n}" if n % 5 == 0 else "delivery"
        call = Call(f"k{n}", "answer", Completion(text, usage=Usage(312, 5)), usd=0.000123, latency=0.4321 + n / 1e6)
        found.append(
            Prediction(
                f"v{n // EXAMPLES:08x}", ids[n % EXAMPLES], 0, "dev", "search", "ok", "delivery", n % 2,
                {"main": n % 2}, text, "small", prompt_tokens=312, calls=(call,),
            )
        )  # fmt: skip
    return found, examples


def main(way: str, rows: int) -> None:
    """Export once, in this process, and print what it took as JSON."""
    found, examples = predictions(rows)
    header = prediction_columns(["message"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.csv"
        cells = prediction_rows("r1", found, examples, ["message"])
        table = frame(header, cells) if way == "pandas" else None
        start = time.perf_counter()
        if table is None:
            write_csv(path, header, cells)
        else:
            table.to_csv(path, index=False)
        seconds, size = time.perf_counter() - start, path.stat().st_size / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak, "size": size}))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else 100_000
    if sys.argv[1:] and sys.argv[1] in ("promptlab", "pandas"):
        main(sys.argv[1], int(sys.argv[2]))
        sys.exit()
    taken = {}
    for each in ("promptlab", "pandas"):
        command = [sys.executable, __file__, each, str(count)]
        taken[each] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{each:10} {taken[each]['seconds']:6.2f} s  peak {taken[each]['peak']:.0f} MB "
            f"(the predictions alone: {taken[each]['before']:.0f} MB), file {taken[each]['size']:.0f} MB"
        )
    print(f"ratio to plain pandas.to_csv: {taken['promptlab']['seconds'] / taken['pandas']['seconds']:.2f}")
