"""What `promptlab export --to promptfoo` writes, read back as data: its code is never run.

The prompt stands in prompt.json beside chat.py, rows that promptfoo would render in a variable as JSON, several right
answers in a line of JavaScript, the parser in another one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from promptlab.errors import BadInput
from promptlab.starter.promptfoo.source import Source
from promptlab.yaml_file import read_text

CODE = "chat.py:chat"
FORMAT = "promptlab-prompt-1"
HIDDEN = "promptlab_json"
_INCLUDES = re.compile(r"(\[[\s\S]*\])\.includes\(output\)")
_STEPS = re.compile(r"String\(JSON\.parse\(output\)((?:\[\"[^\"\\\[\]]+\"\])+)\)")
_WORDS: Mapping[str, str] = {
    r'output.trim().split("\n").pop().trim()': "last-line",
    r'(output.match(/-?\d+(?:\.\d+)?/g) || [""]).pop()': "number",
    "output.trim()": "text",
}
_EDGES = re.compile(r"\A\s+|\s+\Z|\r")  # what a template drops, or a reader of lines changes
_BRACE = re.compile(r"\{(?=[{%#])")


def exported(source: Source, name: str) -> str | None:
    """The template of a prompt in code that is our own export, out of the prompt.json beside it; None for any other."""
    text = name.removeprefix("file://")
    if not text.endswith(CODE):
        return None
    beside = text.removesuffix(CODE) + "prompt.json"
    path = source.file(beside) if (source.path.parent / beside).is_file() else None
    if path is None:
        return None
    try:
        sheet = json.loads(read_text(path))
        ours = sheet["format"] == FORMAT
        messages = sheet["prompts"][0].get("messages") if ours else None
        if ours and messages is None:
            remedy = "take the run itself, or `promptlab export RUN --to jinja`"
            source.leave(f"the prompt ({name}): rows decide in it, so that it stands in code alone; {remedy}")
        return "".join(_message(each) for each in messages) if messages else None
    except (BadInput, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def _message(message: Any) -> str:
    parts = message["content"]
    content = "".join(f"{{{{ {each['input']} }}}}" if isinstance(each, dict) else _still(each) for each in parts)
    content = _EDGES.sub(_printed, content)
    return f"{{% {message['role']} %}}\n{content}\n{{% end{message['role']} %}}\n"


def _printed(found: re.Match[str]) -> str:
    """Space as a variable, printed: no template strips what it prints of a row or a variable."""
    return f"{{% set promptlab_space = {json.dumps(found[0])} %}}{{{{ promptlab_space }}}}"


def _still(text: str) -> str:
    """Text whose braces open no tag."""
    return _BRACE.sub('{{ "{" }}', text)


def unhidden(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with what its JSON variable holds, in place of that."""
    try:
        hidden = json.loads(row[HIDDEN])
    except (KeyError, TypeError, ValueError):
        return dict(row)
    rest = {name: value for name, value in row.items() if name != HIDDEN}
    return rest | hidden if isinstance(hidden, dict) else dict(row)


def included(value: Any) -> list[Any] | None:
    """The answers of `["a", "b"].includes(output)`, read as JSON; None for any other code."""
    found = _INCLUDES.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        answers = json.loads(found[1]) if found else None
    except ValueError:
        return None
    return answers if isinstance(answers, list) and answers else None


def parser_of(options: Any) -> str | None:
    """The parser that `defaultTest.options` stands for; None where it is none of ours."""
    code = options.get("transform") if isinstance(options, dict) and set(options) == {"transform"} else None
    if not isinstance(code, str):
        return None
    steps = _STEPS.fullmatch(code.strip())
    if steps:
        return "json:" + ".".join(json.loads(f"[{steps[1].strip('[]').replace('][', ',')}]"))
    return _WORDS.get(code.strip())
