"""--to jinja: the template with its choices taken. `pl.load` reads it back, and so does promptlab as any template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from promptlab.errors import BadInput
from promptlab.export.chosen import Chosen
from promptlab.export.form import files_of, parts_of
from promptlab.export.performed import Performed
from promptlab.export.pieces import Hole, Part
from promptlab.export.provenance import told
from promptlab.export.sheet import entry, lines, sheet
from promptlab.export.taken import literal
from promptlab.template import Source
from promptlab.template.template import parse
from promptlab.yaml_text import flow, scalar


def jinja(chosen: Chosen) -> Mapping[str, str]:
    """prompt.j2 (and what it includes, and bank.jsonl where demos are not part of it), prompt.json."""
    files: dict[str, str] = {}
    entries: list[dict[str, Any]] = []
    try:
        fixed: Sequence[Sequence[Part] | None] = parts_of(chosen)
    except BadInput:
        fixed = [None] * len(chosen.prompts)
    for place, (prompt, parts) in enumerate(zip(chosen.prompts, fixed, strict=True), 1):
        prefix = f"member-{place}/" if chosen.ensemble else ""
        inputs = list(prompt.template.inputs)
        if parts is not None:
            text = template_text(parts, inputs, told(chosen))
            files[f"{prefix}prompt.j2"] = text
            entries.append({"template": f"{prefix}prompt.j2", "inputs": inputs})
            continue
        performed = named(files_of(chosen, prompt), inputs, told(chosen))
        files |= {prefix + name: text for name, text in performed.sources.items()}
        if performed.demos:
            files[f"{prefix}bank.jsonl"] = lines(performed.demos)
        entries.append(entry(performed, inputs, prefix, f"{prefix}bank.jsonl"))
    return {**files, "prompt.json": sheet(chosen, entries)}


def named(performed: Performed, inputs: Sequence[str], notes: Sequence[str]) -> Performed:
    """The same with the main file called prompt.j2, a head of notes and its inputs said."""
    text = performed.sources[performed.main]
    if not performed.slots:
        text = _head(inputs, notes) + text
    if "prompt.j2" in performed.sources:
        return performed
    sources = {"prompt.j2": text} | {name: each for name, each in performed.sources.items() if name != performed.main}
    return Performed(sources, "prompt.j2", performed.labels, performed.slots, performed.demos, performed.choose)


def template_text(parts: Sequence[Part], inputs: Sequence[str], notes: Sequence[str]) -> str:
    """Fixed pieces as a template: role tags around literal text and the names of inputs."""
    sets: dict[str, str] = {}
    stem = "text"
    while any(name.startswith(stem) for name in inputs):
        stem += "_"
    body = []
    for part in parts:
        content = "".join(_piece(part.pieces, place, sets, stem) for place in range(len(part.pieces)))
        body.append(f"{{% {part.role} %}}{content}{{% end{part.role} %}}\n")
    told = "".join(f"{{% set {name} = {literal(text)} %}}\n" for text, name in sets.items())
    source = _head(inputs, notes) + told + "".join(body)
    parse("prompt.j2", {"prompt.j2": Source(source, "prompt.j2")})
    return source


def _piece(pieces: Sequence[str | Hole], place: int, sets: dict[str, str], stem: str) -> str:
    piece = pieces[place]
    if isinstance(piece, Hole):
        return f"{{{{ {piece.name} }}}}"
    if _plain(piece, first=place == 0, last=place == len(pieces) - 1):
        return piece
    return f"{{{{ {sets.setdefault(piece, f'{stem}_{len(sets) + 1}')} }}}}"


def _plain(text: str, *, first: bool, last: bool) -> bool:
    """Whether text stays what it is between tags: no code in it, no edge that a tag's line would swallow."""
    if re.search(r"\{[{%#]", text) or text.endswith("{") or not all(c.isprintable() or c in "\n\t" for c in text):
        return False
    if text[:1] in "{%#-+}" or text.endswith(("\n", "-", "+")) or text.startswith("\n"):
        return False
    lines = text.split("\n")
    return not ((first and not lines[0].strip()) or (last and not lines[-1].strip()))


def _head(inputs: Sequence[str], notes: Sequence[str]) -> str:
    """Front matter: what this is, and what it reads."""
    told = "".join(f"# {' '.join(each.split())}\n" for each in notes)
    return f"---\n{told}description: {scalar(' '.join(notes[0].split()))}\ninputs: {flow(list(inputs))}\n---\n"
