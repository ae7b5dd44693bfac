"""HTML as text: blocks become lines, headings those of Markdown; scripts, styles and the like are dropped."""

from __future__ import annotations

import codecs
import re

from promptlab.retrieve.tags import pieces

_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_DROPPED = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "select", "textarea"})
_BLOCK_NAMES = """
address article aside blockquote body dd details dialog div dl dt fieldset figcaption figure footer form header hgroup
hr html legend li main nav ol p pre section summary table tbody tfoot thead tr ul
"""
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_APART = frozenset({"p", "pre", "ul", "ol", "table", "blockquote", "section", "article", "dl", "hr", "figure"})


def charset(data: bytes) -> str:
    """The encoding that a page declares, if Python knows it; else UTF-8."""
    declared = _CHARSET.search(data[:2048])
    try:
        return codecs.lookup(declared[1].decode("ascii")).name if declared else "utf-8"
    except LookupError:
        return "utf-8"


def page(source: str) -> tuple[str, str]:
    """(Title, text) of a page. The title is that of its head, else its first heading. Never fails: browsers do not."""
    read = _Text()
    take = {"text": read.data, "open": read.start, "close": read.end, "empty": read.empty}
    for kind, said in pieces(source):
        take[kind](said)
    text = read.text()
    if read.title:
        return read.title, text
    heading = re.search(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return (heading[1] if heading else ""), text


class _Text:
    """Gathers lines: (line, whether a blank one goes before)."""

    def __init__(self) -> None:
        self.title = ""
        self._lines: list[str] = []
        self._line: list[str] = []
        self._dropped: list[str] = []
        self._titled: list[str] | None = None
        self._pre = 0

    def text(self) -> str:
        self._end()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._lines)).strip("\n")

    def start(self, tag: str) -> None:
        if self._dropped or tag in _DROPPED:
            if not self._dropped or tag == self._dropped[0]:
                self._dropped.append(tag)
        elif tag == "title" and not self.title:
            self._titled = []
        elif tag == "br":
            self._end()
        elif tag in _HEADINGS:
            self._end(apart=True)
            self._line.append("#" * _HEADINGS[tag] + " ")
        elif tag in _BLOCKS:
            self._end(apart=tag in _APART)
            self._pre += tag == "pre"
            self._line += ["- "] if tag == "li" else []
        elif tag in {"td", "th"}:
            self._line.append(" ")

    def empty(self, tag: str) -> None:
        if tag not in _DROPPED:  # <svg/> opens nothing
            self.start(tag)

    def end(self, tag: str) -> None:
        if self._dropped:
            if tag == self._dropped[0]:
                self._dropped.pop()
        elif tag == "title" and self._titled is not None:
            self.title, self._titled = " ".join("".join(self._titled).split()), None
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._end(apart=tag in _APART or tag in _HEADINGS)
            if tag == "pre":
                self._pre = max(self._pre - 1, 0)

    def data(self, data: str) -> None:
        if self._dropped:
            return
        if self._titled is not None:
            self._titled.append(data)
        elif self._pre:
            first, *others = data.split("\n")
            self._line.append(first)
            for each in others:
                self._end()
                self._line.append(each)
        else:
            self._line.append(data)

    def _end(self, *, apart: bool = False) -> None:
        line = "".join(self._line)
        line = line.rstrip() if self._pre else " ".join(line.split())
        self._line.clear()
        if line.strip("#- ") or (line and line == "-" * len(line)):
            self._lines.append(line)
        if apart and self._lines and self._lines[-1]:
            self._lines.append("")
