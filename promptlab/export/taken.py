"""A template's files with the choices taken: of each choice the chosen option's text, the other slots set on top."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.predict import Prompt
from promptlab.rewritten import Rewritten
from promptlab.template import Source
from promptlab.template.lines import _TAG, front_matter

_WORD = re.compile(r"\{%[-+]?\s*(choice|option|endchoice)\b\s*(?:\"([^\"]*)\"|'([^']*)'|(\w+))?")


@dataclass(slots=True)
class _Choice:
    name: str
    wanted: str
    on: bool = False


def taken(prompt: Prompt, sources: Mapping[str, Source]) -> dict[str, str]:
    """The files that the prompt is made of, by name, without any choice.

    White space stays: where a tag stood, a comment does, which is settled alike. A rewritten text takes its option's
    place as it is; one with places for code in it cannot be put in by hand: KeyError.
    """
    own = {slot.name for slot in prompt.template.slots}
    slots = {name: value for name, value in prompt.variant.slots.items() if name in own}
    main = prompt.template.files[0]
    texts = {name: _file(sources[name].text, slots) for name in prompt.template.files}
    return texts | {main: _sets(slots, texts) + texts[main]}


def _file(text: str, slots: Mapping[str, Any]) -> str:
    parts = front_matter(text)
    body = _tidied(_spliced(parts.body, slots))
    return "\n" + body if body.startswith("---") else body


def _tidied(text: str) -> str:
    """Without the comments that stand where tags stood: a line of nothing else goes as a whole, as it would anyway."""
    lines = []
    for line in text.split("\n"):
        without = line.replace("{##}", "")
        if without == line or without.strip():
            lines.append(without)
    return "\n".join(lines)


def _sets(slots: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """What is still read of the slots, set on top."""
    read = [name for name in slots if any(re.search(rf"\b{re.escape(name)}\b", text) for text in texts.values())]
    return "".join(f"{{% set {name} = {literal(_option(slots[name]))} %}}\n" for name in read)


def _option(value: Any) -> Any:
    return value.option if isinstance(value, Rewritten) else value


def _spliced(body: str, slots: Mapping[str, Any]) -> str:
    out: list[str] = []
    open_: list[_Choice] = []
    end = 0

    def live(depth: int) -> bool:
        return all(each.on for each in open_[:depth])

    for tag in _TAG.finditer(body):
        word = _WORD.match(tag["block"]) if tag["block"] is not None else None
        if word is None:
            continue
        if live(len(open_)):
            out.append(body[end : tag.start()])
        end = tag.end()
        name = next((each for each in word.groups()[1:] if each is not None), "")
        comment = _comment(tag.group())
        if word[1] == "choice":
            if live(len(open_)):
                out.append(comment)
            open_.append(_Choice(name, str(_option(slots.get(name, "")))))
        elif word[1] == "option":
            choice = open_[-1]
            choice.on = name == choice.wanted
            if live(len(open_) - 1):
                out.append(comment)
            if live(len(open_)) and isinstance(slots.get(choice.name), Rewritten):
                end = _rewritten(body, end, slots[choice.name], out)
        else:
            open_.pop()
            if live(len(open_)):
                out.append(comment)
    return "".join(out) + body[end:]


def _rewritten(body: str, start: int, text: Rewritten, out: list[str]) -> int:
    """Put the words where the option's own stand, white space around them as it was; where the option ends."""
    if "\u27e6" in text:
        raise KeyError(text.option)
    depth = 0
    for tag in _TAG.finditer(body, start):
        word = _WORD.match(tag["block"]) if tag["block"] is not None else None
        if word is None:
            raise KeyError(text.option)  # code whose place the words do not name
        depth += {"choice": 1, "endchoice": -1}.get(word[1], 0)
        if depth < 0 or (depth == 0 and word[1] == "option"):
            own = body[start : tag.start()]
            head, tail = own[: len(own) - len(own.lstrip())], own[len(own.rstrip()) :]
            out += [head, escaped(str(text)), tail]
            return tag.start()
    raise KeyError(text.option)


def _comment(tag: str) -> str:
    """A comment with the signs of the tag, so that white space around it is settled alike."""
    left = tag[2] if tag[2] in "-+" else ""
    right = tag[-3] if tag[-3] in "-+" else ""
    return "{#" + left.replace("+", "") + right.replace("+", "") + "#}"


def escaped(text: str) -> str:
    """Text that Jinja prints as it is."""
    return re.sub(r"\{(?=[{%#])", '{{ "\\\\x7b" }}', text)


def literal(value: Any) -> str:
    """A value as Jinja reads it; no brace in it can end a tag."""
    if not isinstance(value, str):
        return json.dumps(value)
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("{", "\\x7b").replace("}", "\\x7d").replace("%", "\\x25").replace("#", "\\x23")
