"""A small experiment on disk (60 rows or more, 12 variants, some 300 calls), its model, and real processes.

url = server.url; server.default = answer           # FaultServer: every answer is a function of the body
experiment = write(tmp_path, server.url, concurrency=7)
with running("mine", experiment) as process: ...    # a process of its own: kill it, wait for it, read what it said
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fault_server import FaultServer, Reply, ok

LABELS = ("red", "green", "blue")
VARYING = {"latency_p50_ms", "latency_p95_ms", "latency_ms", "attempts", "cached", "usd"}
PRELOADED = [  # all that a run imports: what is missing here, every process imports for itself
    "aiohttp",
    "httpcore2",
    "openai",
    "pandas",
    "pandas.core.reshape.reshape",
    "pyarrow.pandas_compat",
    "rich.live",
    "ruamel.yaml",
    "scipy.stats",
    "tiktoken",
    "truststore",
    "promptlab.allocators.halving",
    "promptlab.changed",
    "promptlab.cli.progress",
    "promptlab.cli.show",
    "promptlab.comparison.effects",
    "promptlab.endpoint.pool",
    "promptlab.endpoint.router",
    "promptlab.metrics.exact",
    "promptlab.metrics.macro_f1",
    "promptlab.proposers.grid",
    "promptlab.report.page",
    "promptlab.run",
    "small_project",
    "frozen",  # the last
]
TEMPLATE = """\
---
inputs: [message]
choices:
  tone: [terse, kind]
---
{% system %}
{% choice task %}
{% option plain %}Name the colour.
{% option expert %}You have named colours for ten years. Name the colour.
{% option careful %}Read twice, then name the colour.
{% endchoice %}
One of: {{ labels | join(", ") }}.{% if tone == "kind" %} Be kind.{% endif %}
{% endsystem %}
{% for demo in demos %}
{% user %}{{ demo.message }}{% enduser %}
{% assistant %}{{ demo.label }}{% endassistant %}
{% endfor %}
{% user %}{{ message }}{% enduser %}
"""
EXPERIMENT = """\
name: small
endpoint: {{base_url: "{url}", concurrency: {concurrency}, max_retries: {max_retries}{endpoint}}}
models: [{{id: tiny, price: {{input: 1.5, cached: 0.3, output: 7.25}}}}]
params: {{temperature: 0, max_tokens: 12}}
data:
  path: rows.csv
  inputs: [message]
  label: colour
  split: {{dev: 0.6, test: 0.4, seed: 3}}
