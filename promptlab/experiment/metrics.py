"""`metrics` of an experiment: their names and options; judges with rubric, model, scale and human scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from promptlab.errors import BadInput, nearest
from promptlab.experiment.data import Data, existing_file
from promptlab.experiment.fields import is_number
from promptlab.experiment.file import EndpointFile, ModelFile
from promptlab.experiment.models import read_meta
from promptlab.experiment.search import MetricSpec
from promptlab.experiment.sheet import Sheet, shown, spelt
from promptlab.metrics import METRICS
from promptlab.records import Model
from promptlab.yaml_file import Key, read_text

JUDGES: Mapping[str, tuple[str, ...]] = {
    "judge": ("rubric", "model", "scale", "with_label", "human"),
    "pairwise": ("rubric", "model", "against", "with_label", "human"),
}
"""Metrics that ask a model, and their options."""
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_TEXTS = (".md", ".txt")  # what a rubric's file ends in
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")


@dataclass(frozen=True, slots=True)
class HumanScores:
    """Where people's scores of outputs are: in a file of their own, or (``path`` None) in columns of the data.

    ``example`` is the column of the rows' ids in such a file.
    """

    path: Path | None
    score: str = "human"
    output: str = "output"
    example: str = "example"


@dataclass(frozen=True, slots=True)
class Jury:
    """The judges of an experiment, by the metric that each is: who is asked, and what people said."""

    models: Mapping[str, Model]
    human: Mapping[str, HumanScores]


def read_metrics(sheet: Sheet, value: Any) -> dict[str, MetricSpec]:
    """Metrics by name; a spec alone is the metric `main`, and `exact` is the default."""
    if value is None:
        return {"main": MetricSpec("exact")}
    alone = not isinstance(value, dict) or set(value) in ({"judge"}, {"pairwise"})
    named = {"main": value} if alone else value
    found: dict[str, MetricSpec] = {}
    for name, each in named.items():
        key: Key = ("metrics",) if alone else ("metrics", name)
        options = dict(each) if isinstance(each, dict) else {}
        if isinstance(each, dict) and set(each) in ({"judge"}, {"pairwise"}):
            [spec] = each
            judge = _judge(sheet, (*key, spec), spec, each[spec])
            found |= {name: judge} if judge else {}
            continue
        spec = options.pop("metric", None) if isinstance(each, dict) else each
        if not isinstance(spec, str) or not spec.strip():
            remedy = "Write a name, package.module:name, or {metric: name, option: value}."
            sheet.add(key, f"{sheet.name(key)} must name a metric, not {shown(spec)}", remedy)
        elif _known(sheet, key, spec):
            found[name] = MetricSpec(spec, options)
    return found


def _known(sheet: Sheet, key: Key, spec: str) -> bool:
    head = spec.partition(":")[0]
    if head in JUDGES:
        remedy = f"Like {{{head}: {{rubric: …}}}}."
        sheet.add(key, f"{sheet.name(key)}: {head!r} needs a rubric", remedy)
        return False
    if head in METRICS or _OWN.fullmatch(spec):
        return True
    sheet.add(key, f"{sheet.name(key)}: there is no {spec!r}", nearest(spec, METRICS) + " Or package.module:name.")
    return False


def _judge(sheet: Sheet, key: Key, spec: str, value: Any) -> MetricSpec | None:
    """A judge with its rubric read and its options checked; who is asked is read by ``read_jury``."""
    before = len(sheet.problems)
    if isinstance(value, str):
        value = {"rubric": value}
    if not isinstance(value, dict):
        remedy = f"Like {spec}: {{rubric: …}}."
        sheet.add(key, f"{spelt(key)} must be a rubric, or a mapping with one, not {shown(value)}", remedy)
        return None
    options = {name: each for name, each in value.items() if each is not None}
    for name in [each for each in options if each not in JUDGES[spec]]:
        sheet.add((*key, name), f"unknown key {spelt((*key, name))}", nearest(name, JUDGES[spec]))
    kept: dict[str, Any] = {"rubric": _rubric(sheet, (*key, "rubric"), options.get("rubric"))}
    if "scale" in options and spec == "judge":
        kept["scale"] = _scale(sheet, (*key, "scale"), options["scale"])
    if "with_label" in options:
        kept["with_label"] = options["with_label"]
        if not isinstance(kept["with_label"], bool):
            at = (*key, "with_label")
            sheet.add(at, f"{spelt(at)} must be true or false, not {shown(kept['with_label'])}")
    if options.get("against", "baseline") != "baseline":
        at = (*key, "against")
        sheet.add(
            at,
            f"{spelt(at)} must be baseline, not {shown(options['against'])}",
            "Which variant that is, the key `baseline` says.",
        )
    return MetricSpec(spec, kept) if len(sheet.problems) == before else None


def _rubric(sheet: Sheet, key: Key, value: Any) -> str:
    """The rubric: the text itself, or that of a file (.md or .txt)."""
    if value is None:
        sheet.add(key[:-1], f"{spelt(key)} is missing", "Say what makes an output good, or name a file that does.")
        return ""
    if not isinstance(value, str) or not value.strip():
        sheet.add(key, f"{spelt(key)} must be text, or a file with text, not {shown(value)}")
        return ""
    if "\n" in value.strip() or Path(value.strip()).suffix.lower() not in _TEXTS or " " in value.strip():
        return value
    before = len(sheet.problems)
    path = existing_file(sheet, key, value.strip())
    if len(sheet.problems) > before:
        return ""
    try:
        text = read_text(path)
    except BadInput as error:
        sheet.problems += error.problems
        return ""
    if not text.strip():
        sheet.add(key, f"{spelt(key)}: {value!r} is empty")
    return text


def _scale(sheet: Sheet, key: Key, value: Any) -> tuple[float, float]:
    """The worst and the best score that there is."""
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        sheet.add(key, f"{spelt(key)} must be the worst and the best score, not {shown(value)}", "Like [1, 5].")
    elif value[0] >= value[1]:
        what = f"{spelt(key)} must go up, from the worst score to the best, and {value[0]} is not below {value[1]}"
        sheet.add(key, what, f"Like [{value[1]}, {value[0]}]." if value[0] > value[1] else "Like [1, 5].")
    else:
        return value[0], value[1]
    return 1, 5


def read_jury(
    sheet: Sheet, endpoint: EndpointFile | None, metrics: Mapping[str, MetricSpec], models: Sequence[Model]
) -> Jury:
    """Who is asked for each judge, and where people's scores are. The first model judges where none is named."""
    asked: dict[str, Model] = {}
    human: dict[str, HumanScores] = {}
    for name, key, said in _declared(sheet):
        before = len(sheet.problems)
        file = _model_file(sheet, (*key, "model"), said.get("model"))
        wrong = len(sheet.problems) > before
        model = None if wrong else read_meta(sheet, endpoint, file, models, (*key, "model"))
        asked |= {name: model} if model and name in metrics else {}
        if said.get("human") is not None:
            found = _human(sheet, (*key, "human"), said["human"])
            human |= {name: found} if found else {}
    return Jury(asked, human)


