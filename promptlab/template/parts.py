"""What a parsed template holds: the files it is made of, its choices, and the names that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from promptlab.errors import Problem, nearest
from promptlab.records import Slot
from promptlab.template.tags import Choice, Environment

When = tuple[tuple[str, tuple[Any, ...]], ...]
SCOPE = ("demos", "passages", "labels")


@dataclass
class Parts:
    """Collected while reading: slots of choice tags, where each was found, names read and names set."""

    slots: list[tuple[Slot, str, int]] = field(default_factory=list)
    reads: dict[str, tuple[str, int]] = field(default_factory=dict)
    stores: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)  # template name -> path, for messages
    problems: list[Problem] = field(default_factory=list)


class Reader:
    """Walks a template and everything it includes, extends or imports by a constant name."""

    def __init__(self, environment: Environment, names: Mapping[str, str]) -> None:
        self.environment = environment
        self.known = names  # every template name that could be meant, for nearest-name remedies
        self.parts = Parts()

    def read(self, name: str) -> Parts:
        """Everything the template ``name`` is made of."""
        self._file(name, (), None)
        self.parts.reads = {k: at for k, at in self.parts.reads.items() if k not in self.parts.stores}
        return self.parts

    def _file(self, name: str, when: When, at: tuple[str, int] | None) -> None:
        try:
            source, path, _ = self.environment.loader.get_source(self.environment, name)  # type: ignore[union-attr]
        except TemplateNotFound:
            where = at or (name, 0)
            self.parts.problems.append(
                Problem(f"there is no template {name!r} to include", where[0], where[1], nearest(name, self.known))
            )
            return
        if (name in self.parts.files) and not when:
            return
        self.parts.files[name] = str(path)
        try:
            tree = self.environment.parse(source, name, path)
        except TemplateSyntaxError as error:
            self.parts.problems.append(Problem(_sentence(error.message or "syntax error"), str(path), error.lineno))
            return
        self._names(tree, str(path))
        self._walk(tree.body, when, str(path))

    def _names(self, tree: nodes.Template, path: str) -> None:
        undeclared = find_undeclared_variables(tree)
        lines: dict[str, int] = {}
        for name in tree.find_all(nodes.Name):
            if name.ctx == "load":
                lines[name.name] = min(lines.get(name.name, name.lineno), name.lineno)
            elif name.name not in undeclared:
                self.parts.stores.add(name.name)  # an included file may read what its includer set
        for unknown in sorted(undeclared):
            self.parts.reads.setdefault(unknown, (path, lines.get(unknown, 1)))

    def _walk(self, body: list[nodes.Node], when: When, path: str) -> None:
        for node in body:
            choice: Choice | None = getattr(node, "choice", None)
            if choice is not None:
                self._choice(choice, when, path)
            elif isinstance(node, (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
                self._included(node, when, path)
            else:
                self._walk(list(node.iter_child_nodes()), when, path)

    def _choice(self, choice: Choice, when: When, path: str) -> None:
        slot = Slot(choice.name, "choice", tuple(choice.options), when, choice.open)
        self.parts.slots.append((slot, path, choice.line))
        for option, body in choice.options.items():
            self._walk(body, (*when, (choice.name, (option,))), path)

    def _included(self, node: Any, when: When, path: str) -> None:
        target = node.template
        if not isinstance(target, nodes.Const) or not isinstance(target.value, str):
            self.parts.problems.append(
                Problem("the name of an included template must be written out, not computed", path, node.lineno)
            )
            return
        self._file(target.value, when, (path, node.lineno))


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:]
