"""Promptlab, gepa and promptolution end to end: equal calls, one endpoint, the same seeds; the truth of what they give.

    python tests/benchmarks/end_to_end.py [--calls 1500] [--seeds 5] [--python VENV/bin/python] [--only TEXT]
        [--propose reflect,evolve,history] [--allocate ranks,halving] [--out F.csv]

``--python`` is one in which gepa and promptolution are installed (pip install gepa promptolution); what is missing is
said and left out. Worlds (worlds.py) have a known truth; on the embedded engine truth is the score on rows that no
search saw. Every tool gets the same 200 labelled rows and the same starting instruction; calls are those that its
search made (rivals stop at the first step past the budget, so theirs may be more). All are judged by the exact answer.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

import numpy as np  # noqa: E402 - the paths above come first
from fault_server import FaultServer, ok  # noqa: E402
from worlds import BASE, KINDS, LABELS, World  # noqa: E402

from promptlab.api import Experiment  # noqa: E402
from promptlab.dataset.file import read_table  # noqa: E402

ROWS = 200
TEMPLATE = """---
inputs: [x]
---
{% system %}
{% choice task open %}{% option start %}START{% endchoice %}
{% endsystem %}
{% user %}{{ x }}{% enduser %}
"""
INTENT = "Classify the customer's message. Answer with one of: {labels}."


@dataclass(frozen=True)
class Place:
    """Where a search runs: an endpoint, labelled rows, a starting instruction, and the truth of a text."""

    name: str
    seed: int
    url: str
    rows: tuple[tuple[str, str], ...]
    start: str
    task: str
    answer: str
    truth: Callable[[str], float]
    plain: bool = True  # whether the model understands anybody's way of asking for an instruction


@dataclass(frozen=True)
class Outcome:
    """What a search ended with."""

    place: str
    seed: int
    tool: str
    calls: int
    start: float
    truth: float


@contextmanager
def world(kind: str, seed: int) -> Iterator[Place]:
    """A made-up model behind a server."""
    made = World(kind, seed)
    rows = tuple((made.message(i), LABELS[made.labels[i]]) for i in range(ROWS))
    with FaultServer() as server:
        server.default = lambda body: ok(made.answer(body))
        task = f"Decide what a message is about: {', '.join(LABELS)}. Answer within <final_answer> tags."
        answer = r"regex:<final_answer>(.*?)</final_answer>"
        yield Place(kind, seed, server.url, rows, BASE, task, answer, made.truth)


@contextmanager
def embedded(seed: int) -> Iterator[Place]:
    """The offline engine on support messages: half of the rows to search with, the others are the truth."""
    from promptlab.embedded.server import Server

    table = read_table(ROOT / "experiments/support_intent/labelled.csv").rows
    order = np.random.default_rng(seed).permutation(len(table))
    pairs = [(str(table[k].cells["message"]), str(table[k].cells["intent"])) for k in order]
    labels = sorted({label for _, label in pairs})
    start = INTENT.format(labels=", ".join(labels))
    with Server() as server:

        def truth(text: str) -> float:
            return float(np.mean([_said(server.base_url, text, x).strip() == y for x, y in pairs[ROWS:]]))

        yield Place("embedded engine", seed, server.base_url, tuple(pairs[:ROWS]), start, start, "text", truth, False)


def _said(url: str, system: str, user: str) -> str:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    body = {"model": "small", "messages": messages, "temperature": 0, "max_tokens": 64}
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])


def promptlab(place: Place, calls: int, propose: list[str], allocate: str | None) -> tuple[str, int]:
    """The instruction that dev picks, and the calls that were made."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "t.j2").write_text(TEMPLATE.replace("START", place.start))
        lines = [json.dumps({"x": x, "y": y}) + "\n" for x, y in place.rows]
        (folder / "rows.jsonl").write_text("".join(lines))
        search: dict[str, Any] = {"propose": propose, "budget": {"calls": calls}}
        search |= {"allocate": allocate} if allocate else {}
        settings = {
            "endpoint": {"base_url": place.url, "concurrency": 16}, "models": ["small"],
            "params": {"temperature": 0, "max_tokens": 64},
            "data": {"path": "rows.jsonl", "inputs": ["x"], "label": "y",
                     "split": {"train": 0.2, "dev": 0.79, "test": 0.01, "seed": place.seed}},
            "templates": ["t.j2"], "answer": place.answer, "metrics": {"main": "exact"}, "search": search,
            "seed": place.seed,
        }  # fmt: skip
        (folder / "experiment.yaml").write_text(json.dumps(settings))
        run = Experiment.load(folder / "experiment.yaml").mine(test=False)
        [message, *_] = run.winner.messages(x="")
        return message["content"], _logged(run.folder)


