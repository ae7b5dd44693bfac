"""Where servers put a model's thinking: three fields of the message, parts of its content, or <think> in the text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

TAG = re.compile(r"<(/?)think(?:ing)?>")


def of_fields(message: Mapping[str, Any]) -> str:
    """The reasoning text of the message's own fields; the first that holds some wins."""
    details = message.get("reasoning_details")
    if isinstance(details, list):
        found = [each.get("text") or each.get("summary") for each in details if isinstance(each, dict)]
        if joined := "".join(each for each in found if isinstance(each, str)):
            return joined
    for key in ("reasoning_content", "reasoning"):
        if isinstance(message.get(key), str) and message[key]:
            return str(message[key])
    return ""


def part(content: Mapping[str, Any]) -> str:
    """The reasoning text of one content part of the kind {"type": "thinking", "thinking": text or parts}."""
    thinking = content.get("thinking")
    if isinstance(thinking, list):
        found = [each.get("text") for each in thinking if isinstance(each, dict)]
        return "".join(each for each in found if isinstance(each, str))
    return thinking if isinstance(thinking, str) else ""


def cut(text: str) -> tuple[str, str]:
    """(text without its <think> blocks, what they hold). Blocks nest; a text without tags comes back as it is.

    After an unclosed <think> all is reasoning. A </think> that nothing opened closes what the server's own chat
    template had opened: all before it is reasoning.
    """
    if "<" not in text or "think" not in text:
        return text, ""
    kept: list[str] = []
    thought: list[str] = []
    depth = place = 0
    for tag in TAG.finditer(text):
        (thought if depth else kept).append(text[place : tag.start()])
        place = tag.end()
        if not tag[1]:
            depth += 1
        elif depth:
            depth -= 1
        else:
            thought, kept = [*kept, *thought], []
    if not place:
        return text, ""
    (thought if depth else kept).append(text[place:])
    return "".join(kept).strip(), "\n".join(each.strip() for each in thought if each.strip())
