"""--to openai: the python module, and beside it the exact request that the run sent, through the openai SDK."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from promptlab.export.chosen import Chosen
from promptlab.export.provenance import told
from promptlab.export.python import literal, python

SERVED = "http://127.0.0.1:8765/v1"
_REQUEST = '''"""Ask what was measured: the same requests, byte for byte.

{notes}

Needs openai. Keys come from the environment only: {keys}.
{urls}
    python ask.py {shown}
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from openai import OpenAI, OpenAIError
from openai.types.chat import ChatCompletion

from prompt import {names}{vote}

REQUESTS: list[dict[str, Any]] = {requests}
"""Of each prompt: where it goes, the variable that holds the key, the body but for its messages."""


def bodies(**inputs: Any) -> list[dict[str, Any]]:
    """The body of each request, its keys in the order in which they were sent."""
    asked = zip(REQUESTS, all_messages(**inputs))
    return [_sorted({{**request["body"], "messages": messages}}) for request, messages in asked]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {{name: _sorted(value[name]) for name in sorted(value)}}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def ask(**inputs: Any) -> list[ChatCompletion]:
    """The completion of each prompt."""
    found = []
    for request, body in zip(REQUESTS, bodies(**inputs)):
        base_url = os.environ.get("PROMPT_BASE_URL") or request["base_url"]
        client = _client(base_url, os.environ.get(request["api_key_env"]) or "none")
        found.append(client.post("/chat/completions", body=body, cast_to=ChatCompletion))
    return found


@cache
def _client(base_url: str, api_key: str) -> OpenAI:
    return OpenAI(base_url=base_url, api_key=api_key)


if __name__ == "__main__":
    import sys

    if {unread}:
        print(__doc__)
    else:
        given = {given}
        try:
            answers = [each.choices[0].message.content for each in ask(**given)]
        except OpenAIError as error:
            asked = ", ".join(dict.fromkeys(os.environ.get("PROMPT_BASE_URL") or each["base_url"] for each in REQUESTS))
            sys.exit(f"error: {{asked}}: {{' '.join(str(error).split())}}")
        print({answer})
'''


def openai(chosen: Chosen) -> Mapping[str, str]:
    """prompt.py and ask.py (and what the first needs), prompt.json."""
    requests: list[dict[str, Any]] = []
    urls: list[str] = []
    for prompt in chosen.prompts:
        endpoint = prompt.model.endpoint
        url = SERVED if endpoint.embedded else endpoint.base_url
        if endpoint.embedded:
            urls.append(f"The run asked the offline engine: `promptlab serve --port 8765` answers at {SERVED}.")
        body = {"model": prompt.model.id, **prompt.params}
        json.dumps(body)
        variable = endpoint.api_key_env or "OPENAI_API_KEY"
        requests.append({"base_url": url, "api_key_env": variable, "body": body})
    urls.append("PROMPT_BASE_URL, where it is set, is asked instead of the run's own address.")
    notes = "\n".join(" ".join(each.split()) for each in told(chosen)).replace("\\", "\\\\").replace('"""', "'''")
    ask = _REQUEST.format(
        notes=notes,
        keys=", ".join(dict.fromkeys(str(each["api_key_env"]) for each in requests)),
        urls="\n".join(dict.fromkeys(urls)) + "\n",
        shown=" ".join(name.upper() for name in chosen.inputs) + " --passages FILE" * chosen.reads,
        unread="len(sys.argv) == 1" if chosen.reads else "len(sys.argv) != 1 + len(INPUTS)",
        given="command(sys.argv[1:])" if chosen.reads else "dict(zip(INPUTS, sys.argv[1:]))",
        names=", ".join(
            [*(() if chosen.reads else ("INPUTS",)), "all_messages", *(("command",) if chosen.reads else ())]
        ),
        requests=literal(requests),
        vote=", vote" if chosen.ensemble else "",
        answer='"\\n".join(map(str, answers))' if chosen.ensemble else "answers[0]",
    )
    if chosen.ensemble:
        ask = ask.replace(", vote\n", "\n")  # what is voted on are parsed answers: see prompt.json
    return {**python(chosen), "ask.py": ask}


def request_body(chosen: Chosen, inputs: Mapping[str, Any]) -> list[bytes]:
    """What the run itself would send for these inputs, to compare with."""
    from promptlab.records import Example

    return [each.request(each.messages(Example("", inputs), ())).content for each in chosen.prompts]
