"""Every problem of an experiment file's shape, as a plain sentence: unknown keys, wrong kinds of values, secrets."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from promptlab.errors import BadInput, nearest
from promptlab.experiment.file import (
    BankFile,
    BudgetFile,
    ChooseFile,
    ChunkFile,
    CorpusFile,
    DataFile,
    DesignFile,
    EndpointFile,
    ExperimentFile,
    LabelFile,
    ModelFile,
    Part,
    PathsFile,
    PriceFile,
    RetrievalFile,
    SearchFile,
    SplitFile,
    TuneFile,
    TunePriceFile,
    names_of,
)
from promptlab.experiment.sheet import Sheet, shown, spelt
from promptlab.yaml_file import Key

_PARTS: dict[Key, type[Part]] = {
    (): ExperimentFile,
    ("endpoint",): EndpointFile,
    ("models", "*"): ModelFile,
    ("models", "*", "price"): PriceFile,
    ("data",): DataFile,
    ("data", "path"): PathsFile,
    ("data", "label"): LabelFile,
    ("data", "split"): SplitFile,
    ("bank",): BankFile,
    ("retrieval",): RetrievalFile,
    ("retrieval", "corpus", "*"): CorpusFile,
    ("retrieval", "chunk", "*"): ChunkFile,
    ("retrieval", "embedding"): ModelFile,
    ("retrieval", "embedding", "price"): PriceFile,
    ("retrieval", "model"): ModelFile,
    ("retrieval", "model", "price"): PriceFile,
    ("search",): SearchFile,
    ("search", "budget"): BudgetFile,
    ("choose",): ChooseFile,
    ("search", "design"): DesignFile,
    ("search", "meta"): ModelFile,
    ("search", "meta", "price"): PriceFile,
    ("tune",): TuneFile,
    ("tune", "price"): TunePriceFile,
}
_ASKED: tuple[Key, ...] = (("search", "meta"), ("retrieval", "embedding"), ("retrieval", "model"))
_PLAIN = {
    "list_type": "be a list",
    "dict_type": "be a mapping (`key: value` lines)",
    "model_type": "be a mapping (`key: value` lines)",
}
_TEXTS = {"data", "bank", "space", "baseline"}  # their keys are names of columns, labels and slots


def check_shape(sheet: Sheet) -> ExperimentFile:
    """The file as a model. Wrong parts are noted as problems and left out, so that the rest can still be checked."""
    raw = copy.deepcopy(sheet.value)
    for key, value in list(_walk(raw)):
        if _is_secret(key):
            remedy = "Keys do not belong into files: name the environment variable in api_key_env."
            sheet.add(key, f"{spelt(key)} holds an API key", remedy)
            _cut(raw, key)
        elif isinstance(value, float) and not math.isfinite(value):
            sheet.add(key, f"{sheet.name(key)} must be a finite number, not {value}")
            _cut(raw, key)
    for _ in range(20):
        try:
            return ExperimentFile.model_validate(raw)
        except ValidationError as errors:
            for error in errors.errors(include_url=False):
                _report(sheet, error)
                _cut(raw, error["loc"])
    raise BadInput(sheet.problems)


def _report(sheet: Sheet, error: ErrorDetails) -> None:
    key = error["loc"]
    if error["type"] == "extra_forbidden":
        sheet.add(key, f"unknown key {spelt(key)}", _known(key))
        return
    context = error.get("ctx", {}) if error["type"] == "plain" else {}
    phrase = context.get("phrase") or _PLAIN.get(error["type"], "be something else")
    value = "" if context.get("hide") else f", not {shown(error['input'])}"
    sheet.add(key, f"{sheet.name(key)} must {phrase}{value}", context.get("remedy", ""))


def _known(key: Key) -> str:
    """The remedy for an unknown key: where it belongs, or the nearest key that there is."""
    *around, name = ("*" if isinstance(part, int) else part for part in key)
    elsewhere = [
        spelt(place[:1] if "*" in place else place)
        for place, part in _PARTS.items()
        if place and place[:2] not in _ASKED and name in names_of(part)
    ]
    if elsewhere and len(elsewhere) < 3 and tuple(around) not in {("models", "*"), *_ASKED}:
        return f"It belongs under {' or '.join(elsewhere)}."
    return nearest(str(name), names_of(_PARTS[tuple(around)]))


def _cut(raw: Any, key: Key) -> bool:
    """Take the innermost named part on the way to a key out of the raw value."""
    if len(key) == 2 and key[0] == "models" and isinstance(raw.get("models"), list):
        raw["models"][key[1]] = {}  # the other models keep their places
        return True
    inner: tuple[dict[str, Any], str] | None = None
    for step in key:
        if isinstance(raw, dict) and step in raw:
            inner = (raw, str(step))
            raw = raw[step]
        elif isinstance(raw, list) and isinstance(step, int):
            raw = raw[step]
        else:
            break
    if inner:
        inner[0].pop(inner[1])
    return inner is not None


def _walk(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key with its value, outside in."""
    if key:
        yield key, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, below in items:
        yield from _walk(below, (*key, name))


def _is_secret(key: Key) -> bool:
    """Whether somebody wrote an API key here. Under data, bank, space, baseline keys are columns, labels and slots."""
    plain = re.sub(r"[^a-z]", "", str(key[-1]).lower())
    return key[0] not in _TEXTS and (plain.endswith("apikey") or plain in {"authorization", "apitoken"})
