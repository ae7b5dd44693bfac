"""YAML 1.2 with a line for every key: plain Python values, where each came from, how each was written.

Only the core schema is resolved: `no` and `2001-01-01` are text, `01` and `1e3` are numbers. Keys are always
text, exactly as written. Duplicate keys are problems that name both lines.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from promptlab.errors import BadInput, Problem

Key: TypeAlias = tuple[str | int, ...]
"""A place in a document: ("data", "inputs", 0) is the first item of `inputs` under `data`."""

_DEEPEST = 40
_LARGEST = 200_000
_CORE = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False, ".inf": math.inf, ".nan": math.nan}
_WORDS |= {"+.inf": math.inf, "-.inf": -math.inf}
_INDENT = "Check the indent: spaces only, aligned with the neighbours."
_QUOTES = "Put the text into quotes."
_SYNTAX = (  # what ruamel says (a part of it) → the sentence, the remedy
    ("mapping values", "a ':' stands where no key can be", "Quote text that holds ': ', and check the indent."),
    ("character '\\t'", "a tab cannot indent YAML", "Use spaces."),
    ("cannot start any token", "text cannot start with this character in YAML", _QUOTES),
    ("unexpected end of stream", "a quote is opened here and never closed", "Close it."),
    ("undefined alias", "'*' refers to an anchor, and there is no anchor of this name", _QUOTES),
    ("escape character", "no escape of this name (a backslash in double quotes)", "Use single quotes."),
    ("another document", "a second document starts here ('---')", "Keep one document a file."),
    ("expected ':'", "this is neither `key: value` nor part of the line above", _INDENT),
    ("expected <block end>", "this line does not fit the indent of the lines above", _INDENT),
    ("expected '<document start>'", "this line does not fit the indent of the lines above", _INDENT),
    ("expected ',' or", "a bracket is opened and never closed, or a comma is missing", "Close it."),
    ("expected the node content", "a bracket is not closed, or a value is missing", "Close it, or give the value."),
)


@dataclass(frozen=True, slots=True)
class YamlFile:
    """A document: its ``value``, the 1-based line of every key and item, the scalars as they were written."""

    value: Any
    lines: Mapping[Key, int]
    texts: Mapping[Key, str]


@dataclass(slots=True)
class _Reader:
    """Builds values out of ruamel's nodes and gathers what is wrong on the way."""

    path: str
    first_line: int
    lines: dict[Key, int] = field(default_factory=dict)
    texts: dict[Key, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, mark: Any) -> int:
        return int(mark.line) + self.first_line if mark is not None else 0

    def add(self, message: str, mark: Any, remedy: str = "") -> None:
        self.problems.append(Problem(message, self.path, self.line(mark), remedy))

    def value(self, node: Any, key: Key) -> Any:
        """The plain value of a node; an alias is read as a copy of what it names."""
        self.lines.setdefault(key, self.line(node.start_mark))
        if len(key) > _DEEPEST or len(self.lines) > _LARGEST:
            raise BadInput(
                [
                    Problem(
                        "too deeply nested, too large, or an anchor that holds itself",
                        self.path,
                        self.line(node.start_mark),
                    )
                ]
            )
        if not node.tag.startswith(_CORE) and node.tag != "!":
            self.add(f"the tag {node.tag!r} is not known here", node.start_mark, "Leave it out.")
            return None
        if node.id == "mapping":
            return self.mapping(node, key)
        if node.id == "sequence":
            return [self.value(item, (*key, place)) for place, item in enumerate(node.value)]
        return self.scalar(node, key)

    def mapping(self, node: Any, key: Key) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = name_node.value
            if not isinstance(name, str):
                self.add(
                    "a list or a mapping cannot be a key",
                    name_node.start_mark,
                    "Put text with brackets into quotes.",
                )
            elif name in found:
                first = self.lines[(*key, name)]
                again = self.line(name_node.start_mark)
                self.add(
                    f"the key `{printable(name)}` is given twice, on lines {first} and {again}",
                    name_node.start_mark,
                    "Keep one of them.",
                )
            else:
                self.lines[(*key, name)] = self.line(name_node.start_mark)
                found[name] = self.value(value_node, (*key, name))
                self.check_text(name, name_node)
        return found

    def scalar(self, node: Any, key: Key) -> Any:
        text: str = node.value
        self.texts[key] = text
        self.check_text(text, node)
        if node.tag in {_CORE + "str", "!"}:
            return text
        if text.lower() in _WORDS and text in {
            text.lower(),
            text.upper(),
            text.capitalize(),
            ".NaN",
            ".Inf",
            "-.Inf",
            "+.Inf",
        }:
            return _WORDS[text.lower()]
        try:
            if _INT.fullmatch(text):
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            return float(text) if _FLOAT.fullmatch(text) else text
        except ValueError:  # Python reads no integer past 4,300 digits
            self.add("this number has too many digits", node.start_mark, "Put it into quotes if it is text.")
            return None

    def check_text(self, text: str, node: Any) -> None:
        """Refuse what UTF-8 cannot carry: an escape may spell half a character."""
        if any("\ud800" <= char <= "\udfff" for char in text):
            self.add("an escape like \\ud83d is half a character", node.start_mark, "Write the character itself.")


