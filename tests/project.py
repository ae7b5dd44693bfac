"""A small project in a folder, for tests that go the whole way: a template with choices, rows, the offline engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEMPLATE = """---
inputs: [message]
choices:
  tone: [short, long, kind]
  place: [first, last]
---
{% system %}{% if tone == "long" %}Read the message with care. {% endif %}Answer with one of: {{ labels | join(", ") }}.
{% if place == "last" %}Only the label.{% endif %}{% if tone == "kind" %} Please.{% endif %}{% endsystem %}
{% user %}{{ message }}{% enduser %}
"""
WORDS = {"billing": "charged twice on my invoice", "delivery": "the parcel did not arrive", "access": "cannot log in"}


def project(folder: Path, rows: int = 60, **changes: Any) -> Path:
    """experiment.yaml of a project in ``folder``; ``changes`` replace its top-level keys."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "t.j2").write_text(TEMPLATE, encoding="utf-8")
    labels = list(WORDS)
    data = [
        {
            "id": f"m{k}",
            "message": f"{WORDS[labels[k % 3]]}, case {k * 7919 % 1000}",
            "topic": labels[(k + (k % 5 == 0)) % 3],
        }
        for k in range(rows)
    ]
    lines = "".join(json.dumps(each) + "\n" for each in data)
    (folder / "data.jsonl").write_text(lines, encoding="utf-8")
    experiment: dict[str, Any] = {
        "name": "small-project",
        "endpoint": "embedded",
        "models": ["small"],
        "params": {"temperature": 0, "max_tokens": 16},
        "data": {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id",
                 "split": {"dev": 0.5, "test": 0.5}},
        "templates": ["t.j2"],
        "answer": "label",
        "metrics": {"main": "exact", "macro_f1": "macro_f1"},
        "search": {"propose": ["grid"], "allocate": "full", "budget": {"calls": 2000}, "finalists": 3},
        "seed": 7,
        **changes,
    }  # fmt: skip
    path = folder / "experiment.yaml"
    path.write_text(json.dumps(experiment, indent=1), encoding="utf-8")
    return path
