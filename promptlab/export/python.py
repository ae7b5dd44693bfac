"""--to python: a module with messages(**inputs); alone where the messages are fixed, else with what performs them."""

from __future__ import annotations

import json
import pprint
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.errors import BadInput
from promptlab.export.bundle import bundle
from promptlab.export.chosen import Chosen
from promptlab.export.form import files_of, parts_of
from promptlab.export.messages import listed
from promptlab.export.provenance import told
from promptlab.export.sheet import sheet

ENGINE = "prompt_engine"

_FIXED = '''
PROMPTS = {prompts}


def _filled(prompt: list[dict[str, Any]], inputs: dict[str, Any]) -> list[dict[str, str]]:
    """The inputs in their places: data stays data, whatever it holds."""
    found = []
    for message in prompt:
        parts = (each if isinstance(each, str) else _shown(inputs[each["input"]]) for each in message["content"])
        content = "".join(parts)
        if content or message["role"] not in ("system", "developer"):
            found.append({{"role": message["role"], "content": content}})
    return found


def _shown(value: Any) -> str:
    """A value as the prompt shows it: text as it is, nothing for None, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def all_messages(**inputs: Any) -> list[list[dict[str, str]]]:
    """The chat messages of every prompt, in order."""
    _check(inputs)
    return [_filled(prompt, inputs) for prompt in PROMPTS]
'''
_PERFORMED = '''
PROMPTS = [Performed(**each) for each in {prompts}]


def all_messages(*, passages: Sequence[Any]{default}, **inputs: Any) -> list[list[dict[str, str]]]:
    """The chat messages of every prompt, in order. `passages`: texts, or mappings with id and text."""
    _check(inputs){check}
    return [prompt.messages(inputs, passages) for prompt in PROMPTS]
'''
_ONE = '''

def messages(**inputs: Any) -> list[dict[str, str]]:
    """The chat messages for one set of inputs."""
    return all_messages(**inputs)[0]
'''
_MANY = '''

def vote(answers: Sequence[Any]) -> Any:
    """The answer of the prompts together: that of the greatest weight, the first of equals. None is no answer."""
    keys = [_key(each) for each in answers]
    support = [sum(w for w, other in zip(WEIGHTS, keys) if other == key) if key is not None else -1.0 for key in keys]
    return answers[support.index(max(support))]


def _key(answer: Any) -> Any:
    """Equal answers have equal keys: text whatever its case and spaces, lists and objects by content."""
    if isinstance(answer, str):
        return " ".join(answer.casefold().split())
    return answer if answer is None or isinstance(answer, (int, float)) else repr(answer)
'''
_CHECK = """

def _check(inputs: dict[str, Any]) -> None:
    missing = [name for name in INPUTS if name not in inputs]
    if missing:
        raise TypeError(f"missing inputs: {', '.join(missing)}; this prompt reads {', '.join(INPUTS)}")
"""
_GIVEN = """
    if passages is None:
        raise TypeError("this prompt reads passages: give passages=[...]; passages=[] asks without any")"""
_COMMAND = '''

def command(words: list[str]) -> dict[str, Any]:
    """The inputs of a command line, and the passages of the file after --passages: one on each line, or JSON."""
    if "--passages" not in words[:-1]:
        how = "add --passages FILE (one on each line, or JSON; an empty file: none)"
        raise SystemExit("error: this prompt reads passages: " + how)
    at = words.index("--passages")
    inputs = words[:at] + words[at + 2 :]
    if len(inputs) != len(INPUTS):
        raise SystemExit("usage: " + " ".join(name.upper() for name in INPUTS) + " --passages FILE")
    try:
        with open(words[at + 1], encoding="utf-8") as file:
            text = file.read()
        return {**dict(zip(INPUTS, inputs)), "passages": _passages(text, words[at + 1])}
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {words[at + 1]}: {error}") from None


def _passages(text: str, path: str) -> list[Any]:
    """Texts, or objects with id, text and title; plain lines are texts."""
    lines = [line for line in text.splitlines() if line.strip()]
    if path.endswith((".jsonl", ".ndjson")):
        found = [json.loads(line) for line in lines]
    else:
        found = json.loads(text) if path.endswith(".json") and lines else lines
    if not isinstance(found, list) or not all(
        isinstance(each, str) or (isinstance(each, dict) and isinstance(each.get("text"), str)) for each in found
    ):
        raise ValueError("a list of texts, or of objects with a text, is needed")
    return [each if isinstance(each, str) else {"id": str(n), **each} for n, each in enumerate(found, 1)]
'''
_COMMANDED = """

if __name__ == "__main__":
    import sys

    if len(sys.argv) == 1:
        print(f"usage: python {sys.argv[0]} " + " ".join(name.upper() for name in INPUTS) + " --passages FILE")
        print(__doc__)
    else:
        print(json.dumps(SHOWN(**command(sys.argv[1:])), ensure_ascii=False, indent=2))
"""
_MAIN = """

if __name__ == "__main__":
    import sys

    if len(sys.argv) != 1 + len(INPUTS):
        print(f"usage: python {sys.argv[0]} " + " ".join(name.upper() for name in INPUTS))
        print(__doc__)
    else:
        given = dict(zip(INPUTS, sys.argv[1:]))
        print(json.dumps(SHOWN(**given), ensure_ascii=False, indent=2))
"""


