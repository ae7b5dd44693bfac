"""--to promptfoo: a configuration, the prompt as a Python function, and dev rows as tests.

promptfoo renders what it is given with Nunjucks, test rows and the prompt function's own output included. So a row that
holds `{{`, `{%` or `{#` goes as JSON with its braces escaped, and the function's texts print their braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.export.chosen import Chosen
from promptlab.export.messages import as_messages
from promptlab.export.provenance import told
from promptlab.export.python import python
from promptlab.records import Example
from promptlab.yaml_text import flow, scalar

TESTS = 50
HIDDEN = "promptlab_json"
_OWN = (
    "temperature",
    "max_tokens",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "stop",
    "response_format",
)
_CODE = re.compile(r"\{(?=[{%#])")
_CHAT = '''"""The prompt as promptfoo asks for it: `file://chat.py:chat`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from prompt import INPUTS, messages  # noqa: E402


def chat(context: dict[str, Any]) -> list[dict[str, str]]:
    """The messages for a test's variables. promptfoo renders them once more: braces are printed, so that they stay."""
    given = context["vars"]
    inputs = {name: given[name] for name in INPUTS if name in given} | json.loads(given.get("HIDDEN", "{}"))
    passages = inputs.pop("passages", ())
    found = messages(passages=passages, **inputs) if passages else messages(**inputs)
    return [{"role": each["role"], "content": _still(each["content"])} for each in found]


def _still(text: str) -> str:
    return re.sub(r"\\{(?=[{%#])", '{{ "{" }}', text)
'''


def promptfoo(chosen: Chosen) -> Mapping[str, str]:
    """promptfooconfig.yaml, chat.py, prompt.py (and what it needs), prompt.json."""
    prompt = chosen.prompts[0]
    if HIDDEN in chosen.inputs:
        raise BadInput(Problem(f"an input is called {HIDDEN}, which the test rows need", remedy="Rename it."))
    rows = chosen.rows[:TESTS]
    parts = [
        "".join(f"# {' '.join(each.split())}\n" for each in told(chosen)),
        f"# The tests are the first {len(rows)} of {len(chosen.rows)} dev rows: the prompt was picked on them.\n",
        f"description: {scalar(f'{chosen.variant.id} of {chosen.run.id}')}\n",
        f'prompts:\n  - id: "file://chat.py:chat"\n    label: {scalar(chosen.variant.id)}\n',
        _provider(chosen),
        f"defaultTest:\n  options:\n    transform: {scalar(_transform(prompt.word))}\n",
        "tests:\n",
        *(_test(chosen, each) for each in rows),
    ]
    files = {"promptfooconfig.yaml": "".join(parts), "chat.py": _CHAT.replace("HIDDEN", HIDDEN), **python(chosen)}
    with suppress(BadInput):  # where a row decides more than what goes into the holes, only code says it
        files["prompt.json"] = as_messages(chosen)["messages.json"]  # what `init --from` reads: it runs no code
    return files


def _provider(chosen: Chosen) -> str:
    prompt = chosen.prompts[0]
    endpoint = prompt.model.endpoint
    url = "http://127.0.0.1:8765/v1" if endpoint.embedded else endpoint.base_url
    config: dict[str, Any] = {"apiBaseUrl": url, "apiKeyEnvar": endpoint.api_key_env or "OPENAI_API_KEY"}
    config |= {name: value for name, value in prompt.params.items() if name in _OWN}
    others = {name: value for name, value in prompt.params.items() if name not in _OWN}
    config |= {"passthrough": others} if others else {}
    note = "  # the offline engine: promptlab serve --port 8765" if endpoint.embedded else ""
    return f"providers:\n  - id: {scalar(f'openai:chat:{prompt.model.id}')}{note}\n    config: {flow(_still(config))}\n"


def _transform(word: str) -> str:
    """How an answer is read out of the output, as far as JavaScript says it in a line."""
    if word in ("label", "last-line"):
        return r'output.trim().split("\n").pop().trim()'
    if word == "number":
        return r'(output.match(/-?\d+(?:\.\d+)?/g) || [""]).pop()'
    if word.startswith("json:"):
        steps = "".join(f"[{json.dumps(each)}]" for each in word.removeprefix("json:").split("."))
        return f"String(JSON.parse(output){steps})"
    return "output.trim()"


def _test(chosen: Chosen, example: Example) -> str:
    inputs = {name: example.inputs[name] for name in chosen.inputs}
    plain = {name: value for name, value in inputs.items() if _safe(value)}
    hidden: dict[str, Any] = {name: value for name, value in inputs.items() if name not in plain}
    if example.passages:
        hidden["passages"] = [{"id": each.id, "text": each.text, "title": each.title} for each in example.passages]
    shown = dict(plain) | ({HIDDEN: _escaped(hidden)} if hidden else {})
    text = f"  - vars: {flow(shown)}\n"
    if not example.answers:
        return text
    if len(example.answers) == 1 and _safe(example.answers[0]):
        return text + f"    assert: [{{type: equals, value: {scalar(example.answers[0])}}}]\n"
    known = [each if isinstance(each, str) else json.dumps(each) for each in example.answers]
    return text + f"    assert: [{{type: javascript, value: {scalar(f'{_escaped(known)}.includes(output)')}}}]\n"


def _safe(value: Any) -> bool:
    """Whether promptfoo leaves a value as it is: it renders code, reads files, and drops a newline at the end."""
    if not isinstance(value, str) or value.startswith(("file://", "package:")) or value.endswith("\n"):
        return False
    return not re.search(r"\{[{%#]", value)


def _escaped(value: Any) -> str:
    """JSON in which no brace of a text is one, so that nothing can take it for code."""
    text = json.dumps(value, ensure_ascii=False)
    return _CODE.sub(r"\\u007b", text)


def _still(value: Any) -> Any:
    """Settings with the braces of their texts printed by Nunjucks."""
    if isinstance(value, str):
        return _CODE.sub('{{ "{" }}', value)
    if isinstance(value, dict):
        return {name: _still(each) for name, each in value.items()}
    return [_still(each) for each in value] if isinstance(value, (list, tuple)) else value
