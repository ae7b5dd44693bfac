"""The reading room's data: predictions as columns, every text once, the exact messages as places in a list of texts."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from promptlab.errors import BadInput
from promptlab.finished import Run
from promptlab.predictions import cell, input_names, rounded
from promptlab.records import Example, Prediction, Variant

MOST = 20_000  # predictions on the page; more are in predictions.csv


class Texts:
    """Every text once; a text is its place."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """The place of a text, or of what stands for a value that is none; -1 for None."""
        if value is None:
            return -1
        said = value if isinstance(value, str) else str(cell(value))
        return self.known.setdefault(str(said), len(self.known))


def chosen(run: Run) -> list[Prediction]:
    """The predictions that the page shows: test, then dev; past ``MOST`` those of the best variants come first."""
    found = run.findings
    total = len(found.search.predictions) + len(found.test)
    if total <= MOST:
        return [*found.test, *found.search.predictions]
    rank = {row["variant"]: place for place, row in enumerate(run.rows)}
    rank[found.search.view.variants[0].id] = -1
    dev = sorted(found.search.predictions, key=lambda row: rank[row.variant])  # stable: in plan order inside
    return [*found.test, *dev][:MOST]


def room(run: Run, rows: Sequence[Prediction]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(predictions, messages): what the page reads at once, and what it unpacks when somebody looks at a prompt."""
    examples = run.examples
    texts, names = Texts(), input_names(examples)
    variants = {row["variant"]: place for place, row in enumerate(run.rows)}
    used = {key: place for place, key in enumerate(dict.fromkeys(row.example for row in rows))}
    table = [
        (
            variants[row.variant], used[row.example], row.repeat, row.split, row.status, texts.place(row.answer),
            rounded(row.score), texts.place(row.output), texts.place(row.error or None),
            sum(c.completion.usage.tokens_in + c.completion.usage.tokens_out for c in row.calls if c.completion),
            _latency(row),
        )
        for row in rows
    ]  # fmt: skip
    fields = ("variant", "example", "repeat", "split", "status", "answer", "score", "output", "error", "tokens", "ms")
    columns = dict(zip(fields, map(list, zip(*table, strict=True)) if table else [[] for _ in fields], strict=True))
    shown = {
        "variants": _variants(run),
        "baseline": variants[run.findings.search.view.variants[0].id],
        "inputs": names,
        "examples": [_example(examples[key], names, texts) for key in used],
        "columns": columns,
        "texts": list(texts.known),
    }
    return shown, _messages(run, rows, examples)


def _variants(run: Run) -> list[dict[str, Any]]:
    """Id, name and status; of an ensemble also its members, in the order in which they are asked."""
    made = {each.id: each.members or () for each in run.findings.search.view.variants}
    names = {row["variant"]: row["name"] for row in run.rows}
    return [
        {
            "id": row["variant"], "name": row["name"], "status": row["status"],
            "members": [[member.id, names.get(member.id, "")] for member in made[row["variant"]]],
        }
        for row in run.rows
    ]  # fmt: skip


def _example(example: Example, names: Sequence[str], texts: Texts) -> list[Any]:
    return [example.id, texts.place(example.label), [texts.place(example.inputs.get(name)) for name in names]]


def _latency(row: Prediction) -> float | None:
    waits = [call.latency for call in row.calls if call.completion is not None]
    return rounded(1000 * math.fsum(waits)) if waits else None


def _messages(run: Run, rows: Sequence[Prediction], examples: Mapping[str, Example]) -> dict[str, Any]:
    """Prompts as (role, text) places, each once, and per prediction the prompts it asked: one, or one per member."""
    variants = {each.id: each for each in run.findings.search.view.variants}
    texts, prompts = Texts(), dict[tuple[tuple[int, int], ...], int]()
    known: dict[tuple[str, str], list[int]] = {}
    asked = []
    for row in rows:
        key = (row.variant, row.example)
        if key not in known:
            made = (
                tuple((texts.place(role), texts.place(content)) for role, content in each)
                for each in _rendered(run, variants[row.variant], examples[row.example])
            )
            known[key] = [prompts.setdefault(each, len(prompts)) for each in made]
        asked.append(known[key])
    return {"texts": list(texts.known), "prompts": [list(chain(*each)) for each in prompts], "asked": asked}


def _rendered(run: Run, variant: Variant, example: Example) -> Iterator[list[tuple[str, str]]]:
    for each in variant.members or (variant,):
        try:
            prompt = run.findings.task.prompt(each)
            found = prompt.messages(example, prompt.shown(example).passages)
        except BadInput as error:
            yield [("error", str(error))]
        else:
            yield [(message.role, message.content) for message in found]


def packed(value: Any) -> str:
    """JSON, deflated, in base64: what the page's DecompressionStream("deflate") unpacks. Pure ASCII."""
    return base64.b64encode(zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 9)).decode()
