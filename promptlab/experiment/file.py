"""The shape of experiment.yaml, and every problem of its shape as a plain sentence.

All fields are optional here: what is required, and what must fit together, is checked where the parts are built,
so that a wrong shape hides no other problem.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from promptlab.errors import BadInput, nearest
from promptlab.experiment.fields import (
    Address,
    Amount,
    Count,
    Counts,
    Flag,
    Order,
    Positive,
    Select,
    Sep,
    Share,
    Some,
    Text,
    Texts,
    Variable,
    Whole,
    listed,
    one_of,
    refused,
    several,
    short,
)  # fmt: skip
from promptlab.experiment.sheet import Sheet, shown, spelt
from promptlab.yaml_file import Key


class Part(BaseModel):
    """A mapping of the file: unknown keys are errors, a key without a value counts as not given."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: each for key, each in value.items() if each is not None or key not in names_of(cls)}


class PriceFile(Part):
    """US dollars per million tokens."""

    input: Amount | None = None
    cached: Amount | None = None
    output: Amount | None = None


class EndpointFile(Part):
    """`endpoint`: embedded, or where requests go."""

    base_url: Address | None = None
    api_key_env: Variable | None = None
    concurrency: Count | None = None
    rpm: Positive | None = None
    tpm: Positive | None = None
    timeout: Positive | None = None
    max_retries: Whole | None = None
    max_errors: Share | None = None
    mode: Annotated[str, one_of("pool", "batch")] | None = None


class ModelFile(Part):
    """An item of `models`."""

    id: Text | None = None
    name: Text | None = None
    base_url: Address | None = None
    api_key_env: Variable | None = None
    price: PriceFile | None = None
    params: dict[str, Any] | None = None


class LabelFile(Part):
    """`data.label`: a column, or a column of several accepted answers."""

    column: Text | None = None
    many: Annotated[str, one_of("any", "all")] | None = None
    sep: Sep | None = None


def _split(value: Any) -> Any:
    if value != "all" and not isinstance(value, dict):
        raise refused("be `all`, or a mapping like {dev: 0.5, test: 0.5}")
    return {"all": True} if value == "all" else value


class SplitFile(Part):
    """`data.split`: all, shares, or a column that says it."""

    all: Flag = False
    train: Share | None = None
    dev: Share | None = None
    test: Share | None = None
    column: Text | None = None
    group: Text | None = None
    seed: Whole | None = None


class PathsFile(Part):
    """`data.path`: one file, or one for each split."""

    all: Text | None = None
    train: Text | None = None
    dev: Text | None = None
    test: Text | None = None


class DataFile(Part):
    """`data`: the labelled set."""

    path: Annotated[PathsFile, short("all")] | None = None
    inputs: Some | None = None
    label: Annotated[LabelFile, short("column")] | None = None
    labels: Some | None = None
    split: Annotated[SplitFile, BeforeValidator(_split)] | None = None
    id: Text | None = None
    group: Text | None = None
    weight: Text | None = None
    passages: Text | None = None


class BankFile(Part):
    """`bank`: where demos come from and how they are chosen."""

    from_: Text | None = Field(default=None, alias="from")
    k: Counts | None = None
    select: Select | None = None
    seeds: Counts | None = None
    order: Order | None = None
    inputs: Some | None = None
    label: Text | None = None
    id: Text | None = None
    passages: Text | None = None


class BudgetFile(Part):
    """`search.budget`: hard caps."""

    calls: Count | None = None
    tokens: Count | None = None
    usd: Positive | None = None
    minutes: Positive | None = None


class SearchFile(Part):
    """`search`: what to try, where to spend, what counts."""

    propose: Annotated[list[Some], listed] | None = None
    allocate: Some | None = None
    objective: Some | None = None
    budget: BudgetFile | None = None
    finalists: Count | None = None
    repeats: Count | None = None


class ExperimentFile(Part):
    """The whole file."""

    name: Text | None = None
    endpoint: Annotated[EndpointFile, short("base_url", "be `embedded`, or a mapping with base_url")] | None = None
    models: (
        Annotated[list[Annotated[ModelFile, short("id", "be a model's id, or a mapping with id")]], several] | None
    ) = None
    params: dict[str, Any] | None = None
    data: DataFile | None = None
    templates: Texts | None = None
    bank: Annotated[BankFile, short("from")] | None = None
    space: dict[str, Any] | None = None
    answer: Text | None = None
    metrics: Some | None = None
    baseline: dict[str, Any] | None = None
    search: SearchFile | None = None
    seed: Whole | None = None


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
    ("search",): SearchFile,
    ("search", "budget"): BudgetFile,
}
_NOT_YET: tuple[Key, ...] = (("retrieval",), ("tune",), ("search", "meta"))
_PLAIN = {
    "list_type": "be a list",
    "dict_type": "be a mapping (`key: value` lines)",
    "model_type": "be a mapping (`key: value` lines)",
}
_TEXTS = {"data", "bank", "space", "baseline"}  # their keys are names of columns, labels and slots


def names_of(part: type[Part]) -> list[str]:
    """The keys that a mapping of the file may have."""
    return [field.alias or name for name, field in part.model_fields.items()]


def check_shape(sheet: Sheet) -> ExperimentFile:
    """The file as a model. Wrong parts are noted as problems and left out, so that the rest can still be checked."""
    raw = copy.deepcopy(sheet.value)
    for key in _NOT_YET:
        if sheet.given(*key) and _cut(raw, key):
            sheet.add(key, f"{spelt(key)} is not available yet in this version", "Leave it out for now.")
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
        if place and name in names_of(part)
    ]
    if elsewhere and len(elsewhere) < 3 and tuple(around) not in {("models", "*")}:
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
