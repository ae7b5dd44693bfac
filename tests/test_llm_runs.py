"""Runs whose proposers ask a model: better texts are found offline, and a killed run ends with the same tables."""

from __future__ import annotations

import hashlib
import json
import random
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, Reply, ok
from project import project
from small_project import answer, logged, repeated, running, tables, write

from promptlab.prepare import opened
from promptlab.run import mine as run_of
from promptlab.run import rebuild

ASKING = ("paraphrase", "induce", "history", "evolve", "reflect")
OPEN = """---
inputs: [message]
---
{% system %}
{% choice task open %}
{% option plain %}Classify the message. {% if labels %}Known answers: {{ labels | join(", ") }}.{% endif %}
{% option kind %}Dear model, tell its topic: {{ labels | join(", ") }}.
{% option long %}Read the message with care, then tell its topic: {{ labels | join(", ") }}.
{% endchoice %}
{% endsystem %}
{% user %}{{ message }}{% enduser %}
"""


def writing(folder: Path, name: Any, **search: Any) -> Path:
    """An experiment of the offline engine whose one template has one open choice, with something to keep in it."""
    path = project(
        folder,
        75,
        data={"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id",
              "split": {"train": 0.3, "dev": 0.4, "test": 0.3}},
        search={"propose": [name], "allocate": "ranks", "budget": {"calls": 500}, "finalists": 1, **search},
    )  # fmt: skip
    (folder / "t.j2").write_text(OPEN, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", [*ASKING, "corpus", {"evolve": {"by": "de"}}], ids=str)
def test_every_proposer_finds_a_better_text_offline(name: Any, tmp_path: Path) -> None:
    """Within 500 calls, the finalist's test calls among them: the best text is better on rows that nobody chose by."""
    done = run_of(opened(writing(tmp_path, name)))
    results = done.results
    made = results[results.origin != "baseline"]
    base = results[results.origin == "baseline"].iloc[0]
    best = made[made.test_n.notna()].iloc[0]
    assert best.test_score > base.test_score + 0.05
    assert made.dev_score.min() < made.dev_score.max()
    assert made["slot.task"].str.contains("⟦1⟧").all(), "what is no text is still there"
    sent = (done.folder / "prompts" / f"{best.variant}.md").read_text(encoding="utf-8")
    system = sent.partition("## system")[2]
    assert "access, billing, delivery" in system
    assert "⟦" not in system


def test_calls_of_the_meta_model_are_in_the_log_and_in_the_budget(tmp_path: Path) -> None:
    done = run_of(opened(writing(tmp_path, "paraphrase", budget={"calls": 400}, finalists=1)))
    with closing(sqlite3.connect(done.folder / "run.sqlite")) as log:
        purposes = [each[0] for each in log.execute("select purpose from calls")]
    assert purposes.count("meta") > 10
    assert len(purposes) <= 400
    assert rebuild(done.folder).results.equals(done.results), "and from its log alone, the same proposals"


# Killed --------------------------------------------------------------------------------------------------------------


def replying(body: Any) -> Reply:
    """A model that labels colours, and writes instructions: a function of the body, not always what was asked for."""
    said = body["messages"][0]["content"]
    if "<prompt>" not in said:
        return answer(body)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    shown = re.findall(r"<instruction[^>]*>\n(.*?)\n</instruction>", body["messages"][1]["content"], re.S)
    text = f"{shown[-1] if shown else ''} You have ten years. Way {digest[0]}."[-300:]
    return ok("No." if digest[1] < 40 else f"<prompt>{text}</prompt>", delay=digest[2] / 20_000)


def colours(folder: Path, url: str, **changes: Any) -> Path:
    """The small project with an open choice, and proposers that ask."""
    path = write(folder, url, allocate="ranks", **changes)
    template = folder / "templates" / "colour.j2"
    template.write_text(template.read_text().replace("{% choice task %}", "{% choice task open %}"))
    path.write_text(path.read_text().replace("propose: [grid]", "propose: [reflect, history, {evolve: {demos: true}}]"))
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as served:
        served.default = replying
        yield served


def test_a_run_that_was_killed_while_proposing_ends_with_the_same_tables(server: FaultServer, tmp_path: Path) -> None:
    """At drawn moments, at several concurrencies: no answer is lost but those in flight, nothing differs."""
    found = {}
    rng = random.Random(4)
    for concurrency, kills in ((1, 1), (32, 2), (7, 0)):
        server.seen.clear()
        experiment = colours(
            tmp_path / f"{concurrency} {kills}", server.url, concurrency=concurrency, budget="{calls: 420}", rows=48
        )
        for moment in sorted(rng.randint(0, 300) for _ in range(kills)):
            with running("mine", experiment, "--yes") as process:
                while len(server.posts) < moment and process.process.is_alive():
                    time.sleep(0.001)
                process.send(signal.SIGKILL)
                process.wait()
        run_of(opened(experiment))
        found[concurrency, kills] = tables(experiment)
        assert logged(experiment) <= 420
        assert repeated(server) <= concurrency * kills
        metas = sum(b"<prompt>" in each.content for each in server.posts)
        assert metas > 20
    assert "evolve" in found[7, 0]["results.csv"]
    assert "reflect" in found[7, 0]["results.csv"]
    assert all(each == found[7, 0] for each in found.values())
