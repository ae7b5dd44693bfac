"""--to dspy: the state of a dspy.Predict as JSON, and the lines that load it.

DSPy writes messages of its own around instructions and demos, so what is asked is not byte for byte what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.export.chosen import Chosen
from promptlab.export.form import parts_of
from promptlab.export.pieces import Hole, stranger
from promptlab.export.provenance import told
from promptlab.export.sheet import sheet, written
from promptlab.finished import row_chooses

_LOAD = '''"""Load the prompt into DSPy.

{notes}

DSPy puts instructions and demos into messages of its own: measure again before you rely on the scores above.
"""

from __future__ import annotations

from pathlib import Path

import dspy

SIGNATURE = {signature!r}


def load() -> dspy.Predict:
    """The predictor with instructions and demos; it answers in `.{label}`."""
    predict = dspy.Predict(SIGNATURE)
    predict.load(str(Path(__file__).with_name("program.json")))
    return predict


if __name__ == "__main__":
    print(load().signature)
'''


def dspy(chosen: Chosen) -> Mapping[str, str]:
    """program.json, load.py, prompt.json. BadInput where rows choose the demos: DSPy's are fixed."""
    prompt = chosen.prompts[0]
    if row_chooses(prompt):
        what = f"the demos of {chosen.variant.id} are chosen by the row, and a DSPy program shows the same to all"
        raise BadInput(Problem(what, remedy="Take --to python, or --variant with fixed demos."))
    names = list(chosen.inputs)
    label = "answer" if "answer" not in names else "label"
    bad = [each for each in (*names, label) if not each.isidentifier()]
    if bad or label in names:
        raise BadInput(Problem(f"DSPy cannot name a field {(bad or [label])[0]!r}", remedy="Rename the input."))
    state: dict[str, Any] = {
        "traces": [],
        "train": [],
        "demos": _demos(chosen, label),
        "signature": {"instructions": _instructions(chosen), "fields": [_field(each) for each in (*names, label)]},
        "lm": None,
        "metadata": {"dependency_versions": {}},
    }
    notes = "\n".join(" ".join(each.split()) for each in told(chosen)).replace("\\", "\\\\").replace('"""', "'''")
    load = _LOAD.format(notes=notes, signature=f"{', '.join(names)} -> {label}", label=label)
    return {"program.json": written(state), "load.py": load, "prompt.json": sheet(chosen, [{}])}


def _field(name: str) -> dict[str, str]:
    words = " ".join(name.replace("_", " ").split())
    return {"prefix": f"{words[:1].upper()}{words[1:]}:", "description": f"${{{name}}}"}


def _instructions(chosen: Chosen) -> str:
    """What the system message says; without one, the words around the inputs."""
    parts = parts_of(chosen)[0]
    texts = ["".join(f"`{p.name}`" if isinstance(p, Hole) else p for p in part.pieces) for part in parts
             if part.role in ("system", "developer")]  # fmt: skip
    if not texts:
        last = parts[-1]
        texts = ["".join(f"`{p.name}`" if isinstance(p, Hole) else p for p in last.pieces)]
    return "\n\n".join(texts)


def _demos(chosen: Chosen, label: str) -> list[dict[str, Any]]:
    prompt = chosen.prompts[0]
    bank = prompt.task.bank
    if bank is None or "demos" not in prompt.template.uses:
        return []
    shown = bank.select(prompt.variant.slots, stranger(prompt))
    return [{**each.inputs, label: each.answers[0] if each.answers else ""} for each in shown]
