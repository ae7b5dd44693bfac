"""The configuration as a file that nobody trusts: nothing in it is executed, no variable and no address is read.

Files that it names are read only where they stand below its own folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.yaml_file import printable, read_text, read_yaml

LARGEST = 50_000_000  # bytes of a file that is read


@dataclass(slots=True)
class Source:
    """The parsed file, and what was left out of it so far, in the order in which it was met."""

    path: Path
    config: Mapping[str, Any]
    left: list[str] = field(default_factory=list)

    def leave(self, what: str) -> None:
        """Say once that something has no counterpart."""
        line = " ".join(printable(what).split())
        if line not in self.left:
            self.left.append(line)

    def file(self, name: str) -> Path | None:
        """The file that ``file://…`` or a plain path names; None, and said, where it may not or cannot be read."""
        text = name.removeprefix("file://")
        home = self.path.parent.resolve()
        try:
            found = (home / text).resolve()
            inside = found.is_relative_to(home)
            there = inside and found.is_file()
        except (OSError, ValueError):
            inside, there = True, False
        if not inside:
            self.leave(f"the file {text!r}: it is outside of the configuration's folder")
        elif not there:
            self.leave(f"the file {text!r}: there is no such file")
        elif found.stat().st_size > LARGEST:
            self.leave(f"the file {text!r}: it is larger than {LARGEST // 1_000_000} MB")
        else:
            return found
        return None


def read_source(path: Path) -> Source:
    """Read promptfooconfig.yaml or .json. Raises BadInput where it is neither."""
    if path.is_dir():
        found = [
            path / f"promptfooconfig.{end}"
            for end in ("yaml", "yml", "json")
            if (path / f"promptfooconfig.{end}").is_file()
        ]
        if not found:
            raise BadInput(Problem("there is no promptfooconfig.yaml in this folder", str(path)))
        path = found[0]
    if path.suffix not in (".yaml", ".yml", ".json"):
        remedy = "A configuration in JavaScript or Python would have to be run: save it as YAML first."
        raise BadInput(Problem("only YAML and JSON configurations are read", str(path), remedy=remedy))
    value = read_yaml(read_text(path), str(path)).value
    if not isinstance(value, dict) or not {"prompts", "tests", "providers", "targets"} & set(value):
        remedy = "It should hold prompts, providers and tests."
        raise BadInput(Problem("this is no promptfoo configuration", str(path), 1, remedy))
    return Source(path, value)


def listed(value: Any) -> list[Any]:
    """A list; one thing alone is one, nothing none."""
    return [] if value is None else value if isinstance(value, list) else [value]
