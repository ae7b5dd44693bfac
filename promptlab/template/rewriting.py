"""Open choices: an option as text with tokens for what is no text in it, and other words put around just that.

The option's own code always runs, in its own order. Its stream then holds where each node begins and ends, so that a
rewritten text can take the place of the option's words while what the nodes gave stays what it is: data stays data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import nodes

from promptlab.rewritten import Rewritten

PLACE = "\u27e6{}\u27e7"
_TOKEN = re.compile("\u27e6([0-9]+)\u27e7")
_SILENT = (nodes.Assign, nodes.AssignBlock, nodes.Macro, nodes.Import, nodes.FromImport, nodes.ExprStmt)


class Words:
    """The start of a rewritten option in the stream: its words, and the places of the nodes among them."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: tuple[str | int, ...]) -> None:
        self.pieces = pieces


class Edge:
    """In a rewritten option: where a node begins and ends, and where the option does (``last``)."""

    __slots__ = ("last",)

    def __init__(self, *, last: bool) -> None:
        self.last = last


def words(text: str) -> Words:
    """What stands in the stream for a rewritten text."""
    return Words(_pieces(text))


@lru_cache(maxsize=4096)
def _pieces(text: str) -> tuple[str | int, ...]:
    """The words, and the numbers of the nodes between them."""
    parts = _TOKEN.split(text)
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts) if place % 2 or part)


def put(start: Words, stream: Iterator[Any]) -> Iterator[Any]:
    """The rewritten option, once its whole stream is there: the new words, and what the nodes gave among them.

    Where the option ends a line, so does what is put there.
    """
    own: list[list[Any]] = [[]]  # texts and nodes by turns, the texts first
    for chunk in stream:
        if type(chunk) is Words:
            own[-1] += put(chunk, stream)
        elif type(chunk) is not Edge:
            own[-1] += getattr(chunk, "parts", (chunk,))  # what a macro gave, in its parts
        elif chunk.last:
            break
        else:
            own.append([])
    found: list[Any] = []
    for piece in start.pieces:
        found += own[2 * piece - 1] if isinstance(piece, int) else [piece]
    yield from found
    if _ends_line(chunk for part in own for chunk in part) and not _ends_line(found):
        yield "\n"


def _ends_line(chunks: Iterable[Any]) -> bool:
    """Whether the last text of a stream is the template's own and ends a line; data never does."""
    shown = [chunk for chunk in chunks if not isinstance(chunk, str) or chunk]
    return bool(shown) and type(shown[-1]) is str and shown[-1].endswith("\n")


def key(choice: str) -> str:
    """Where the scope holds the rewritten text of a choice: no template can spell this name."""
    return PLACE.format(choice)


def scope_of(slots: Mapping[str, Any]) -> dict[str, Any]:
    """Slot values as a template reads them: a rewritten one is its option, and its text stands apart."""
    texts = {key(name): str(value) for name, value in slots.items() if isinstance(value, Rewritten)}
    return {name: getattr(value, "option", value) for name, value in slots.items()} | texts


def text_of(body: Iterable[nodes.Node]) -> str:
    """The option as its author wrote it, a token for each node that is no text and may print."""
    count, parts = 0, []
    for node in _parted(body):
        if _is_text(node):
            parts.append("".join(each.data for each in node.nodes))
        elif not isinstance(node, _SILENT):
            count += 1
            parts.append(PLACE.format(count))
    return "".join(parts)


def texts_of(options: Mapping[str, Sequence[nodes.Node]]) -> tuple[str, ...]:
    """The options as proposers see them: the white space around them is the template's."""
    return tuple(text_of(body).strip() for body in options.values())


def spaces_of(options: Mapping[str, Sequence[nodes.Node]]) -> dict[str, tuple[str, str]]:
    """The white space before and behind each option; an option that is nothing else has that of the first that is."""
    found, usual = {}, None
    for option, body in options.items():
        text = text_of(body)
        if text.strip():
            head, tail = len(text) - len(text.lstrip()), len(text.rstrip())
            found[option] = text[:head], text[tail:]
            usual = usual or found[option]
    return {option: found.get(option, usual or ("", "")) for option in options}


def lookalike(body: Iterable[nodes.Node]) -> str:
    """What the option's own words hold that looks like a token; empty if there is none."""
    for node in _parted(body):
        found = _TOKEN.search("".join(each.data for each in node.nodes)) if _is_text(node) else None
        if found:
            return found.group()
    return ""


def marked(body: Iterable[nodes.Node], name: nodes.Expr, start: nodes.Expr) -> list[nodes.Node]:
    """The option's code, and marks around it and around each node that is no text, sent where ``start`` gives words.

    ``name`` is a free one, for what ``start`` gives.
    """

    def mark(value: nodes.Expr) -> nodes.If:
        return nodes.If(name, [nodes.Output([value])], [], [])

    edge = mark(nodes.EnvironmentAttribute("edge"))
    out: list[nodes.Node] = [nodes.Assign(name, start), mark(name)]
    for node in _parted(body):
        out += [node] if _is_text(node) or isinstance(node, _SILENT) else [edge, node, edge]
    return [*out, mark(nodes.EnvironmentAttribute("last_edge"))]


def _is_text(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(isinstance(each, nodes.TemplateData) for each in node.nodes)


def _parted(body: Iterable[nodes.Node]) -> Iterator[Any]:
    """The nodes, with texts and expressions each in an output of its own."""
    for node in body:
        if isinstance(node, nodes.Output):
            yield from (nodes.Output([each], lineno=each.lineno or node.lineno) for each in node.nodes)
        else:
            yield node
