"""Jinja with our tags: roles, turns, choices. Real Jinja otherwise, in the sandbox, with nothing random in scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, TemplateNotFound, nodes
from jinja2.ext import Extension
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from promptlab.template.lines import keep_lines
from promptlab.template.marks import Mark, concat, finalize, turns

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

    tags = {*ROLES, "turns", "choice"}  # noqa: RUF012 - Jinja declares it as an instance attribute

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Dispatch on the tag's name."""
        token = next(parser.stream)
        if token.value == "turns":
            call = nodes.Call(nodes.EnvironmentAttribute("turns"), [parser.parse_expression()], [], None, None)
            return nodes.Output([call], lineno=token.lineno)
        if token.value == "choice":
            return self._choice(parser, token.lineno)
        body = parser.parse_statements((f"name:end{token.value}",), drop_needle=True)
        start = nodes.Output([nodes.EnvironmentAttribute(f"start_{token.value}")], lineno=token.lineno)
        end = nodes.Output([nodes.EnvironmentAttribute("end_message")], lineno=token.lineno)
        return [start, *body, end]

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
        return _branches(Choice(name, options, is_open, line))


def _blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(each, nodes.TemplateData) and not each.data.strip() for each in node.nodes
    )


def _branches(choice: Choice) -> nodes.If:
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
        for option, body in choice.options.items()
    ]
    first, *others = tests
    first.elif_ = others
    first.choice = choice  # type: ignore[attr-defined]  # the space is read from the parsed template
    return first


class Generator(NativeCodeGenerator):
    """Code that yields what expressions give, so that marks stay objects."""


class Environment(ImmutableSandboxedEnvironment):
    """The sandbox with our tags. ``sources`` maps a template's name to (text, path for messages)."""

    code_generator_class = Generator
    concat = staticmethod(concat)
    turns = staticmethod(turns)
    end_message = Mark(None)
    start_system, start_developer = Mark("system"), Mark("developer")
    start_user, start_assistant = Mark("user"), Mark("assistant")

    def __init__(self, lookup: Callable[[str], tuple[str, str] | None]) -> None:
        super().__init__(
            extensions=[Tags], undefined=StrictUndefined, finalize=finalize, trim_blocks=True, lstrip_blocks=True,
            autoescape=False, cache_size=-1, auto_reload=False,
        )  # fmt: skip
        self.globals.pop("lipsum", None)
        self.filters.pop("random", None)

        def load(name: str) -> tuple[str, str, None]:
            found = lookup(name)
            if found is None:
                raise TemplateNotFound(name)
            return keep_lines(found[0]), found[1], None

        self.loader = FunctionLoader(load)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A column called ``items`` is the column, not a dict's method."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)
