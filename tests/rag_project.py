"""A small experiment that retrieves, on disk: 24 questions, a dozen documents; and a server for its two models.

server.default = answer           # chat: right where the right passage is shown; embeddings: letters counted
experiment = write(tmp_path, server.url, retriever="[none, dense]", k="[1, 3]")
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fault_server import Reply, ok
from retrieval_parts import embeddings

NAMES = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ilex", "Juniper", "Kapok", "Larch")
TEMPLATE = """\
---
inputs: [question]
choices: {tone: [terse, kind]}
---
{% system %}
{% if passages %}Answer the question from the passages.{% else %}Answer the question.{% endif %}
{% if tone == "kind" %}Be kind. {% endif %}Reply with the number alone.
{% endsystem %}
{% user %}
{% if passages %}
Passages:
{% for p in passages %}[{{ loop.index }}] {{ p.text }}
{% endfor %}
{% endif %}
Question: {{ question }}
{% enduser %}
"""
EXPERIMENT = """\
name: rag
endpoint: {endpoint}
models: [{model}]
params: {{temperature: 0, max_tokens: 12}}
data: {{path: rows.jsonl, inputs: [question], label: answer, gold: gold, split: {{dev: 0.5, test: 0.5, seed: 3}}}}
templates: [templates/*.j2]
retrieval:
  corpus: corpus/
  chunk: {chunk}
  retriever: {retriever}
  k: {k}
  {retrieval}
answer: number
metrics: {{main: numeric}}
{more}
search: {{propose: [grid], allocate: {allocate}, budget: {budget}, finalists: 2}}
seed: 5
"""


def write(folder: Path, url: str = "", *, name: str = "experiment.yaml", **changes: Any) -> Path:
    """Write the project into a folder; the path of its experiment file. Without a url it asks the embedded engine."""
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "ask.j2").write_text(TEMPLATE)
    rows = []
    for n, who in enumerate(NAMES):
        weight, cost, page = 100 + 37 * n, 11 + 3 * n, f"corpus/{who.lower()}.md"
        (folder / page).write_text(
            f"# The {who} lamp\n\nThe {who} lamp weighs {weight} grams. It comes in a box.\n\n"
            f"The {who} lamp costs {cost} dollars. It has a warranty of two years.\n"
        )
        ask = {"weigh": ("How many grams does the", weight), "cost": ("How many dollars does the", cost)}
        for what, (words, value) in ask.items():
            gold: Any = [page] if n % 2 else page
            row = {"id": f"{who}-{what}", "question": f"{words} {who} lamp {what}?", "answer": str(value), "gold": gold}
            rows.append(json.dumps(row))
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    settings = {
        "endpoint": f"{{base_url: '{url}', concurrency: 7, max_retries: 1}}" if url else "embedded",
        "model": "{id: tiny, price: {input: 1.5, output: 7.25}}" if url else "small",
        "chunk": "{paragraphs: 1}",
        "retriever": "[none, bm25, dense]",
        "k": "[1, 3]",
        "retrieval": "embedding: {id: e, price: {input: 0.5, output: 0}}" if url else "",
        "allocate": "full",
        "budget": "{calls: 3000}",
        "more": "",
    }
    path = folder / name
    path.write_text(EXPERIMENT.format(**settings | changes))
    return path


def answer(body: Any) -> Reply:
    """What the server says, a function of the body: the number that goes with the question where a passage says it."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
    if "input" in body:
        return replace(embeddings(body["input"]), delay=digest[5] / 10_000)
    text = body["messages"][-1]["content"]
    orders = body["messages"][0]["content"]
    if "search query" in orders:
        return ok("lamp " + text.split("the ")[-1].split()[0], delay=0.0005)
    if "Order the passages" in orders:
        return ok("[2, 1]", delay=0.0005)
    *shown, question = text.split("Question: ")
    who = question.split(" the ")[1].split()[0]
    word = " weighs " if "weigh?" in question else " costs "
    found = next((part for part in "".join(shown).split("The ") if part.startswith(f"{who} lamp{word}")), "")
    said = found.split(word)[1].split()[0] if found and digest[0] < 240 else str(digest[1])
    return ok(said, usage={"prompt_tokens": 40 + digest[3] % 60, "completion_tokens": 2}, delay=digest[5] / 20_000)
