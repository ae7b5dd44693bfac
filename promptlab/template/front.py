"""The front matter of a template: description, inputs, choices, answer. YAML 1.2, optional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.errors import Problem, nearest
from promptlab.records import Slot

KEYS = ("description", "inputs", "choices", "answer")


@dataclass(frozen=True, slots=True)
class Front:
    """The parsed front matter; ``lines`` maps keys and choice names to 1-based lines of the file."""

    description: str = ""
    inputs: tuple[str, ...] = ()
    declares_inputs: bool = False
    choices: tuple[Slot, ...] = ()
    answer: str | Mapping[str, Any] | None = None
    lines: Mapping[str, int] = field(default_factory=dict)

    def line(self, key: str) -> int:
        """The line where a key or choice stands; 0 if unknown."""
        return self.lines.get(key, 0)


def read_front(text: str, path: str) -> tuple[Front, list[Problem]]:
    """Parse and check; every problem at once."""
    if not text.strip():
        return Front(), []
    loaded, problem = _load(text, path)
    if problem or loaded is None:
        return Front(), [problem] if problem else []
    if not isinstance(loaded, Mapping):
        return Front(), [Problem("the front matter must be a mapping of keys to values", path, 2)]
    lines = _lines(loaded)
    problems = [
        Problem(f"unknown key `{key}` in the front matter", path, lines.get(str(key), 0), nearest(str(key), KEYS))
        for key in loaded
        if key not in KEYS
    ]
    inputs = loaded.get("inputs")
    if inputs is not None and not (isinstance(inputs, list) and all(isinstance(each, str) for each in inputs)):
        problems.append(Problem("`inputs` must be a list of column names", path, lines.get("inputs", 0)))
        inputs = []
    choices, more = _choices(loaded.get("choices"), path, lines)
    problems += more
    answer, more = _answer(loaded.get("answer"), path, lines)
    problems += more
    description = str(loaded.get("description") or "")
    return Front(description, tuple(inputs or ()), inputs is not None, choices, answer, lines), problems


def _load(text: str, path: str) -> tuple[Any, Problem | None]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="rt").load(text), None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark is not None else 0  # line 1 of the file is the `---`
        what = str(getattr(error, "problem", "") or error).split("\n")[0]
        return None, Problem(f"the front matter is not valid YAML: {what}", path, line)


def _lines(loaded: Any) -> dict[str, int]:
    lines: dict[str, int] = {}
    for level in (loaded.get("choices"), loaded):
        if hasattr(level, "lc"):
            lines |= {str(key): level.lc.key(key)[0] + 2 for key in level}
    return lines


def _choices(raw: Any, path: str, lines: Mapping[str, int]) -> tuple[tuple[Slot, ...], list[Problem]]:
    if raw is None:
        return (), []
    if not isinstance(raw, Mapping):
        return (), [Problem("`choices` must map names to lists of values", path, lines.get("choices", 0))]
    slots, problems = [], []
    for name, values in raw.items():
        at = lines.get(str(name), 0)
        if not str(name).isidentifier():
            problems.append(Problem(f"`{name}` cannot be the name of a choice", path, at, "Use letters, digits and _."))
        elif not isinstance(values, list) or not values or not all(_plain(v) for v in values):
            problems.append(Problem(f"the choice `{name}` needs a list of texts or numbers", path, at))
        elif len({(type(v), v) for v in values}) < len(values):
            problems.append(Problem(f"the choice `{name}` names a value twice", path, at))
        else:
            kind = (
                "number" if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values) else "choice"
            )
            slots.append(Slot(str(name), kind, tuple(_own(v) for v in values)))  # type: ignore[arg-type]
    return tuple(slots), problems


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool))


def _own(value: Any) -> Any:
    """A plain value instead of the YAML library's subclass that remembers its spelling."""
    for kind in (bool, str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value


def _answer(raw: Any, path: str, lines: Mapping[str, int]) -> tuple[str | Mapping[str, Any] | None, list[Problem]]:
    if raw is None or isinstance(raw, str):
        return raw, []
    if isinstance(raw, Mapping) and "by" in raw and len(raw) > 1 and all(isinstance(v, str) for v in raw.values()):
        return {str(key): str(value) for key, value in raw.items()}, []
    remedy = "Write `answer: label`, or `answer: {by: CHOICE, VALUE: label, …}`."
    return None, [Problem("`answer` is a parser's name or a mapping by a choice", path, lines.get("answer", 0), remedy)]
