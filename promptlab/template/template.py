"""A template: one .j2 file and what it includes, parsed once; renders to messages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Template as Compiled
from jinja2 import TemplateError
from jinja2.exceptions import SecurityError, UndefinedError

from promptlab.errors import BadInput, Problem, nearest
from promptlab.records import Message, Slot
from promptlab.template.choices import slots_of
from promptlab.template.front import Front, read_front
from promptlab.template.lines import FrontMatter, front_matter
from promptlab.template.marks import StreamError, messages
from promptlab.template.parts import SCOPE, File, Parts, Reader, find
from promptlab.template.tags import Environment
from promptlab.template.trace import misplaced_at, raised_at


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one template file; ``path`` only serves messages."""

    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. ``inputs`` are the columns it reads, ``slots`` its open choices, ``hash`` its content.

    ``parser`` is its own word on how answers are read: a parser's name, or {by: slot, value: name, …}; None = the
    experiment's. ``uses`` says which of demos, passages and labels it reads. ``known`` are Jinja's own names.
    """

    name: str
    path: str
    slots: tuple[Slot, ...]
    inputs: tuple[str, ...]
    uses: frozenset[str]
    parser: str | Mapping[str, Any] | None
    description: str
    hash: str
    files: tuple[str, ...]
    compiled: Compiled
    known: Mapping[str, Any]

    def render(self, scope: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages for one scope: input columns, slots, demos, passages, labels.

        Raises BadInput with file and line where the template cannot be rendered with it.
        """
        compiled = self.compiled
        try:
            names = {**self.known, **scope}  # jinja2 would copy its chain of globals name by name, for every row
            return messages(compiled.root_render_func(compiled.new_context(names, shared=True)))
        except Exception as error:
            raise BadInput(self._explained(error, scope)) from error

    def _explained(self, error: Exception, scope: Mapping[str, Any]) -> Problem:
        found = raised_at(self.compiled, error)
        if found is None and isinstance(error, StreamError):
            found = misplaced_at(self.compiled, scope)
        path, line = found or (self.path, 0)
        what, remedy = str(error) or type(error).__name__, ""
        if isinstance(error, UndefinedError):
            what, _, remedy = what.partition("\n")
        elif isinstance(error, SecurityError):
            what = f"the sandbox does not allow this: {what}"
        elif not isinstance(error, (TemplateError, StreamError)):
            what = f"{type(error).__name__}: {what}"
        return Problem(what, path, line, remedy)


def parse(name: str, sources: Mapping[str, Source]) -> Template:
    """The template ``name`` out of ``sources`` (template name → source, includes among them).

    Raises BadInput with every problem: syntax, unknown includes, unknown variables, unused choices, collisions.
    """
    files = {each: File(each, source.path, front_matter(source.text)) for each, source in sources.items()}

    def lookup(wanted: str) -> tuple[FrontMatter, str] | None:
        found = find(files, wanted)
        return (found.parts, found.path) if found else None

    environment = Environment(lookup)
    path = sources[name].path
    front, problems = read_front(files[name].parts.yaml, path)
    parts = Reader(environment, files).read(name)
    if problems or parts.problems:
        raise BadInput([*problems, *parts.problems])
    slots, problems = slots_of(front, parts, path)
    inputs, more = _inputs(front, parts, slots, path)
    if problems or more:
        raise BadInput([*problems, *more])
    others = sorted(each for each in parts.files if each != name)
    compiled = environment.get_template(name)
    return Template(
        name=name.removesuffix(".j2"),
        path=path,
        slots=slots,
        inputs=inputs,
        uses=frozenset(parts.reads) & frozenset(SCOPE),
        parser=front.answer,
        description=front.description,
        hash=_hash([sources[each].text for each in (name, *others)]),
        files=tuple(parts.files),
        compiled=compiled,
        known=dict(compiled.globals),
    )


def _hash(texts: Sequence[str]) -> str:
    """sha256 of the contents, the main file first: a renamed file is the same template."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _inputs(front: Front, parts: Parts, slots: Sequence[Slot], path: str) -> tuple[tuple[str, ...], list[Problem]]:
    """The columns that the template reads: those declared, or all names that nothing else explains."""
    taken = {*SCOPE, *(slot.name for slot in slots)}
    unknown = {name: at for name, at in parts.reads.items() if name not in taken}
    if not front.declares_inputs:
        return tuple(unknown), []
    known = [*front.inputs, *taken]
    problems = [
        Problem(f"`{name}` is not known here", where, line, nearest(name, known) or "Add it to `inputs`.")
        for name, (where, line) in unknown.items()
        if name not in front.inputs
    ]
    unused = [name for name in front.inputs if name not in parts.reads]
    line, remedy = front.line("inputs"), "Use it, or remove it from `inputs`."
    problems += [Problem(f"the input `{name}` is never used", path, line, remedy) for name in unused]
    return front.inputs, problems
