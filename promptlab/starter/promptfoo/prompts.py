"""promptfoo's prompts as templates: Nunjucks as Jinja where both say the same, chats as role tags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput
from promptlab.starter.promptfoo.ours import exported
from promptlab.starter.promptfoo.source import Source, listed
from promptlab.starter.spelling import slug
from promptlab.template import Source as Text
from promptlab.template.template import parse
from promptlab.yaml_file import read_text, read_yaml
from promptlab.yaml_text import flow, scalar

_TEXTS = (".txt", ".md", ".j2", ".njk", ".jinja", ".jinja2")
_CHATS = (".json", ".yaml", ".yml")
_TAG = re.compile(r"(\{\{|\{%)(.*?)(\}\}|%\})", re.DOTALL)
_SAME = (  # Nunjucks → Jinja, inside of tags
    (re.compile(r"\|\s*dump\b(?:\(\s*\))?"), "| tojson"),
    (re.compile(r"\belseif\b"), "elif"), (re.compile(r"([=!])=="), r"\1="),
)  # fmt: skip
_ROLES = ("system", "developer", "user", "assistant")


def read_prompts(source: Source, names: dict[str, str]) -> dict[str, str]:
    """Templates by file name. ``names`` maps variables of the tests to what templates call them."""
    found: dict[str, str] = {}
    for place, (label, body) in enumerate(_bodies(source), 1):
        text = _renamed(body, names)
        try:
            template = parse("p.j2", {"p.j2": Text(text, "p.j2")})
        except BadInput as error:
            source.leave(f"prompt {place} ({label}): {error.problems[0].message}; Jinja cannot say it as it stands")
            continue
        unknown = [name for name in template.inputs if name not in names.values()]
        if unknown or template.slots or template.uses:
            odd = ", ".join([*unknown, *sorted(template.uses), *(slot.name for slot in template.slots)])
            source.leave(f"prompt {place} ({label}): it reads {odd}, which no test holds")
            continue
        name = slug(label)[:30] or "prompt"
        stem, number = name, 2
        while f"{name}.j2" in found:
            name, number = f"{stem}-{number}", number + 1
        front = f"---\ndescription: {scalar(label[:80])}\ninputs: {flow(list(template.inputs))}\n---\n"
        found[f"{name}.j2"] = front + text + ("" if text.endswith("\n") else "\n")
    return found


def _renamed(body: str, names: dict[str, str]) -> str:
    """The tags of a text in Jinja's words, and variables as templates call them."""
    other = {name: ours for name, ours in names.items() if name != ours}

    def tag(found: re.Match[str]) -> str:
        inner = found[2]
        for pattern, ours in _SAME:
            inner = pattern.sub(ours, inner)
        for name, ours in other.items():
            inner = re.sub(rf"(?<![\w.\"'-]){re.escape(name)}(?![\w\"'-])", ours, inner)
        return found[1] + inner + found[3]

    return _TAG.sub(tag, body)


def _bodies(source: Source) -> Iterator[tuple[str, str]]:
    """(Label, template text) of each prompt."""
    prompts = source.config.get("prompts")
    items = (
        [{"id": key, "label": value} for key, value in prompts.items()]
        if isinstance(prompts, dict)
        else listed(prompts)
    )
    for place, item in enumerate(items, 1):
        label, text = f"prompt {place}", item
        if isinstance(item, dict):
            text = item.get("raw", item.get("id"))
            label = str(item.get("label") or item.get("display") or label)
            for key in item.keys() - {"raw", "id", "label", "display"}:
                source.leave(f"prompt {place}: its `{key}`")
        if not isinstance(text, str):
            source.leave(f"prompt {place}: it is no text")
        elif _is_file(text):
            yield from _file(source, place, text, label)
        else:
            yield label, _chat(source, label, text)


def _is_file(text: str) -> bool:
    plain = (
        "\n" not in text and " " not in text.strip() and Path(text).suffix in (*_TEXTS, *_CHATS, ".py", ".js", ".csv")
    )
    return text.startswith("file://") or plain


def _file(source: Source, place: int, name: str, label: str) -> Iterator[tuple[str, str]]:
    suffix = Path(name).suffix
    static = exported(source, name)
    if static is not None:
        yield label, static
        return
    if suffix not in (*_TEXTS, *_CHATS):
        source.leave(
            f"prompt {place} ({name}): prompts in code, tables or by pattern are not read; nothing is run here"
        )
        return
    path = source.file(name)
    if path is None:
        return
    text = read_text(path)
    label = path.stem if label.startswith("prompt ") else label
    if suffix in _CHATS:
        yield label, _chat(source, label, text if suffix == ".json" else _as_json(path, text))
        return
    parts = [text] if suffix not in (".txt", ".md") else re.split(r"(?m)^---[ \t]*\n", text)
    whole = [each for each in parts if each.strip()]
    for number, each in enumerate(whole, 1):
        own = label if len(whole) == 1 else f"{label} {number}"
        yield own, _chat(source, own, each)


def _as_json(path: Path, text: str) -> str:
    try:
        return json.dumps(read_yaml(text, str(path)).value, ensure_ascii=False)
    except BadInput:
        return text


def _chat(source: Source, label: str, text: str) -> str:
    """A JSON chat as role tags, any other text as it is: one user message."""
    try:
        chat = json.loads(text)
    except ValueError:
        return text
    if not isinstance(chat, list) or not all(isinstance(each, dict) for each in chat):
        return text
    return "".join(_turns(source, label, chat))


def _turns(source: Source, label: str, chat: Iterable[dict[str, Any]]) -> Iterator[str]:
    for each in chat:
        role, content = each.get("role"), each.get("content")
        if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
            content = "".join(str(p.get("text", "")) for p in content)
        if role not in _ROLES or not isinstance(content, str):
            source.leave(f"{label}: a message of role {role!r} that is more than text")
        else:
            yield f"{{% {role} %}}\n{content}\n{{% end{role} %}}\n"