templates: [templates/*.j2]
bank: {{from: bank.jsonl, k: [0, 2], select: [random], seeds: [1], order: [given]}}
answer: label
metrics: {metrics}
baseline: {{template: colour, task: plain, tone: terse, bank.k: 0}}
search:
  propose: [grid]
  allocate: {allocate}
  budget: {budget}
  finalists: 3
seed: 5
"""


def write(folder: Path, url: str, *, rows: int = 60, name: str = "experiment.yaml", **changes: Any) -> Path:
    """Write the project into a folder; the path of its experiment file."""
    rng = random.Random("small project")
    words = ["".join(rng.choices("abcdefghilmnoprstuvz", k=rng.randint(3, 9))) for _ in range(600)]
    texts = [" ".join([*rng.sample(words, 9), LABELS[n % 3]]) for n in range(rows + 12)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "colour.j2").write_text(TEMPLATE)
    with (folder / "rows.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "message", "colour"])
        out.writerows([f"m{n}", text, LABELS[n % 3]] for n, text in enumerate(texts[:rows]))
    demos = [{"message": text, "colour": LABELS[n % 3]} for n, text in enumerate(texts[rows:])]
    (folder / "bank.jsonl").write_text("".join(json.dumps(each) + "\n" for each in demos))
    settings = {
        "url": url,
        "concurrency": 7,
        "max_retries": 1,
        "endpoint": "",
        "metrics": "{main: exact, macro_f1: macro_f1}",
        "allocate": "halving",
        "budget": "{calls: 330}",
    }
    path = folder / name
    path.write_text(EXPERIMENT.format(**settings | changes))
    return path


def answer(body: Any) -> Reply:
    """What the model says: a function of the body, better for better prompts, sometimes no label at all."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    messages = body["messages"]
    right = messages[-1]["content"].rsplit(" ", 1)[-1]
    skill = 120 + 40 * ("ten years" in messages[0]["content"]) + 50 * (len(messages) > 2)
    text = right if digest[0] < skill else "hm" if digest[1] < 20 else LABELS[digest[2] % 3]
    usage = {"prompt_tokens": 40 + digest[3] % 60, "completion_tokens": 1 + digest[4] % 9}
    return ok(text, usage=usage, delay=0.0005 + digest[5] / 100_000)


def repeated(server: FaultServer) -> int:
    """How many requests were sent that had been sent before."""
    counts = Counter(each.content for each in server.posts)
    return sum(counts.values()) - len(counts)


def tables(experiment: Path) -> dict[str, str]:
    """The only run's tables as text, without the columns that may differ from run to run."""
    [folder] = (experiment.parent / "runs").iterdir()
    return tables_of(folder)


def tables_of(folder: Path) -> dict[str, str]:
    return {name: stable(folder / name) for name in ("results.csv", "predictions.csv")}


def logged(experiment: Path) -> int:
    """How many calls the only run's log holds that were asked of the endpoint."""
    return sum(counted(log, "cached = 0") for log in (experiment.parent / "runs").glob("*/run.sqlite"))


def counted(database: Path, where: str = "1") -> int:
    """How many calls a log or a cache holds."""
    with closing(sqlite3.connect(database)) as db:
        return int(db.execute(f"select count(*) from calls where {where}").fetchone()[0])


def stable(path: Path) -> str:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    keep = [place for place, name in enumerate(rows[0]) if name not in VARYING]
    return "\n".join("\x1f".join(row[place] for place in keep) for row in rows)


@dataclass
class Running:
    """A process that runs one promptlab command."""

    process: ForkServerProcess
    output: Path

    def send(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def wait(self, seconds: float = 60) -> int:
        """The exit code as a shell shows it."""
        self.process.join(seconds)
        code = self.process.exitcode
        assert code is not None, f"still running after {seconds} s: {self.said()}"
        return code if code >= 0 else 128 - code

    def said(self) -> str:
        return self.output.read_text(errors="replace")


def forked(work: Callable[..., Any], *args: Any) -> ForkServerProcess:
    """A process of its own that does this work, forked from a server that holds the imports (they take a second)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=work, args=args)
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    with patch.dict(os.environ, PYTHONPATH=path):  # the server finds what lies beside this file
        process.start()
    return process


@contextmanager
def running(*args: str | Path, jumping: bool = False, environ: dict[str, str] | None = None) -> Iterator[Running]:
    """A promptlab command in a process of its own.

    ``jumping``: its wall clock jumps hours forward and back. ``environ`` joins its environment.
    """
    folder = next(Path(each) for each in args if isinstance(each, Path)).parent
    output = folder / f"said {len([*folder.glob('said *.txt')])}.txt"
    words = [str(each) for each in args]
    process = forked(_command, words, str(folder), str(output), jumping, environ or {})
    try:
        yield Running(process, output)
    finally:
        process.kill()
        process.join()


def mine(experiment: Path, *args: str) -> Running:
    """Mine to the end."""
    with running("mine", experiment, "--yes", *args) as process:
        process.wait()
    return process


def _command(args: list[str], folder: str, output: str, jumping: bool, environ: dict[str, str]) -> None:
    os.environ.update(environ)
    os.chdir(folder)
    if jumping:
        jumps, real = random.Random(0), time.time
        time.time = lambda: real() + jumps.uniform(-90_000, 90_000)
    with Path(output).open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115 - the process's own
    sys.argv = ["promptlab", *args]
    from promptlab.cli import main

    main()