def _logged(folder: Path) -> int:
    import sqlite3

    with sqlite3.connect(folder / "run.sqlite") as log:
        return int(log.execute("select count(*) from calls").fetchone()[0])


def rival(tool: str, place: Place, calls: int, python: str) -> tuple[str, int]:
    """The same of a package, in a Python of its own."""
    job = {
        "tool": tool, "url": place.url, "model": "small", "calls": calls, "seed": place.seed, "rows": place.rows,
        "start": place.start, "task": place.task, "plain": place.plain,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "job.json"
        path.write_text(json.dumps(job))
        script = str(Path(__file__).with_name("rivals.py"))
        done = subprocess.run([python, script, str(path)], capture_output=True, text=True, check=False, cwd=name)
    if done.returncode:
        raise RuntimeError(f"{tool}: {done.stderr.strip().splitlines()[-1]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return str(found["text"]), int(found["calls"])


def installed(python: str) -> list[str]:
    """Which rivals that Python has."""
    return [
        tool
        for tool in ("gepa", "promptolution")
        if subprocess.run([python, "-c", f"import {tool}"], capture_output=True, check=False).returncode == 0
    ]


def places(only: str, seeds: int) -> Iterator[Any]:
    """Every place, as a context."""
    for kind in KINDS:
        for seed in range(seeds):
            if only in kind:
                yield world(kind, seed)
    for seed in range(seeds):
        if only in "embedded engine":
            yield embedded(seed)


def table(found: list[Outcome]) -> str:
    """Means over seeds, with the standard error of the mean; true scores in points."""
    lines = [f"{'place':18s} {'tool':18s} {'true score':>14s} {'gain':>6s} {'calls':>7s}"]
    for place in dict.fromkeys(each.place for each in found):
        for tool in dict.fromkeys(each.tool for each in found):
            mine = [each for each in found if (each.place, each.tool) == (place, tool)]
            if not mine:
                continue
            scores = 100 * np.array([each.truth for each in mine])
            error = scores.std(ddof=1) / len(mine) ** 0.5 if len(mine) > 1 else float("nan")
            gain = scores.mean() - 100 * np.mean([each.start for each in mine])
            calls = np.mean([each.calls for each in mine])
            lines.append(f"{place:18s} {tool:18s} {scores.mean():7.1f} ± {error:4.1f} {gain:+6.1f} {calls:7.0f}")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for and print the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--calls", type=int, default=1500)
    asked.add_argument("--seeds", type=int, default=5)
    asked.add_argument("--python", default=sys.executable)
    asked.add_argument("--only", default="")
    asked.add_argument("--propose", default="reflect,evolve,history")
    asked.add_argument("--allocate", default="")
    asked.add_argument("--out", type=Path)
    said = asked.parse_args()
    rivals = installed(said.python)
    for tool in {"gepa", "promptolution"} - set(rivals):
        sys.stderr.write(f"{tool} is not installed in {said.python}: pip install {tool}\n")
    found: list[Outcome] = []
    propose = said.propose.split(",")
    for context in places(said.only, said.seeds):
        with context as place:
            start = place.truth(place.start)
            ends = {
                f"promptlab {name}".strip(): lambda p=place, a=name: promptlab(p, said.calls, propose, a)
                for name in said.allocate.split(",")
            }
            ends |= {tool: lambda p=place, t=tool: rival(t, p, said.calls, said.python) for tool in rivals}
            for tool, search in ends.items():
                try:
                    text, calls = search()
                except RuntimeError as error:
                    sys.stderr.write(f"{place.name}, seed {place.seed}: {error}\n")
                    continue
                found.append(Outcome(place.name, place.seed, tool, calls, start, place.truth(text)))
                sys.stderr.write(f"{found[-1]}\n")
    print(table(found))
    if said.out:
        with said.out.open("w", newline="") as file:
            out = csv.DictWriter(file, list(asdict(found[0])))
            out.writeheader()
            out.writerows(map(asdict, found))


if __name__ == "__main__":
    main()
