"""--to prompty: a .prompty file, where messages are told apart by lines like `system:`.

So a fixed text that holds such a line cannot be said in it, and a row that holds one is refused by Prompty, or read as
a message where its strict mode is off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.export.chosen import Chosen
from promptlab.export.form import parts_of
from promptlab.export.openai import SERVED
from promptlab.export.pieces import Hole, Part
from promptlab.export.provenance import told
from promptlab.export.sheet import sheet
from promptlab.export.taken import literal
from promptlab.yaml_text import flow, scalar

_ROLE = re.compile(r"(?im)^\s*#?\s*(system|developer|user|assistant|function|tool)\b.*:\s*$")
_OPTIONS = {
    "temperature": "temperature", "max_tokens": "maxOutputTokens", "top_p": "topP", "seed": "seed",
    "frequency_penalty": "frequencyPenalty", "presence_penalty": "presencePenalty", "stop": "stopSequences",
}  # fmt: skip
_KNOWN = ("system", "user", "assistant")


def prompty(chosen: Chosen) -> Mapping[str, str]:
    """prompt.prompty and prompt.json. BadInput where the format cannot say what the prompt does."""
    parts = parts_of(chosen)[0]
    for part in parts:
        _check(chosen, part)
    return {"prompt.prompty": _head(chosen) + "\n".join(map(_message, parts)), "prompt.json": sheet(chosen, [{}])}


def _check(chosen: Chosen, part: Part) -> None:
    if part.role not in _KNOWN:
        raise BadInput(Problem(f"Prompty has no role {part.role!r}", remedy="Take --to python."))
    fixed = "".join("x" if isinstance(each, Hole) else each for each in part.pieces)
    if _ROLE.search(fixed):
        what = f"a line of {chosen.variant.id} reads like a role, which Prompty would start a message at"
        raise BadInput(Problem(what, remedy="Take --to python or --to messages, where roles are no text."))


def _head(chosen: Chosen) -> str:
    prompt = chosen.prompts[0]
    endpoint = prompt.model.endpoint
    notes = "".join(f"# {' '.join(each.split())}\n" for each in told(chosen))
    sample = chosen.rows[0].inputs
    connection = {"kind": "key", "apiKey": f"${{env:{endpoint.api_key_env or 'OPENAI_API_KEY'}}}"}
    connection |= {"endpoint": "${env:PROMPT_BASE_URL}"}  # a literal address is not trusted with a key
    url = SERVED if endpoint.embedded else endpoint.base_url
    inputs = "".join(
        f"  {scalar(name)}: {flow({'kind': _type(sample[name]), 'example': sample[name]})}\n" for name in chosen.inputs
    )
    return (
        f"---\n{notes}# A row with a line like `system:` is refused by Prompty; edges may lose white space.\n"
        f"# The run asked {url}: set PROMPT_BASE_URL to it, or to another.\n"
        f"name: {scalar(chosen.variant.id)}\n"
        f"description: {scalar(' '.join(told(chosen)[0].split()))}\n"
        f"model:\n  id: {scalar(prompt.model.id)}\n  provider: openai\n  apiType: chat\n"
        f"  connection: {flow(connection)}\n  options: {flow(_options(prompt.params))}\n"
        f"inputs:\n{inputs}"
        "template: {format: {kind: jinja2}, parser: {kind: prompty}}\n---\n"
    )


def _options(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in Prompty's words; those that it has no word for as they are."""
    known = {_OPTIONS[name]: value for name, value in params.items() if name in _OPTIONS}
    others = {name: value for name, value in params.items() if name not in _OPTIONS}
    return known | ({"additionalProperties": others} if others else {})


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "float"
    return "string" if isinstance(value, str) or value is None else "array" if isinstance(value, list) else "object"


def _message(part: Part) -> str:
    return f"{part.role}:\n" + "".join(map(_piece, part.pieces)) + "\n"


def _piece(piece: str | Hole) -> str:
    """A place for an input, or text; what Jinja would read in it is printed by it."""
    if isinstance(piece, Hole):
        return f"{{{{{piece.name}}}}}"
    return re.sub(r"\{[{%#]", lambda found: f"{{{{ {literal(found.group())} }}}}", piece)
