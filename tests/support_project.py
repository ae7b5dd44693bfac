"""A project small enough to break in every way: twelve messages, three labels, a bank of three, one template."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from promptlab.cli import app

MESSAGES = (
    ("my card was charged twice this month", "billing"),
    ("the parcel has still not arrived here", "shipping"),
    ("resetting the password does not work", "account"),
    ("an invoice is missing from last year", "billing"),
    ("the courier lost my box on the way", "shipping"),
    ("somebody else can log in as me", "account"),
    ("refund the fee that was taken", "billing"),
    ("delivery is three days late already", "shipping"),
    ("please delete every trace of my profile", "account"),
    ("the tax number on it is wrong", "billing"),
    ("tracking shows nothing but a blank page", "shipping"),
    ("two factor codes never reach my phone", "account"),
)
ROWS = "id,message,intent\n" + "".join(f"{n},{text},{label}\n" for n, (text, label) in enumerate(MESSAGES, start=1))
TEMPLATE = """\
{% system %}
Answer with one of: {{ labels | join(", ") }}.
{% endsystem %}
{% for demo in demos %}
{% user %}{{ demo.message }}{% enduser %}
{% assistant %}{{ demo.label }}{% endassistant %}
{% endfor %}
{% user %}{{ message }}{% enduser %}
"""
BANK = """\
{"message": "why was I billed again", "intent": "billing"}
{"message": "where is the truck with my order", "intent": "shipping"}
{"message": "close this account for good", "intent": "account"}
"""
EXPERIMENT = """\
name: small
endpoint: ENDPOINT
models: [small]
params: {temperature: 0, max_tokens: 16}
data:
  path: rows.csv
  inputs: [message]
  label: intent
  labels: labels.yaml
templates: [templates/*.j2]
bank: {from: bank.jsonl, k: [0, 2]}
answer: label
metrics: {main: exact}
baseline: {bank.k: 0}
search: {budget: {calls: 500}, finalists: 1}
"""


class Project:
    """A folder ``p`` in a folder; commands are run from outside, as ``promptlab mine p``."""

    def __init__(self, folder: Path, endpoint: str = "embedded") -> None:
        self.folder = folder / "p"
        (self.folder / "templates").mkdir(parents=True)
        self.write("rows.csv", ROWS)
        self.write("bank.jsonl", BANK)
        self.write("labels.yaml", "[billing, shipping, account]\n")
        self.write("templates/plain.j2", TEMPLATE)
        self.write("experiment.yaml", EXPERIMENT.replace("ENDPOINT", endpoint))

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        """Replace text that is there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, (name, old)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def experiment(self, old: str, new: str) -> None:
        self.change("experiment.yaml", old, new)


def command(*words: str, **options: object) -> tuple[int, str]:
    """Exit code and all output of a command, run in this process from the current directory."""
    result = CliRunner().invoke(app, list(words), **options)  # type: ignore[arg-type]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def told(output: str) -> list[str]:
    """The problems in an output: the line after `error:`, or the lines below their count, which must be right."""
    single = re.search(r"^error: (.*)\n\Z", output, re.MULTILINE)
    if single:
        return [single[1]]
    many = re.search(r"^(\d+) problems:\n((?:  .*\n)+)\Z", output, re.MULTILINE)
    assert many, output
    lines = [line[2:] for line in many[2].splitlines()]
    assert len(lines) == int(many[1])
    return lines
