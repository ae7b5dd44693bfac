"""A prompt as what is fixed in it and where the inputs go, found by rendering it with inputs that can only be printed.

Whatever a template does with an input besides printing it (a condition, a filter, a loop) decides on the row: then
there are no such pieces, and the error says where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, TypeAlias

from jinja2 import nodes

from promptlab.errors import BadInput, Problem
from promptlab.finished import row_chooses
from promptlab.predict import Prompt
from promptlab.records import Example, Role
from promptlab.template import Source
from promptlab.template.lines import front_matter
from promptlab.template.marks import Data, finalize, messages
from promptlab.template.parts import File
from promptlab.template.template import parse
from promptlab.template.trace import raised_at

JINJA = "Take --to jinja, which keeps the template's code."


@dataclass(frozen=True, slots=True)
class Hole:
    """Where an input goes."""

    name: str


Piece: TypeAlias = "str | Hole"


@dataclass(frozen=True, slots=True)
class Part:
    """A message: fixed texts and holes, in order."""

    role: Role
    pieces: tuple[Piece, ...]


class RowDecides(Exception):  # noqa: N818 - what it says is no error of anybody's
    """The template does more with an input than print it."""


class _Unread:
    """An input that nobody may look at: ``token`` is what is printed for it."""

    __slots__ = ("_name", "_token")

    def __init__(self, name: str, token: str) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_token", token)

    def __getattr__(self, name: str) -> Any:
        raise RowDecides(object.__getattribute__(self, "_name"))


def _refusing(self: Any, *_: Any) -> Any:
    raise RowDecides(object.__getattribute__(self, "_name"))


for _name in [
    "str",
    "repr",
    "bool",
    "iter",
    "len",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "hash",
    "contains",
    "getitem",
    "call",
    "format",
    "int",
    "float",
    "index",
    "add",
    "radd",
    "sub",
    "rsub",
    "mul",
    "rmul",
    "truediv",
    "rtruediv",
    "floordiv",
    "rfloordiv",
    "mod",
    "rmod",
    "pow",
    "rpow",
    "neg",
    "pos",
    "abs",
    "and",
    "or",
    "xor",
    "invert",
    "round",
    "reversed",
    "bytes",
]:
    setattr(_Unread, f"__{_name}__", _refusing)


def pieces(prompt: Prompt, sources: Mapping[str, Source]) -> tuple[Part, ...]:
    """The messages of a prompt with holes for its inputs. Raises BadInput where the row decides more than that."""
    try:
        return _pieces(prompt, sources)
    except BadInput as error:  # a run read back from its log has its files in a place that is gone
        names = {source.path: name for name, source in sources.items()}
        raise BadInput(replace(each, path=names.get(each.path, each.path)) for each in error.problems) from None


def _pieces(prompt: Prompt, sources: Mapping[str, Source]) -> tuple[Part, ...]:
    demos = _demos(prompt)
    _no_captures(prompt, sources)
    salt = 0
    told = json.dumps([each.text for each in sources.values()]) + repr(prompt.variant.slots) + repr(demos)
    while f"\u27ea{salt}:" in told or f"\\u27ea{salt}:" in told:
        salt += 1
    one, other = (_traced(prompt, sources, demos, each) for each in (salt, salt + 1))
    if one != other:  # a text that looks like a hole: cannot be told from one
        raise BadInput(Problem("the prompt computes with its inputs", prompt.template.path, remedy=JINJA))
    return one


def _no_captures(prompt: Prompt, sources: Mapping[str, Source]) -> None:
    """Refuse code that sees what was printed: a macro, a block set or filter could do anything with an input."""
    template = parse(prompt.template.files[0], sources)
    environment: Any = template.compiled.environment
    for name in template.files:
        file = File(name, sources[name].path, front_matter(sources[name].text))
        tree = environment.parse(file.parts.numbered, name, file.path)
        found = next(tree.find_all((nodes.AssignBlock, nodes.FilterBlock, nodes.Macro, nodes.CallBlock)), None)
        if found is not None:
            what = "a macro, or a block that is set or filtered, may depend on the row"
            raise BadInput(Problem(what, file.path, found.lineno, JINJA))


def _demos(prompt: Prompt) -> tuple[Any, ...]:
    """The demos that every row is shown. BadInput where they depend on the row."""
    bank, slots = prompt.task.bank, prompt.variant.slots
    if bank is None or "demos" not in prompt.template.uses:
        return ()
    if row_chooses(prompt):
        how = "bank.select=nearest" if slots.get("bank.select") == "nearest" else "bank.order=nearest-last"
        what = f"the demos of {prompt.variant.id} are not fixed: {how} looks at the row"
        raise BadInput(Problem(what, remedy="Take --to jinja or --to python, which take the bank along."))
    return tuple(map(prompt.task.shown, bank.select(slots, stranger(prompt))))


def stranger(prompt: Prompt) -> Example:
    """A row that equals no demo."""
    bank = prompt.task.bank
    names = {name for demo in (bank.demos if bank else ()) for name in demo.inputs}
    told = {str(value) for demo in (bank.demos if bank else ()) for value in demo.inputs.values()}
    text = "no row"
    while any(text in each for each in told):
        text += " at all"
    return Example("", dict.fromkeys(sorted(names), text))


def _traced(prompt: Prompt, sources: Mapping[str, Source], demos: Sequence[Any], salt: int) -> tuple[Part, ...]:
    template = parse(prompt.template.files[0], sources)  # one of our own: what it prints is looked at
    tokens = {name: f"\u27ea{salt}:{place}\u27eb" for place, name in enumerate(template.inputs)}
    environment: Any = template.compiled.environment

    def watched(value: Any) -> Any:
        token = object.__getattribute__(value, "_token") if type(value) is _Unread else None
        return finalize(value) if token is None else Data(token)

    environment.finalize = watched
    environment.tests = {name: _guarded(each) for name, each in environment.tests.items()}
    unread = {name: _Unread(name, token) for name, token in tokens.items()}
    names = {**template.known, **unread, **prompt.scope, "demos": tuple(demos)}
    closed = prompt.looks and "rag" not in prompt.variant.method  # it looks for no passages, whatever the row
    names["passages"] = () if closed else _Unread("passages", "")
    try:
        found = messages(template.compiled.root_render_func(template.compiled.new_context(names, shared=True)))
    except RowDecides as error:
        path, line = raised_at(template.compiled, error) or (template.path, 0)
        what = f"what is asked depends on the row: `{error}` is more than printed here"
        raise BadInput(Problem(what, path, line, JINJA)) from None
    except Exception as error:
        path, line = raised_at(template.compiled, error) or (template.path, 0)
        what = f"what is asked depends on the row: {type(error).__name__} without one"
        raise BadInput(Problem(what, path, line, JINJA)) from error
    return tuple(Part(each.role, _split(each.content, tokens)) for each in found)


def _guarded(test: Callable[..., Any]) -> Callable[..., Any]:
    """A test that no input may be put to; that it is defined is known."""
    if test.__name__ in ("test_defined", "test_undefined"):
        return test

    @wraps(test)
    def guard(*values: Any, **options: Any) -> Any:
        for each in (*values, *options.values()):
            if type(each) is _Unread:
                _refusing(each)
        return test(*values, **options)

    return guard


def _split(text: str, tokens: Mapping[str, str]) -> tuple[Piece, ...]:
    found: list[Piece] = [text]
    for name, token in tokens.items():
        parts: list[Piece] = []
        for piece in found:
            if isinstance(piece, Hole):
                parts.append(piece)
                continue
            first, *others = piece.split(token)
            parts.append(first)
            for each in others:
                parts += [Hole(name), each]
        found = parts
    return tuple(piece for piece in found if piece)
