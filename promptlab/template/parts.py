"""What a parsed template holds: the files it is made of, its choices, and the names that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from promptlab.errors import Problem, nearest
from promptlab.records import Slot
from promptlab.template.lines import FrontMatter
from promptlab.template.rewriting import lookalike, texts_of
from promptlab.template.tags import Choice, Environment

When = tuple[tuple[str, tuple[Any, ...]], ...]
SCOPE = ("demos", "passages", "labels")


@dataclass(frozen=True, slots=True)
class File:
    """One template file: its name below templates/, its path for messages, its front matter and body."""

    name: str
    path: str
    parts: FrontMatter


@dataclass(slots=True)
class Parts:
    """Collected while reading: slots of choice tags and where each was found, names read, files by name."""

    slots: list[tuple[Slot, str, int]] = field(default_factory=list)
    reads: dict[str, tuple[str, int]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # template name -> path, for messages
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Way:
    """How a file is reached: under which options, with which names set, through which files, with the scope or not."""

    when: When = ()
    bound: frozenset[str] = frozenset()
    above: tuple[str, ...] = ()
    scope: bool = True


class Reader:
    """Walks a template and everything it includes, extends or imports by a constant name."""

    def __init__(self, environment: Environment, files: Mapping[str, File]) -> None:
        self.environment = environment
        self.files = files
        self.parts = Parts()
        self._seen: set[tuple[str, _Way]] = set()

    def read(self, name: str) -> Parts:
        """Everything the template ``name`` is made of."""
        self._file(self.files[name], _Way())
        return self.parts

    def _file(self, file: File, way: _Way) -> frozenset[str]:
        """Read one file on one way; gives the names that it sets, for the blocks of a template that extends it."""
        if file.name in way.above or (file.name, way) in self._seen:
            return frozenset()
        self._seen.add((file.name, way))
        self.parts.files[file.name] = file.path
        try:
            tree = self.environment.parse(file.parts.numbered, file.name, file.path)
            unknown = find_undeclared_variables(tree) - way.bound
        except TemplateSyntaxError as error:  # also a filter or test that does not exist
            self._complain(_sentence(error.message or "syntax error"), file, error.lineno, self._meant(error))
            return frozenset()
        self._constants(tree, file)
        names = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"} - unknown
        inside = replace(way, bound=way.bound | names, above=(*way.above, file.name))
        for parent in tree.find_all(nodes.Extends):
            names |= self._linked(parent, inside, file)
        self._names(tree, unknown - names, file, way)
        self._walk(tree.body, inside, file)
        return frozenset(names)

    def _names(self, tree: nodes.Template, unknown: set[str], file: File, way: _Way) -> None:
        lines: dict[str, int] = {}
        for node in _loaded(tree, frozenset()):
            lines[node.name] = min(lines.get(node.name, node.lineno), node.lineno)
        for name in sorted(unknown, key=lambda each: (lines.get(each, 1), each)):
            if way.scope:
                self.parts.reads.setdefault(name, (file.path, lines.get(name, 1)))
            else:
                remedy = "Import the file `with context`, or hand the value to the macro."
                self._complain(f"`{name}` is not known in an imported file", file, lines.get(name, 1), remedy)

    def _constants(self, tree: nodes.Template, file: File) -> None:
        for node in tree.find_all(nodes.Const):
            if isinstance(node.value, str) and any("\ud800" <= each <= "\udfff" for each in node.value):
                self._complain("an escape like \\ud83d is half a character", file, node.lineno, "Write the whole one.")

    def _walk(self, body: list[nodes.Node], way: _Way, file: File) -> None:
        for node in body:
            choice: Choice | None = getattr(node, "choice", None)
            if choice is not None:
                self._choice(choice, way, file)
            elif isinstance(node, (nodes.Include, nodes.Import, nodes.FromImport)):
                self._linked(node, way, file)
            else:
                self._walk(list(node.iter_child_nodes()), way, file)

    def _choice(self, choice: Choice, way: _Way, file: File) -> None:
        texts = texts_of(choice.options) if choice.open else ()
        slot = Slot(choice.name, "choice", tuple(choice.options), way.when, choice.open, texts)
        self.parts.slots.append((slot, file.path, choice.line))
        for option, body in choice.options.items():
            if choice.open and (found := lookalike(body)):
                what = f"the open choice `{choice.name}` holds {found}, as the places of its nodes are written"
                self._complain(what, file, choice.line, "Write it in another way, or take `open` from the choice.")
            self._walk(body, replace(way, when=(*way.when, (choice.name, (option,)))), file)

    def _linked(self, node: Any, way: _Way, file: File) -> frozenset[str]:
        target = node.template.value if isinstance(node.template, nodes.Const) else None
        if not isinstance(target, str):
            what = "the name of an included template must be written out, not computed"
            self._complain(what, file, node.lineno, "Put each include into its own `if` or `option`.")
            return frozenset()
        name = target.removesuffix("\n")
        found = find(self.files, name)
        if found is None:
            self._complain(f"there is no template {name!r}", file, node.lineno, nearest(name, self.files))
            return frozenset()
        return self._file(found, replace(way, scope=way.scope and getattr(node, "with_context", True)))

    def _meant(self, error: TemplateSyntaxError) -> str:
        message = error.message or ""
        kinds: dict[str, Mapping[str, Any]] = {"filter": self.environment.filters, "test": self.environment.tests}
        for kind, known in kinds.items():
            if message.startswith(f"No {kind} named "):
                return nearest(message.split("'")[1], known)
        return ""

    def _complain(self, message: str, file: File, line: int, remedy: str) -> None:
        self.parts.problems.append(Problem(message, file.path, line, remedy))


def _loaded(node: nodes.Node, bound: frozenset[str]) -> Iterator[nodes.Name]:
    """The names that are read, but for those that a loop or a macro around them binds."""
    if isinstance(node, nodes.Name) and node.ctx == "load" and node.name not in bound:
        yield node
    if isinstance(node, nodes.For):
        bound |= {
            each.name for each in (node.target, *node.target.find_all(nodes.Name)) if isinstance(each, nodes.Name)
        }
    elif isinstance(node, (nodes.Macro, nodes.CallBlock)):
        bound |= {each.name for each in node.args}
    for child in node.iter_child_nodes():
        yield from _loaded(child, bound)


def find(files: Mapping[str, File], name: str) -> File | None:
    """The file that a template's name means; ``.j2`` may be left out."""
    return files.get(name) or files.get(f"{name}.j2")


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:]
