"""The front matter of a template: description, inputs, choices, answer. YAML 1.2, optional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.records import Slot
from promptlab.yaml_file import read_yaml

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
    problems: list[Problem] = []
    try:
        file = read_yaml(text, path, 2, problems)  # line 1 of the file is the `---`
    except BadInput as error:
        return Front(), list(error.problems)
    loaded = {} if file.value is None else file.value
    if not isinstance(loaded, Mapping):
        remedy = "To start the prompt itself with ---, put an empty line before it."
        return Front(), [*problems, Problem("the front matter must map keys to values", path, 2, remedy)]
    lines = {str(key[-1]): line for key, line in file.lines.items() if key[:-1] in ((), ("choices",)) and key}
    lines |= {key: file.lines[key,] for key in loaded}
    problems += [
        Problem(f"unknown key `{key}` in the front matter", path, lines[key], nearest(key, KEYS))
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


def _choices(raw: Any, path: str, lines: Mapping[str, int]) -> tuple[tuple[Slot, ...], list[Problem]]:
    if raw is None:
        return (), []
    if not isinstance(raw, Mapping):
        return (), [Problem("`choices` must map names to lists of values", path, lines.get("choices", 0))]
    slots, problems = [], []
    for name, values in raw.items():
        at = lines[name]
        if not name.isidentifier():
            problems.append(Problem(f"`{name}` cannot be the name of a choice", path, at, "Use letters, digits and _."))
        elif not isinstance(values, list) or not values or not all(_plain(v) for v in values):
            problems.append(Problem(f"the choice `{name}` needs a list of texts or numbers", path, at))
        elif len(set(values)) < len(values) or len(set(map(str, values))) < len(values):  # 1 is 1.0, and prints as "1"
            problems.append(Problem(f"the choice `{name}` names a value twice", path, at))
        else:
            numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
            slots.append(Slot(name, "number" if numbers else "choice", tuple(values)))
    return tuple(slots), problems


def _plain(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool))


def _answer(raw: Any, path: str, lines: Mapping[str, int]) -> tuple[str | Mapping[str, Any] | None, list[Problem]]:
    if raw is None or isinstance(raw, str):
        return raw, []
    if isinstance(raw, Mapping) and "by" in raw and len(raw) > 1 and all(isinstance(v, str) for v in raw.values()):
        return {str(key): str(value) for key, value in raw.items()}, []
    remedy = "Write `answer: label`, or `answer: {by: CHOICE, VALUE: label, …}`."
    return None, [Problem("`answer` is a parser's name or a mapping by a choice", path, lines.get("answer", 0), remedy)]
