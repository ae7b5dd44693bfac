"""prompt.json: what an exported prompt is made of and where it comes from; what `pl.load` reads."""

from __future__ import annotations

import json
from typing import Any

from promptlab.export.chosen import Chosen
from promptlab.export.performed import Performed
from promptlab.export.provenance import provenance
from promptlab.finished import reads_passages

FORMAT = "promptlab-prompt-1"


def sheet(chosen: Chosen, members: list[dict[str, Any]]) -> str:
    """The file: provenance, inputs, and one entry for each prompt with its weight, model and parameters."""
    for member, prompt, weight in zip(members, chosen.prompts, chosen.weights, strict=True):
        member |= {"model": prompt.model.id, "params": dict(prompt.params), "weight": weight, "answer": prompt.word}
        member.update({"passages": True} if reads_passages(prompt) else {})
    found = {"format": FORMAT, "provenance": provenance(chosen), "inputs": list(chosen.inputs), "prompts": members}
    return written(found)


def entry(performed: Performed, inputs: list[str], prefix: str, bank: str) -> dict[str, Any]:
    """A prompt as template files: where they are, and what they are performed with."""
    found: dict[str, Any] = {"template": prefix + performed.main, "inputs": inputs}
    others = [prefix + name for name in performed.sources if name != performed.main]
    found |= {"includes": others} if others else {}
    found |= {"labels": performed.labels} if performed.labels else {}
    found |= {"slots": dict(performed.slots)} if performed.slots else {}
    return found | ({"bank": bank, "choose": dict(performed.choose)} if performed.demos else {})


def written(value: Any) -> str:
    """JSON for people and for diffs."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def lines(rows: Any) -> str:
    """JSON, one row a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