def python(chosen: Chosen) -> Mapping[str, str]:
    """prompt.py, and prompt_engine/ beside it where the messages are not fixed; prompt.json says where it is from."""
    files = module(chosen)
    return {**files, "prompt.json": sheet(chosen, [{} for _ in chosen.prompts])}


def module(chosen: Chosen) -> dict[str, str]:
    """The module and its package."""
    try:
        prompts: Any = [listed(parts) for parts in parts_of(chosen)]
        body, engine, needs = _FIXED.format(prompts=literal(prompts)), {}, "nothing but Python"
    except BadInput:
        made = [files_of(chosen, prompt) for prompt in chosen.prompts]
        given = [{"sources": dict(each.sources), "main": each.main, "labels": each.labels, "slots": dict(each.slots),
                  "demos": list(each.demos), "choose": dict(each.choose)} for each in made]  # fmt: skip
        takes = {"default": " | None = None", "check": _GIVEN} if chosen.reads else {"default": " = ()", "check": ""}
        body, needs = _PERFORMED.format(prompts=literal(given), **takes), "jinja2 and prompt_engine/ beside it"
        parts = bundle({"promptlab.export.performed": "Performed"})
        engine = {f"{ENGINE}/{name}": text for name, text in parts.items()}
    return {"prompt.py": _head(chosen, needs, bool(engine)) + body + _tail(chosen), **engine}


def literal(value: Any) -> str:
    """The value as Python writes it, over lines."""
    return pprint.pformat(value, width=110, sort_dicts=False)


def _head(chosen: Chosen, needs: str, engine: bool) -> str:
    call = ", ".join(f"{name}=..." for name in chosen.inputs)
    call += ", passages=[{'id': ..., 'text': ...}, ...]" if chosen.reads else ""
    use = "from prompt import all_messages, vote" if chosen.ensemble else "from prompt import messages"
    then = (f"answers = [ask(each) for each in all_messages({call})]\n    vote(answers)"
            if chosen.ensemble else f"messages({call})")  # fmt: skip
    notes = "\n".join(" ".join(each.split()) for each in told(chosen))
    doc = f"{notes}\n\nNeeds {needs}.\n\n    {use}\n    {then}\n"
    imports = "import json\nfrom collections.abc import Sequence\nfrom typing import Any\n"
    if engine:
        imports += f"\nfrom {ENGINE}.export_performed import Performed\n"
    text = doc.replace("\\", "\\\\").replace('"""', "'''")
    inputs = json.dumps(list(chosen.inputs), ensure_ascii=False)
    head = f'"""{text}"""\n\nfrom __future__ import annotations\n\n{imports}\nINPUTS = {inputs}\n'
    return head + (f"WEIGHTS = {list(chosen.weights)}\n" if chosen.ensemble else "")


def _tail(chosen: Chosen) -> str:
    shown = "all_messages" if chosen.ensemble else "messages"
    main = _COMMAND + _COMMANDED if chosen.reads else _MAIN
    return (_MANY if chosen.ensemble else _ONE) + _CHECK + main.replace("SHOWN", shown)


def models(chosen: Chosen) -> Sequence[str]:
    """The model ids that answer."""
    return [each.model.id for each in chosen.prompts]
