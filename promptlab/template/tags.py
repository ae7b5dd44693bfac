"""Jinja with our tags: roles, turns, choices. Real Jinja otherwise, in the sandbox, with nothing random in scope."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import FunctionLoader, TemplateNotFound, nodes
from jinja2.compiler import Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from promptlab.template.lines import INCLUDE_LINES, FrontMatter
from promptlab.template.marks import Mark, as_json, concat, finalize, turns
from promptlab.template.rewriting import Edge, Words, key, marked, spaces_of, words
from promptlab.template.undefined import Unknown

LARGEST = 1_000_000  # characters, items or bits that an expression may make by multiplying
ROLES = ("system", "developer", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Choice:
    """One ``{% choice NAME [open] %}`` as parsed: its options in order, each with its nodes."""

    name: str
    options: Mapping[str, list[nodes.Node]]
    open: bool
    line: int


class Tags(Extension):
    """The role, turns and choice tags."""

    tags = {*ROLES, "turns", "choice", INCLUDE_LINES}  # noqa: RUF012 - Jinja declares it as an instance attribute

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Dispatch on the tag's name."""
        if parser.stream.current.value == INCLUDE_LINES:
            return _as_lines(parser.parse_include())
        token = next(parser.stream)
        if token.value == "turns":
            turn = nodes.EnvironmentAttribute("turns")
            call = nodes.Call(turn, [parser.parse_expression()], [], None, None, lineno=token.lineno)
            return nodes.Output([call], lineno=token.lineno)
        if token.value == "choice":
            return self._choice(parser, token.lineno)
        body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        return [_mark(f"start_{token.value}", token.lineno), *body, _mark("end_message", parser.stream.current.lineno)]

    def _choice(self, parser: Parser, line: int) -> nodes.Node:
        """A choice compiles to a plain ``if`` over the slot's variable; the node keeps the choice for the space."""
        name = parser.stream.expect("name").value
        is_open = bool(parser.stream.skip_if("name:open"))
        lead = parser.parse_statements(("name:option", "name:endchoice"))
        if any(not _blank(node) for node in lead):
            parser.fail(f"text between `choice {name}` and its first `option`", line)
        options: dict[str, list[nodes.Node]] = {}
        while parser.stream.current.test("name:option"):
            at = next(parser.stream).lineno
            option = next(parser.stream)
            if option.type not in ("name", "integer", "string"):
                parser.fail(f"an option of `choice {name}` needs a name", at)
            if str(option.value) in options:
                parser.fail(f"`choice {name}` has the option `{option.value}` twice", at)
            options[str(option.value)] = parser.parse_statements(("name:option", "name:endchoice"))
        parser.stream.expect("name:endchoice")
        if not options:
            parser.fail(f"`choice {name}` has no option", line)
        choice = Choice(name, options, is_open, line)
        return _branches(choice, _rewritable(choice, parser) if is_open else options)


def _mark(name: str, line: int) -> nodes.Output:
    return nodes.Output([nodes.EnvironmentAttribute(name, lineno=line)], lineno=line)


def _as_lines(include: nodes.Include) -> nodes.Include:
    """An include alone on its line puts whole lines there: a name that ends with a newline asks the loader for them."""
    if isinstance(include.template, nodes.Const) and isinstance(include.template.value, str):
        include.template.value += "\n"
    return include


def _blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(each, nodes.TemplateData) and not each.data.strip() for each in node.nodes
    )


def _rewritable(choice: Choice, parser: Parser) -> dict[str, list[nodes.Node]]:
    """The options of an open choice, such that other words can stand in their places."""
    found = {}
    for option, (head, tail) in spaces_of(choice.options).items():
        rewriting = nodes.EnvironmentAttribute("rewriting")
        values = [nodes.ContextReference(), *map(nodes.Const, (choice.name, head, tail))]
        start = nodes.Call(rewriting, values, [], None, None, lineno=choice.line)
        found[option] = marked(choice.options[option], parser.free_identifier(choice.line), start)
    return found


def _branches(choice: Choice, bodies: Mapping[str, list[nodes.Node]]) -> nodes.If:
    tests = [
        nodes.If(
            nodes.Compare(
                nodes.Filter(nodes.Name(choice.name, "load", lineno=choice.line), "string", [], [], None, None),
                [nodes.Operand("eq", nodes.Const(option))],
            ),
            body,
            [],
            [],
            lineno=choice.line,
        )
        for option, body in bodies.items()
    ]
    first, *others = tests
    first.elif_ = others
    first.choice = choice  # type: ignore[attr-defined]  # the space is read from the parsed template
    return first


class _Text(str):
    """The template's own text, with the line where it starts."""

    __slots__ = ("line",)
    line: int


class Generator(NativeCodeGenerator):
    """Code that yields what expressions give, so that marks stay objects; texts keep their lines for messages."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> Any:
        const = super()._output_child_to_const(node, frame, finalize)
        if isinstance(node, nodes.TemplateData):
            const = _Text(const)
            const.line = node.lineno
        return const

    def _output_const_repr(self, group: Iterable[Any]) -> str:
        group = list(group)
        if isinstance(group[0], _Text):
            self._write_debug_info = self._last_line = group[0].line
        return super()._output_const_repr(group)


class Environment(ImmutableSandboxedEnvironment):
    """The sandbox with our tags. ``lookup`` finds a template file by name: its parts, and its path for messages."""

    code_generator_class = Generator
    concat = staticmethod(concat)
    turns = staticmethod(turns)
    end_message = Mark(None)
    edge, last_edge = Edge(last=False), Edge(last=True)
    start_system, start_developer = Mark("system"), Mark("developer")
    start_user, start_assistant = Mark("user"), Mark("assistant")
    intercepted_binops = frozenset(("*", "**"))

    def __init__(self, lookup: Callable[[str], tuple[FrontMatter, str] | None]) -> None:
        super().__init__(
            extensions=[Tags], undefined=Unknown, finalize=finalize, autoescape=False,
            cache_size=-1, auto_reload=False,
        )  # fmt: skip
        self.globals.pop("lipsum", None)
        self.filters.pop("random", None)
        self.filters["tojson"] = as_json

        def load(name: str) -> tuple[str, str, None]:
            found = lookup(name.removesuffix("\n"))
            if found is None:
                raise TemplateNotFound(name)
            parts, path = found
            return parts.numbered_lines if name.endswith("\n") else parts.numbered, path, None

        self.loader = FunctionLoader(load)

    @staticmethod
    def rewriting(context: Context, choice: str, head: str, tail: str) -> Words | None:
        """What stands for an open option's words, white space around it, where the scope has other ones."""
        text = context.get(key(choice))
        return None if text is None else words(head + text + tail)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A column called ``items`` is the column, not a dict's method."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Products and powers that would fill the memory are refused."""
        if _product(operator, left, right) > LARGEST:
            raise SecurityError(f"the result of `{operator}` is too large")
        return super().call_binop(context, operator, left, right)


def _product(operator: str, left: Any, right: Any) -> float:
    """How large a product or power is at least: items of a repeated text or list, bits of a power."""
    if operator == "**":
        return left.bit_length() * right if isinstance(left, int) and isinstance(right, int) else 0
    for one, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(one, (str, bytes, list, tuple)):
            return len(one) * times
    return 0
