"""A template: one .j2 file and what it includes, parsed once; renders to messages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Template as Compiled
from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError

from promptlab.errors import BadInput, Problem, nearest
from promptlab.records import Message, Slot
from promptlab.template.front import Front, read_front
from promptlab.template.lines import front_matter
from promptlab.template.marks import StreamError, messages
from promptlab.template.parts import SCOPE, Parts, Reader
from promptlab.template.tags import Environment


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one template file; ``path`` only serves messages."""

    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. ``inputs`` are the columns it reads, ``slots`` its open choices, ``hash`` its content.

    ``parser`` is its own word on how answers are read: a parser's name, or {by: slot, value: name, …}; None = the
    experiment's. ``uses`` says which of demos, passages and labels it reads.
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

    def render(self, scope: Mapping[str, Any]) -> tuple[Message, ...]:
        """The messages for one scope: input columns, slots, demos, passages, labels.

        Raises BadInput with file and line where the template cannot be rendered with it.
        """
        compiled = self.compiled
        try:
            return messages(compiled.root_render_func(compiled.new_context(dict(scope))))
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(self._explained(error)) from error

    def _explained(self, error: Exception) -> Problem:
        path, line = self.path, 0
        if isinstance(error, TemplateSyntaxError):
            path, line = error.filename or path, error.lineno
        else:
            found = _deepest(self.compiled.environment.handle_exception, error)
            path, line = found or (path, 0)
        if isinstance(error, StreamError):
            line = 0
        what = str(error) or type(error).__name__
        if isinstance(error, SecurityError):
            what = f"the sandbox does not allow this: {what}"
        elif not isinstance(error, (TemplateError, StreamError)):
            what = f"{type(error).__name__}: {what}"
        return Problem(what, path, line)


def _deepest(rewrite: Any, error: Exception) -> tuple[str, int] | None:
    """The innermost template file and line of an error's traceback, Jinja's line numbers restored."""
    try:
        rewrite()
    except Exception as rewritten:  # noqa: BLE001 - the same error, with template lines in its traceback
        trace = rewritten.__traceback__
    else:
        trace = error.__traceback__
    found = None
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.endswith((".j2", ".jinja", ".jinja2")):
            found = (name, trace.tb_lineno)
        trace = trace.tb_next
    return found


def parse(name: str, sources: Mapping[str, Source]) -> Template:
    """The template ``name`` out of ``sources`` (template name → source, includes among them).

    Raises BadInput with every problem: syntax, unknown includes, unknown variables, unused choices, collisions.
    """
    split = {each: front_matter(source.text) for each, source in sources.items()}

    def lookup(wanted: str) -> tuple[str, str] | None:
        key = wanted if wanted in split else f"{wanted}.j2" if f"{wanted}.j2" in split else ""
        return (split[key].body, sources[key].path) if key else None

    environment = Environment(lookup)
    source = sources[name]
    front, problems = read_front(split[name].yaml, source.path)
    parts = Reader(environment, {each: s.path for each, s in sources.items()}).read(name)
    problems += parts.problems
    if problems:
        raise BadInput(problems)
    problems += _collisions(front, parts, source.path)
    inputs, more = _inputs(front, parts, environment, source.path)
    if problems + more:
        raise BadInput(problems + more)
    used = {each: sources[each].text for each in parts.files}
    return Template(
        name=name.removesuffix(".j2"),
        path=source.path,
        slots=_slots(front, parts),
        inputs=inputs,
        uses=frozenset(parts.reads) & frozenset(SCOPE),
        parser=front.answer,
        description=front.description,
        hash=_hash([used[name], *(used[each] for each in sorted(used) if each != name)]),
        files=tuple(used),
        compiled=environment.get_template(name),
    )


def _hash(texts: Sequence[str]) -> str:
    """sha256 of the contents, the main file first: a renamed file is the same template."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def _slots(front: Front, parts: Parts) -> tuple[Slot, ...]:
    """Choices of the front matter, then of the tags; the same choice met twice (an include) counts once."""
    return tuple(dict.fromkeys([*front.choices, *(slot for slot, _, _ in parts.slots)]))


def _collisions(front: Front, parts: Parts, path: str) -> list[Problem]:
    problems = []
    seen: dict[str, tuple[Slot, str, int]] = {}
    for slot, where, line in parts.slots:
        other = seen.setdefault(slot.name, (slot, where, line))
        if other[0].values != slot.values and other[0].when == slot.when:
            problems.append(Problem(f"the choice `{slot.name}` is declared twice with different options", where, line))
        if slot.name in SCOPE or slot.name in front.inputs:
            what = "an input column" if slot.name in front.inputs else "always in scope"
            problems.append(
                Problem(f"a choice cannot be called `{slot.name}`: that is {what}", where, line, "Rename it.")
            )
    for slot in front.choices:
        line = front.line(slot.name)
        if slot.name in seen:
            problems.append(
                Problem(f"the choice `{slot.name}` is declared in the front matter and by a tag", path, line)
            )
        elif slot.name not in parts.reads and not _steers(front, slot.name):
            problems.append(Problem(f"the choice `{slot.name}` is never used", path, line, "Use it, or remove it."))
    return problems


def _steers(front: Front, slot: str) -> bool:
    return isinstance(front.answer, Mapping) and front.answer.get("by") == slot


def _inputs(front: Front, parts: Parts, environment: Environment, path: str) -> tuple[tuple[str, ...], list[Problem]]:
    """The columns that the template reads: those declared, or all names that nothing else explains."""
    taken = {
        *SCOPE,
        *environment.globals,
        *(s.name for s in front.choices),
        *(s.name for s, _, _ in parts.slots),
    }
    unknown = {name: at for name, at in parts.reads.items() if name not in taken}
    if not front.declares_inputs:
        return tuple(unknown), []
    known = [*front.inputs, *(name for name in taken if name not in environment.globals)]
    problems = [
        Problem(f"`{name}` is not known here", where, line, nearest(name, known) or "Add it to `inputs`.")
        for name, (where, line) in unknown.items()
        if name not in front.inputs
    ]
    problems += [
        Problem(
            f"the input `{name}` is never used",
            path,
            front.line("inputs"),
            "Use it, or remove it from `inputs`.",
        )
        for name in front.inputs
        if name not in parts.reads
    ]
    return front.inputs, problems
