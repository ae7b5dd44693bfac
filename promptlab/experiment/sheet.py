"""The raw experiment file while it is read: values, where each stands, `--set` on top, and the problems so far."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem
from promptlab.yaml_file import Key, printable, read_text, read_yaml

_FREE = ("baseline", "space")  # their keys are names of slots and may hold dots: baseline.bank.k
_SHORT: dict[Key, str] = {("endpoint",): "base_url", ("data", "label"): "column", ("bank",): "from",
                         ("search", "meta"): "name", ("retrieval",): "corpus", ("retrieval", "embedding"): "id",
                         ("retrieval", "model"): "name"}  # fmt: skip
_CREDENTIALS = re.compile(r"(//)[^/\s]*@")


@dataclass(slots=True)
class Sheet:
    """What is known of one file.

    ``places`` maps each key to (file or `--set`, line), ``texts`` are scalars as written, ``files`` what it names,
    ``wrong`` the top-level keys with a problem in them. ``training``: models not trained yet are passed over.
    Built, filled with problems and dropped within one load; nothing of it outlives that but the places.
    """

    path: Path
    source: str
    value: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, tuple[str, int]] = field(default_factory=dict)
    texts: dict[Key, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    wrong: set[str] = field(default_factory=set)
    training: bool = False

    @property
    def folder(self) -> Path:
        """What paths in the file are relative to."""
        return self.path.parent

    def given(self, *key: str | int) -> bool:
        """Whether the file (or `--set`) has a value here, however wrong it is; an empty key has none."""
        value: Any = self.value
        for step in key:
            if isinstance(value, dict):
                value = value.get(str(step))
            else:
                value = value[step] if isinstance(value, list) and isinstance(step, int) else None
        return value is not None

    def add(self, key: Key, message: str, remedy: str = "") -> None:
        """Note a problem at a key, or at the nearest key around it that is there."""
        path, line = self.where(key)
        self.problems.append(Problem(message, path, line, remedy))
        self.wrong |= {str(key[0])} if key else set()

    def where(self, key: Key) -> tuple[str, int]:
        """The file (or `--set key`) and line of a key."""
        return where(self.places, key, str(self.path))

    def name(self, key: Key) -> str:
        """A key as people write it: `models[0].price`; what a short form leaves out is left out here, too."""
        while len(key) > 1 and key not in self.places:
            key = key[:-1]
        return spelt(key)


def where(places: Any, key: Key, path: str) -> tuple[str, int]:
    """The place of a key, or of the nearest key around it."""
    while key and key not in places:
        key = key[:-1]
    found: tuple[str, int] = places[key] if key else (path, 0)
    return found


def spelt(key: Key) -> str:
    """A key in backquotes: names joined by dots, places in lists in brackets."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return f"`{printable(text.removeprefix('.'))}`"


def shown(value: Any) -> str:
    """A value in a message: short, and without the user:password@ of an address."""
    if isinstance(value, (dict, list)):
        return ("a mapping" if isinstance(value, dict) else "a list") if value else "an empty one"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(_CREDENTIALS.sub(r"\1…@", value) if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "…" + text[0] * isinstance(value, str)


def read_sheet(path: Path, overrides: Sequence[str] = ()) -> Sheet:
    """Read the file and put `--set key=value` on top. BadInput: no readable YAML, or no mapping at its top."""
    source = read_text(path)
    problems: list[Problem] = []
    loaded = read_yaml(source, str(path), problems=problems)
    if not isinstance(loaded.value, dict):
        what = "the file is empty" if loaded.value is None else "the file must hold `key: value` lines"
        raise BadInput([*problems, Problem(what, str(path), 1, "It needs data, templates and endpoint.")])
    places = {key: (str(path), line) for key, line in loaded.lines.items() if key}
    sheet = Sheet(path, source, loaded.value, places, dict(loaded.texts), problems)
    for override in overrides:
        _override(sheet, override)
    return sheet


def _override(sheet: Sheet, override: str) -> None:
    dotted, equals, text = override.partition("=")
    origin = f"--set {printable(dotted.strip())}"
    key = _steps(dotted.strip())
    if not equals or not all(key):
        example = "Write it like --set search.budget.calls=500."
        sheet.problems.append(Problem("needs a key, '=' and a value", origin, 0, example))
        return
    try:
        loaded = read_yaml(text, origin)
    except BadInput as error:
        sheet.problems += [Problem(each.message, origin, 0, each.remedy) for each in error.problems]
        return
    target, key = _container(sheet, key, origin)
    if target is None:
        return
    target[key[-1]] = loaded.value
    for known in [each for each in sheet.places if each[: len(key)] == key]:
        del sheet.places[known]
        sheet.texts.pop(known, None)
    sheet.places |= {(*key, *below): (origin, 0) for below in loaded.lines}
    sheet.texts |= {(*key, *below): text for below, text in loaded.texts.items()}


def _steps(dotted: str) -> Key:
    first, dot, rest = dotted.partition(".")
    if first in _FREE:
        return (first, rest) if dot else (first,)
    return tuple(dotted.split("."))


def _container(sheet: Sheet, steps: Key, origin: str) -> tuple[Any, Key]:
    """The mapping or list that an override writes into (made where missing; short forms spelt out), and the key."""
    target: Any = sheet.value
    key: Key = ()
    for place, step in enumerate(steps):
        if isinstance(target, list):
            if not (str(step).isdecimal() and len(str(step)) < 9 and int(step) < len(target)):
                message = f"{spelt(key)} is a list of {len(target)} and has no item {str(step)!r}"
                sheet.problems.append(Problem(message, origin, 0, "Count from 0, or set the whole list."))
                return None, key
            step = int(step)  # noqa: PLW2901 - places in lists are numbers from here on
        elif not isinstance(target, dict):
            message = f"{spelt(key)} is {shown(target)} and has no keys below it"
            sheet.problems.append(Problem(message, origin, 0, f"Set {spelt(key)} itself."))
            return None, key
        key = (*key, step)
        if place < len(steps) - 1:
            target = _below(sheet, target, key, origin)
    return target, key


def _below(sheet: Sheet, target: Any, key: Key, origin: str) -> Any:
    """What stands at the key, made a mapping if it is missing or a short form."""
    value = target.get(key[-1]) if isinstance(target, dict) else target[key[-1]]
    short = "id" if key[0] == "models" and len(key) == 2 else _SHORT.get(key)
    if value is None:
        target[key[-1]] = {}
        sheet.places[key] = (origin, 0)
    elif isinstance(value, str) and short:
        target[key[-1]] = {short: value}
        sheet.places[(*key, short)] = sheet.where(key)
    return target[key[-1]]
