"""How fast the page is with 20,000 predictions, and how large with 5,000: python tests/benchmarks/page.py [RUN].

RUN is a run's folder; without one a small project is mined first. Its page is filled with made-up predictions: outputs
of 40 words, no two alike. Measured in headless Chromium (playwright): from the first byte of the file to a reading room
that answers, then a filter over every text, a filter by status, and sorts, each up to the next frame that is drawn.
The aim: ready under 1 s, filter and sort under 0.3 s, under 3 MB at 5,000 predictions. Prints the median and the
slowest of five tries.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from report_run import browsing, finished

from promptlab.finished import Run
from promptlab.report import page
from promptlab.report.page import embedded
from promptlab.report.room import chosen, packed, room
from promptlab.run import load_run

TRIES = 5
DRAWN = "await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));"
ACTIONS = {
    "filter by text": "set('query', 'qu')",
    "filter by text, longer": "set('query', 'quar')",
    "filter by status": "set('query', ''); choose('f-status', 'ok')",
    "filter by outcome": "choose('f-status', ''); choose('f-outcome', 'fixed')",
    "all again": "choose('f-outcome', '')",
    "sort by score": "sort('score')",
    "sort by output": "sort('output')",
    "sort by example": "sort('example')",
    "the last rows": "byId('grid').scrollTop = 1e9",
}
SETUP = """
const say = (id, kind) => byId(id).dispatchEvent(new Event(kind, { bubbles: true }));
window.set = (id, value) => { byId(id).value = value; say(id, 'input'); };
window.choose = (id, value) => { byId(id).value = value; say(id, 'change'); };
window.sort = (key) => document.querySelector(`#grid .head [data-key=${key}] button`).click();
"""


def filled(run: Run, html: str, count: int) -> str:
    """The run's page with ``count`` predictions."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvw", k=rng.randint(2, 9))) for _ in range(5000)]
    some = [row for row in chosen(run) if len(row.output) < 1000]
    rows = [
        replace(some[n % len(some)], repeat=n // len(some), score=float(rng.random() < 0.6),
                output=" ".join(rng.choices(words, k=40)))
        for n in range(count)
    ]  # fmt: skip
    for key, value in zip(("room", "messages"), room(run, rows), strict=True):
        data = str(embedded(packed(value)))
        html = re.sub(f'(id="data-{key}">)[^<]*', lambda found, data=data: found[1] + data, html)
    return html


def measured(context: Any, path: Path) -> dict[str, float]:
    """Seconds of each action, in one fresh page."""
    shown = context.new_page()
    shown.goto(path.resolve().as_uri())
    shown.wait_for_selector("html[data-ready]")
    took = {"ready": shown.evaluate("performance.getEntriesByName('ready')[0].startTime") / 1000}
    shown.evaluate(f"() => {{ {SETUP} }}")
    for name, action in ACTIONS.items():
        run = f"async () => {{ const from = performance.now(); {action}; {DRAWN} return performance.now() - from; }}"
        took[name] = shown.evaluate(run) / 1000
    took["rows in sight"] = shown.evaluate("document.querySelectorAll('#grid .row').length")
    took["elements"] = shown.evaluate("document.querySelectorAll('*').length")
    shown.close()
    return took


def main(folder: Path) -> None:
    """Measure and print."""
    run, html = load_run(folder), page(folder)
    path = Path(tempfile.mkdtemp()) / "page.html"
    print(f"5,000 predictions: {len(filled(run, html, 5_000).encode()) / 1e6:.2f} MB")
    path.write_text(filled(run, html, 20_000), encoding="utf-8")
    print(f"20,000 predictions: {path.stat().st_size / 1e6:.2f} MB")
    with browsing(viewport={"width": 1280, "height": 900}) as context:
        tries = [measured(context, path) for _ in range(TRIES)]
    for name in tries[0]:
        values = [each[name] for each in tries]
        unit = "" if name in ("rows in sight", "elements") else " s"
        print(f"{name:24} {statistics.median(values):8.3f}{unit}   slowest {max(values):.3f}{unit}")
    print(json.dumps({name: round(statistics.median(each[name] for each in tries), 3) for name in tries[0]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else finished(Path(tempfile.mkdtemp()) / "p"))
