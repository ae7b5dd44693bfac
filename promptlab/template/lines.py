"""Front matter and white space: a block tag alone on its line leaves no trace, other lines stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

INCLUDE_LINES = "include_lines"  # what an include that stands alone on its line is compiled as
_STRING = r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'"
_TAG = re.compile(
    r"(?P<comment>\{#.*?#\})"
    r"|(?P<raw>(?P<open>\{%[-+]?\s*raw\s*-?%\})(?P<text>.*?)(?P<close>\{%[-+]?\s*endraw\s*[-+]?%\}))"
    rf"|(?P<print>\{{\{{(?>{_STRING}|.)*?\}}\}})"  # atomic: one reading of each string, so no backtracking
    rf"|(?P<block>\{{%(?>{_STRING}|.)*?%\}})",
    re.DOTALL,
)
_INCLUDE = re.compile(r"(\{%\s*)include\b")
_RAW = re.compile(r"\{%[-+]?\s*raw\b")
_CAPTURE = re.compile(r"\{%[-+]?\s*(?:set|macro|call|filter)\b")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The YAML text between two ``---`` lines at the top of a file, the body, and the lines before the body."""

    yaml: str
    body: str
    lines: int

    @property
    def numbered(self) -> str:
        """The body for Jinja: white space settled, and as many lines as the file has, so that its numbers are right."""
        return ("{#" + "\n" * self.lines + "#}" if self.lines else "") + whole_lines(self.body)

    @property
    def numbered_lines(self) -> str:
        """The body as lines: its last one ends with a newline, too (Jinja drops the one that is doubled here)."""
        body = self.body if self.body.endswith("\n") or not self.body else self.body + "\n"
        text = FrontMatter(self.yaml, body, self.lines).numbered
        return text + "\n" if text.endswith("\n") else text


def front_matter(source: str) -> FrontMatter:
    """Split a template file; without front matter the yaml is empty."""
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    match = re.match(r"---[ \t]*\n(.*?)(?:^---[ \t]*(?:\n|\Z))", source, re.DOTALL | re.MULTILINE)
    if not match:
        return FrontMatter("", source, 0)
    return FrontMatter(match.group(1), source[match.end() :], match.group(0).count("\n"))


def whole_lines(source: str) -> str:
    """The source without the white space around tags that have a line to themselves; no line changes its number.

    Jinja's trim_blocks would drop the newline after every tag. Here only the newline of a line that holds nothing but
    tags goes: into a comment. ``{%+`` keeps the indentation and ``+%}`` the newline, as in Jinja.
    """
    out: list[str] = []
    line: list[tuple[str, str]] = []
    for kind, text in _pieces(source):
        if kind != "text":
            line.append((kind, text))
            continue
        first, *others = text.split("\n")
        line.append((kind, first))
        for each in others:
            out.append(_settled(line, "\n"))
            line = [(kind, each)]
    return "".join(out) + _settled(line, "")


def _pieces(source: str) -> Iterator[tuple[str, str]]:
    """Texts and tags in order, as (text, tag or print; source). What is raw is text."""
    end = 0
    for tag in _TAG.finditer(source):
        yield "text", source[end : tag.start()]
        if tag["raw"] is not None:
            yield from (("tag", tag["open"]), ("text", tag["text"]), ("tag", tag["close"]))
        else:
            yield "print" if tag["print"] is not None else "tag", tag.group()
        end = tag.end()
    yield "text", source[end:]


def _settled(line: Sequence[tuple[str, str]], newline: str) -> str:
    tags = [text for kind, text in line if kind == "tag"]
    if not tags or any(kind == "print" or (kind == "text" and text.strip()) for kind, text in line):
        return "".join(text for _, text in line) + newline
    indent = line[0][1] if tags[0].startswith("{%+") else ""
    if not any(map(_CAPTURE.match, tags)):
        tags = [tag if tag[-3] in "-+" else _INCLUDE.sub(rf"\1{INCLUDE_LINES}", tag) for tag in tags]
    return indent + "".join(tags[:-1]) + (_closed(tags[-1], newline) if newline else tags[-1])


def _closed(tag: str, newline: str) -> str:
    """The tag and its newline such that Jinja prints nothing for it, and still counts it."""
    if tag[-3] in "-+":
        return tag + newline  # the tag's own sign says what becomes of it
    return f"{tag[:-2]}{newline}%}}" if _RAW.match(tag) else f"{tag}{{#{newline}#}}"
