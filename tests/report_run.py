"""A finished run whose data and answers try everything that a page must not believe, and the browser to read it in.

with finished(tmp_path) as folder: ...          # a run's folder
with browsing() as context: ...                 # headless Chromium, or the test is skipped
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, Reply, ok

from promptlab.prepare import opened
from promptlab.run import mine

EVIL = {
    "script": "</script><script>window.owned = 1</script>",
    "image": '<img src=x onerror="window.owned = 2">',
    "link": '<a href="javascript:window.owned=3">press</a> javascript:window.owned=4',
    "comment": "<!--<script> {{ 7 * 7 }} {% raw %} ]]> &lt; &amp;",
    "turned": "safe\u202egnp.exe\u202c \u200f\u2067x\u2069",
    "nul": "before\x00after \x1b[31m\x07 \r\n\t end",
    "long": "x" * 1_000_000 + "<END>",
    "surrogate": "half \U0001f600 \u00e9 e\u0301 \ud7ff",
}
TEMPLATE = """\
---
inputs: [message]
choices:
  tone: [plain, "</option><script>window.owned=5</script>"]
---
{% system %}
Name the colour.{% if tone == "plain" %} Be plain.{% endif %}
{% endsystem %}
{% user %}{{ message }}{% enduser %}
"""
EXPERIMENT = """\
name: "<script>window.owned=6</script>"
endpoint: {{base_url: "{url}", max_retries: 0}}
models: [{{id: small, price: {{input: 1.0, output: 2.0}}}}]
params: {{max_tokens: 16}}
data:
  path: rows.jsonl
  inputs: [message]
  label: colour
  labels: [red, green, "<b>blue</b>"]
  split: {{dev: 0.5, test: 0.5}}
templates: [templates/*.j2]
answer: text
metrics: {{main: contains, length: exact}}
baseline: {{tone: plain}}
search: {{propose: [grid], allocate: full, budget: {{calls: 400}}}}
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def answer(body: Any) -> Reply:
    """The row's own text, behind a colour that is right for half of the rows."""
    asked = body["messages"][-1]["content"]
    colour = ("red", "green", "<b>blue</b>")[len(asked) % 3]
    return ok(f"{colour} {asked}" if len(asked) < 5000 else f"red {asked}")


def write(folder: Path, url: str) -> Path:
    """The project; the path of its experiment file."""
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "colour.j2").write_text(TEMPLATE, encoding="utf-8")
    labels = ("red", "green", "<b>blue</b>")
    rows = [
        {"id": f"{name}{n}", "message": f"{text} {n} ", "colour": labels[n % 3]}
        for n, (name, text) in enumerate([*EVIL.items()] * 3)
        if n < len(EVIL) or name != "long"
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = folder / "experiment.yaml"
    path.write_text(EXPERIMENT.format(url=url), encoding="utf-8")
    return path


def finished(folder: Path) -> Path:
    """Mine the project; the run's folder."""
    with FaultServer() as server:
        server.default = answer
        return mine(opened(write(folder, server.url))).folder


@contextmanager
def browsing(**options: Any) -> Iterator[Any]:
    """A browser's context. Skips where there is no playwright or no Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser.new_context(**options)
        finally:
            browser.close()
