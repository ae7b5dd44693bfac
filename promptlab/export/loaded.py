"""An exported prompt read back: `pl.load` of what `export --to jinja` or `--to messages` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from promptlab.errors import BadInput, Problem, nearest
from promptlab.export.form import filled
from promptlab.export.performed import Performed
from promptlab.export.pieces import Hole, Part
from promptlab.export.sheet import FORMAT
from promptlab.finished import without_passages
from promptlab.template import Source
from promptlab.template.template import parse
from promptlab.vote import vote
from promptlab.yaml_file import read_text

Says: TypeAlias = "Callable[[Mapping[str, Any], Sequence[Any]], list[dict[str, str]]]"


@dataclass(frozen=True)
class Loaded:
    """A prompt, or the prompts of an ensemble with their weights, and where they come from.

    ``reads``: passages have to be given to it, [] for none.
    """

    inputs: tuple[str, ...]
    provenance: Mapping[str, Any]
    weights: tuple[float, ...]
    path: str
    reads: bool
    _says: tuple[Says, ...] = field(repr=False)

    def messages(self, *, passages: Sequence[Any] | None = None, **inputs: Any) -> list[dict[str, str]]:
        """The chat messages for one set of inputs. Raises BadInput for passages or inputs that are missing or unknown.

        ``passages``: texts, or mappings with id, text and title, as they were found for these inputs.
        """
        if len(self._says) > 1:
            what = f"this is an ensemble of {len(self._says)} prompts: the messages of one are not its answer"
            raise BadInput(Problem(what, self.path, remedy="Take all_messages(...), ask each, and then vote(answers)."))
        return self.all_messages(passages=passages, **inputs)[0]

    def all_messages(self, *, passages: Sequence[Any] | None = None, **inputs: Any) -> list[list[dict[str, str]]]:
        """The chat messages of every prompt, in order."""
        reads = f"The prompt reads: {', '.join(self.inputs) or 'no inputs'}."
        problems = [
            Problem(f"the input `{each}` is missing", self.path, 0, reads) for each in self.inputs if each not in inputs
        ]
        unknown = [each for each in inputs if each not in self.inputs]
        problems += [
            Problem(f"there is no input `{each}`", self.path, 0, nearest(each, self.inputs)) for each in unknown
        ]
        problems += without_passages(self.reads, passages, self.path)
        if problems:
            raise BadInput(problems)
        return [says(inputs, passages or ()) for says in self._says]

    def vote(self, answers: Sequence[Any]) -> Any:
        """The answer of the prompts together: that of the greatest weight, the first of equals. None is no answer."""
        return answers[vote(answers, self.weights)]


def load(path: str | Path) -> Loaded:
    """Read an exported prompt: its folder, its prompt.json or messages.json, or one template without choices.

    Raises BadInput, saying what is wrong, where there is none.
    """
    try:
        path = Path(path)
    except TypeError:
        remedy = "Give the folder or file that `promptlab export RUN --to jinja` wrote."
        raise BadInput(Problem(f"a path is asked for, not {type(path).__name__}", remedy=remedy)) from None
    if path.is_dir():
        found = [path / name for name in ("prompt.json", "messages.json") if (path / name).is_file()]
        if not found:
            remedy = "promptlab export RUN --to jinja writes one."
            raise BadInput(
                Problem("no exported prompt here: neither prompt.json nor messages.json", str(path), 0, remedy)
            )
        path = found[0]
    if path.suffix != ".json":
        return _template(path)
    sheet = _sheet(path)
    prompts = sheet["prompts"]
    says = tuple(_says(path, each) for each in prompts)
    weights = tuple(float(each.get("weight", 1.0)) for each in prompts)
    reads = any(each.get("passages") is True for each in prompts)
    return Loaded(tuple(sheet.get("inputs", ())), sheet.get("provenance", {}), weights, str(path), reads, says)


def _template(path: Path) -> Loaded:
    """A template file alone."""
    beside = path.with_name("prompt.json")
    if beside.is_file():
        return load(beside)
    text = read_text(path)
    template = parse(path.name, {path.name: Source(text, str(path))})
    lacks = [f"choices ({', '.join(each.name for each in template.slots)})"] if template.slots else []
    lacks += sorted(template.uses & {"demos", "labels"})
    if lacks:
        remedy = "Load the folder that was exported, with its prompt.json."
        raise BadInput(
            Problem(f"the template has {' and '.join(lacks)}, which a file alone does not settle", str(path), 0, remedy)
        )
    performed = Performed({path.name: text}, path.name)
    reads = "passages" in template.uses
    return Loaded(template.inputs, {}, (1.0,), str(path), reads, (_safe(performed, str(path)),))


def _sheet(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        sheet = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        raise BadInput(Problem("this is not JSON", str(path), line, "Export it again.")) from None
    kind = sheet.get("format") if isinstance(sheet, dict) else None
    prompts = sheet.get("prompts") if isinstance(sheet, dict) else None
    if kind != FORMAT or not isinstance(prompts, list) or not prompts or not all(isinstance(e, dict) for e in prompts):
        what = f"this is no exported prompt: `format` is {kind!r}, not {FORMAT!r}, or it holds no prompts"
        raise BadInput(Problem(what, str(path), remedy="promptlab export RUN --to jinja writes one."))
    return dict(sheet)


def _says(path: Path, entry: Mapping[str, Any]) -> Says:
    if "messages" in entry:
        parts = _parts(path, entry["messages"])
        return lambda inputs, _: filled(parts, inputs)
    if "template" not in entry:
        what = "a prompt holds neither `messages` nor a `template`"
        raise BadInput(
            Problem(what, str(path), remedy="Kinds python and openai are for Python to import; take --to jinja.")
        )
    prefix = str(entry["template"]).rpartition("prompt.j2")[0]
    names = [str(entry["template"]), *map(str, entry.get("includes", ()))]
    sources = {name.removeprefix(prefix): read_text(_inside(path, name)) for name in names}
    main = names[0].removeprefix(prefix)
    parse(main, {name: Source(text, str(path.parent / (prefix + name))) for name, text in sources.items()})
    demos = _rows(_inside(path, str(entry["bank"]))) if "bank" in entry else []
    performed = Performed(
        sources, main, entry.get("labels", ()), entry.get("slots", {}), demos, entry.get("choose", {})
    )
    return _safe(performed, str(path.parent / names[0]))


def _safe(performed: Performed, path: str) -> Says:
    """Its messages, with errors of the template as sentences."""

    def says(inputs: Mapping[str, Any], passages: Sequence[Any]) -> list[dict[str, str]]:
        try:
            return performed.messages(inputs, passages)
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(Problem(str(error).partition("\n")[0] or type(error).__name__, path)) from error

    return says


def _inside(path: Path, name: str) -> Path:
    """A file beside prompt.json; never one outside of its folder."""
    found = path.parent / name
    if not found.resolve().is_relative_to(path.parent.resolve()):
        raise BadInput(Problem(f"it names {name!r}, outside of its folder", str(path)))
    return found


def _parts(path: Path, listed: Any) -> tuple[Part, ...]:
    try:
        return tuple(
            Part(each["role"], tuple(p if isinstance(p, str) else Hole(p["input"]) for p in each["content"]))
            for each in listed
        )
    except (TypeError, KeyError):
        what = "`messages` must be a list of {role, content}, content a list of texts and of {input: name}"
        raise BadInput(Problem(what, str(path), remedy="Export it again.")) from None


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in read_text(path).split("\n") if line.strip()]
    except ValueError:
        raise BadInput(Problem("a line of the bank is not JSON", str(path), remedy="Export it again.")) from None