def read_yaml(text: str, path: str, first_line: int = 1, problems: list[Problem] | None = None) -> YamlFile:
    """Read one document. ``path`` is for messages; ``first_line`` is where its first line stands in that file.

    Raises BadInput. With ``problems`` given, what still leaves a usable value (of duplicate keys the first one
    holds) is put there instead, so that a caller can name all problems at once.
    """
    reader = _Reader(path, first_line)
    node = _compose(text.removeprefix("\ufeff"), reader)
    value = None if node is None else reader.value(node, ())
    if problems is None and reader.problems:
        raise BadInput(reader.problems)
    (problems if problems is not None else []).extend(reader.problems)
    return YamlFile(value, reader.lines, reader.texts)


def printable(text: str) -> str:
    """One line of it: whatever cannot be printed as its escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; BadInput where it cannot be read or is something else."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadInput([Problem("this is not UTF-8 text", str(path), line, "Save the file as UTF-8.")]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise BadInput([Problem(f"cannot be read: {reason}", str(path))]) from None


def _compose(text: str, reader: _Reader) -> Any:
    """Compose the node tree; an error of the library becomes a sentence."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return _nodes(text)
    except MarkedYAMLError as error:
        problem, mark = _sentence(error)
        line = reader.line(mark)
    except YAMLError as error:  # a control character: the reader's error holds a place and no line
        position = int(getattr(error, "position", 0))
        line = text.count("\n", 0, position) + reader.first_line
        problem = ("a control character, which YAML does not allow", "Remove it.")
    except (ValueError, OverflowError):
        line, problem = 0, ("an escape names a character that does not exist", "Write the character itself.")
    except RecursionError:
        line, problem = 0, ("the brackets are too deeply nested", "")
    except (
        AttributeError,
        IndexError,
        TypeError,
        AssertionError,
        KeyError,
    ):  # ruamel on malformed tags and directives
        line, problem = 0, ("this is not YAML", "Check tags ('!') and directives ('%').")
    raise BadInput([Problem(problem[0], reader.path, line, problem[1])])


@lru_cache(maxsize=32)
def _nodes(text: str) -> Any:
    """The node tree, which nobody changes: one command reads the same front matter and experiment several times."""
    from ruamel.yaml import YAML

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an anchor may be given again in YAML 1.2
        return YAML(typ="safe", pure=True).compose(text)


def _sentence(error: Any) -> tuple[tuple[str, str], Any]:
    """A readable sentence with its remedy, and its mark; the file's own text is never repeated."""
    said = str(error.problem or "")
    for part, message, remedy in _SYNTAX:
        if part in said:
            opened = "opened" in message and error.context_mark is not None
            return (message, remedy), error.context_mark if opened else error.problem_mark
    return (
        "this is not YAML",
        "Check indents, colons, quotes and brackets.",
    ), error.problem_mark or error.context_mark
