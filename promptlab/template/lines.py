"""Front matter and white space: a block tag alone on its line leaves no trace, other lines keep their newline."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STRING = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_TAG = re.compile(
    r"(?P<comment>\{#.*?#\})"
    r"|(?P<raw>\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\})"
    rf"|(?P<print>\{{\{{(?:{_STRING}|.)*?\}}\}})"
    rf"|(?P<block>\{{%(?:{_STRING}|.)*?%\}})",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The YAML text between two ``---`` lines at the top of a file, and the body with its line numbers kept."""

    yaml: str
    body: str


def front_matter(source: str) -> FrontMatter:
    """Split a template file; without front matter the yaml is empty."""
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    match = re.match(r"---[ \t]*\n(.*?)(?:^---[ \t]*(?:\n|\Z))", source, re.DOTALL | re.MULTILINE)
    if not match:
        return FrontMatter("", source)
    gap = "{#" + "\n" * match.group(0).count("\n") + "#}"  # a comment of as many lines keeps the numbers of the body
    return FrontMatter(match.group(1), gap + source[match.end() :])


def keep_lines(source: str) -> str:
    """Mark the block tags that share their line with text, so that Jinja strips only around tags that stand alone.

    Jinja's trim_blocks would drop the newline after every tag; ``+%}`` keeps it, ``{%+`` keeps the indentation.
    """
    bare = _TAG.sub(lambda tag: (" " if tag.lastgroup in ("block", "comment") else "x") * len(tag.group()), source)
    out: list[str] = []
    end = 0
    for tag in _TAG.finditer(source):
        line = (
            bare[bare.rfind("\n", 0, tag.start()) + 1 : tag.end()]
            + bare[tag.end() : (bare.find("\n", tag.end()) + 1 or None)]
        )
        out += (source[end : tag.start()], _kept(tag) if line.strip() else tag.group())
        end = tag.end()
    return "".join(out) + source[end:]


def _kept(tag: re.Match[str]) -> str:
    text = tag.group()
    if tag.lastgroup == "print":
        return text
    if text[2] not in "-+":
        text = f"{text[:2]}+{text[2:]}"
    return text if text[-3] in "-+" else f"{text[:-2]}+{text[-2:]}"
