"""What proposing costs beside the calls: 200 variants x 2,000 examples known, a space of 1,000,000 points and more.

    python tests/benchmarks/proposing.py [--variants 200] [--rows 2000] [--want 50] [--only NAMES]

Each proposer is asked for ``--want`` new variants and its meta model answers at once; the door looks at what came. The
milliseconds per prediction are those of the turn over the least that its variants are scored on: 8 rows each. The
ensemble is asked once, for all predictions of the search.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import numpy as np  # noqa: E402 - the path above comes first

from promptlab.admit import admit  # noqa: E402
from promptlab.bank import Bank  # noqa: E402
from promptlab.importing import implementation  # noqa: E402
from promptlab.proposers import PROPOSERS  # noqa: E402
from promptlab.records import Completion, Endpoint, Example, Flow, Model, Prediction, Request, Slot, Variant  # noqa: E402
from promptlab.space import Space  # noqa: E402
from promptlab.view import Failure, View  # noqa: E402

MODEL = Model("m", Endpoint("http://nowhere.invalid/v1"), "m")
BLOCK = 8
LABELS = [f"label {k}" for k in range(8)]
OPTIONS: dict[str, dict[str, Any]] = {"evolve de": {"by": "de"}, "evolve demos": {"demos": True}}


def space_of(words: int = 40) -> Space:
    """Eight slots, more than a million points; one is an open text."""
    texts = tuple(" ".join(f"{k}-{w}." for w in range(words)) for k in range(3))
    here = (("template", ("t",)),)
    shown = (*here, ("bank.k", (4, 8)))
    return Space(
        (
            Slot("model", "choice", ("m",)),
            Slot("template", "choice", ("t",)),
            Slot("task", "choice", ("a", "b", "c"), here, open=True, texts=texts),
            *(Slot(f"part{k}", "choice", tuple(range(10)), here) for k in range(5)),
            Slot("bank.k", "demos", (0, 4, 8), here),
            Slot("bank.select", "choice", ("random", "balanced", "diverse"), shown),
            Slot("bank.seed", "number", (1, 2, 3), shown),
        )
    )


def word(row: int, place: int) -> str:
    """A made-up word; one in five goes with the row's label."""
    number = (row * place) % 997 if place % 5 else row % 8
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:04d}")


def rows_of(name: str, count: int) -> tuple[Example, ...]:
    """Labelled rows of 30 words."""
    return tuple(
        Example(f"{name}{n}", {"message": " ".join(word(n, k) for k in range(30))}, LABELS[n % 8], row=n + 1)
        for n in range(count)
    )


def predicted(variant: Variant, row: Example) -> Flow[Prediction]:
    """Mostly wrong."""
    yield Request(MODEL, "/chat/completions", {"of": variant.id, "row": row.id})
    return Prediction(variant.id, row.id, 0, "train", "design", "ok", "no", 0.0, output="no, I think")


def view_of(variants: int, rows: int) -> View:
    """A search in its midst: a third of the cells scored, 50 failures of each variant known."""
    rng, space, dev = np.random.default_rng(3), space_of(), rows_of("d", rows)
    points = [space.point(int(n)) for n in rng.choice(space.size, variants, replace=False)]
    known = [space.variant(values, "grid") for values in points]
    known[1::2] = [space.rewritten(v, "task", f"Text {n}. Do it.", "x") or v for n, v in enumerate(known[1::2])]
    scores = (rng.random((variants, rows)) < rng.uniform(0.4, 0.8, (variants, 1))).astype(float)
    depth = rng.choice([rows, rows // 8, rows // 16], variants)
    depth[:40] = rows
    scores[np.arange(rows) >= depth[:, None]] = np.nan
    answers = np.array(LABELS, object)[rng.integers(8, size=(variants, rows))]
    wrong = {
        (v, int(i)): Failure(dev[i], "said this", LABELS[0], "wanted that")
        for v in range(variants)
        for i in np.flatnonzero(scores[v] == 0)[:50]
    }
    return View(
        space, rows_of("t", 200), dev, tuple(known), scores, ~np.isnan(scores), np.ones(variants, bool), round=5,
        answers=answers, meta=MODEL, bank=Bank(rows_of("b", 200)), predict=predicted, wrong=wrong,
    )  # fmt: skip


def turn(flow: Flow[Any]) -> Any:
    """What a proposer gives, its model answering at once."""
    try:
        step: Any = next(flow)
        while True:
            told = tuple(map(answer, step)) if isinstance(step, tuple) else answer(step)
            step = flow.send(told)
    except StopIteration as stop:
        return stop.value


def answer(request: Request) -> Completion:
    """A new text each time."""
    return Completion(f"<prompt>Say it {zlib.crc32(request.key.encode())}.</prompt>")


def main() -> None:
    """Ask each proposer and print what it took."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--variants", type=int, default=200)
    asked.add_argument("--rows", type=int, default=2000)
    asked.add_argument("--want", type=int, default=50)
    asked.add_argument("--only", default="")
    said = asked.parse_args()
    view = view_of(said.variants, said.rows)
    print(f"a space of {view.space.size:,} points; {said.variants} variants x {said.rows:,} rows; {said.want} wanted")
    print(
        f"{'proposer':14s} {'ms a turn':>10s} {'of that the door':>17s} {'given':>6s} {'ms a prediction':>16s}     MB"
    )
    for name in (*PROPOSERS, *OPTIONS):
        if not any(part in name for part in said.only.split(",")):
            continue
        proposer = implementation("proposer", name.split()[0], PROPOSERS, Path(), OPTIONS.get(name, {}))
        turn(proposer(2, view, np.random.default_rng(0)))  # what is imported at first is not counted
        began = time.process_time()
        found = turn(proposer(said.want, view, np.random.default_rng(1)))
        proposed = time.process_time()
        admit(view, found)
        took, door = 1000 * (time.process_time() - began), 1000 * (time.process_time() - proposed)
        predictions = view.scores.size if name == "ensemble" else BLOCK * max(1, len(found))
        tracemalloc.start()
        turn(proposer(said.want, view, np.random.default_rng(1)))
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        print(
            f"{name:14s} {took:10.1f} {door:17.1f} {len(found):6d} {took / predictions:16.3f} {peak:6.1f}", flush=True
        )


if __name__ == "__main__":
    main()