def _declared(sheet: Sheet) -> list[tuple[str, Key, Mapping[str, Any]]]:
    """Every judge that the file names, right or wrong in other ways: the metric, its key, what is said of it."""
    value = sheet.value.get("metrics")
    named = value if isinstance(value, dict) else {}
    alone = [("main", ("metrics", each), named[each]) for each in JUDGES if set(named) == {each}]
    nested = [
        (str(name), ("metrics", name, each), said[each])
        for name, said in named.items()
        for each in JUDGES
        if not alone and isinstance(said, dict) and set(said) == {each}
    ]
    return [(name, key, said if isinstance(said, dict) else {}) for name, key, said in (*alone, *nested)]


def _model_file(sheet: Sheet, key: Key, value: Any) -> ModelFile | None:
    """A model's name, or a model of its own; None where none is named, and where it is wrong and a problem says so."""
    if value is None:
        return None
    if isinstance(value, str) and value.strip():
        return ModelFile(name=value)
    if isinstance(value, dict):
        try:
            return ModelFile.model_validate(value)
        except ValidationError as errors:
            for error in errors.errors(include_url=False):
                at = (*key, *error["loc"])
                if error["type"] == "extra_forbidden":
                    sheet.add(at, f"unknown key {spelt(at)}", nearest(str(at[-1]), ModelFile.model_fields))
                    continue
                context = error.get("ctx", {}) if error["type"] == "plain" else {}
                told = "" if context.get("hide") else f", not {shown(error['input'])}"
                phrase = context.get("phrase", "be something else")
                sheet.add(at, f"{spelt(at)} must {phrase}{told}", context.get("remedy", ""))
            return None
    sheet.add(key, f"{spelt(key)} must be the name of one of `models`, or a mapping with id, not {shown(value)}")
    return None


def _human(sheet: Sheet, key: Key, value: Any) -> HumanScores | None:
    """A file of outputs that people scored, or {score: COLUMN, output: COLUMN} of the data itself."""
    said = {"path": value} if isinstance(value, str) and Path(value).suffix.lower() in _TABLES else value
    if isinstance(said, str):
        remedy = f"Write {{score: {said}, output: COLUMN}}, or name a file with example, output and human."
        sheet.add(key, f"{spelt(key)}: which text did people score in the column {said!r}?", remedy)
        return None
    known = ("path", "score", "output", "example")
    if not isinstance(said, dict) or not all(isinstance(each, str) and each.strip() for each in said.values()):
        remedy = "Like human: scores.csv, or {score: COLUMN, output: COLUMN}."
        sheet.add(key, f"{spelt(key)} must be a file, or columns of the data, not {shown(said)}", remedy)
        return None
    wrong = [name for name in said if name not in known]
    for name in wrong:
        sheet.add((*key, name), f"unknown key {spelt((*key, name))}", nearest(name, known))
    if "path" not in said and not {"score", "output"} <= set(said):
        remedy = "score is the column of people's scores, output that of the texts they scored."
        sheet.add(key, f"{spelt(key)} needs score and output", remedy)
        return None
    if wrong:
        return None
    path = existing_file(sheet, key, said["path"]) if "path" in said else None
    return replace(HumanScores(path), **{name: each for name, each in said.items() if name != "path"})


def apart(sheet: Sheet, data: Data, jury: Jury) -> Data:
    """The data with the columns of people's scores kept out of the inputs: neither prompt nor judge may see them."""
    own = [told for told in jury.human.values() if told.path is None]
    for told in own:
        if told.score in data.columns.inputs.values():
            what = f"`data.inputs` holds the column of human scores {told.score!r}: the judge would see them"
            sheet.add(("data", "inputs"), what, "Take it out of inputs.")
    named = tuple(dict.fromkeys(name for told in own for name in (told.score, told.output)))
    return replace(data, columns=replace(data.columns, apart=named)) if named else data
