"""`endpoint`, `models` and `params` of an experiment: who answers, where, at what price, with which parameters."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlab.embedded import VERSION
from promptlab.errors import BadInput, Problem, nearest
from promptlab.experiment.data import existing_file
from promptlab.experiment.fields import is_number, is_whole
from promptlab.experiment.file import EndpointFile, ModelFile, PriceFile
from promptlab.experiment.sheet import Sheet, shown, spelt
from promptlab.records import Endpoint, Model, Price
from promptlab.yaml_file import Key, read_text

_OURS = ("model", "messages", "stream", "stream_options", "n")
_FORMATS = ("text", "json_object", "json_schema")
_RANGES: Mapping[str, tuple[str, float, float]] = {
    "temperature": ("a number from 0 to 2", 0, 2),
    "top_p": ("a number from 0 to 1", 0, 1),
    "frequency_penalty": ("a number from -2 to 2", -2, 2),
    "presence_penalty": ("a number from -2 to 2", -2, 2),
}
_WHOLE = ("max_tokens", "max_completion_tokens")
_KNOWN = (*_RANGES, *_WHOLE, "response_format", "stop", "seed", "user", "logit_bias", "logprobs", "top_logprobs",
          "reasoning_effort", "reasoning", "verbosity", "prediction", "modalities", "metadata", "store", "service_tier",
          "tools", "tool_choice", "parallel_tool_calls", "top_k", "min_p", "top_a", "typical_p", "min_tokens",
          "repetition_penalty", "repeat_penalty", "length_penalty", "extra_body")  # fmt: skip
_MISSPELT = 0.85  # difflib's likeness to a known name from which another name is taken for that one, misspelt


def read_models(sheet: Sheet, endpoint: EndpointFile | None, models: list[ModelFile] | None) -> tuple[Model, ...]:
    """Every model with its endpoint. The embedded engine has one model, `small`, if nothing else is said."""
    if endpoint is None:
        if not sheet.given("endpoint"):
            remedy = "Write `endpoint: embedded`, or {base_url: https://…/v1, api_key_env: …}."
            sheet.add((), "`endpoint` is missing", remedy)
        endpoint = EndpointFile()
    if models is None and not sheet.given("models"):
        if endpoint.base_url == "embedded":
            models = [ModelFile(id="small")]
        elif sheet.given("endpoint") and not _misread(sheet, endpoint):
            sheet.add(("endpoint",), "`models` is missing", "Name at least one model of this endpoint: models: [ID].")
    found: dict[str, Model] = {}
    for place, each in enumerate(models or ()):
        model = _model(sheet, ("models", place), each, endpoint)
        if model and model.name in found:
            message = f"two models are called {model.name!r}"
            sheet.add(("models", place), message, "Give one of them another `name`.")
        elif model:
            found[model.name] = model
    return tuple(found.values())


def _misread(sheet: Sheet, endpoint: EndpointFile) -> bool:
    """Whether the address is there and wrong: then nobody knows whether models are needed."""
    written = sheet.value.get("endpoint")
    return endpoint.base_url is None and (not isinstance(written, dict) or sheet.given("endpoint", "base_url"))


def read_meta(
    sheet: Sheet,
    endpoint: EndpointFile | None,
    file: ModelFile | None,
    models: Sequence[Model],
    key: Key = ("search", "meta"),
) -> Model | None:
    """The model that proposers (or a judge) ask: one of ``models`` by name, or one of its own; else the first one."""
    if file is None:
        return models[0] if models else None
    if file.id is not None:
        return _model(sheet, key, file, endpoint or EndpointFile())
    known = {model.name: model for model in models}
    if file.name in known:
        return known[file.name]
    if file.name is None:
        sheet.add(key, f"{spelt((*key, 'id'))} is missing", "Name the model as its endpoint does.")
    elif models:
        remedy = f"{nearest(file.name, known)} Or describe another one: {{id: …, base_url: …}}."
        sheet.add(key, f"{spelt(key)}: there is no model {file.name!r}", remedy)
    return None


def _model(sheet: Sheet, key: Key, file: ModelFile, default: EndpointFile) -> Model | None:
    if file.id is None:
        written = sheet.value["models"]
        item = written[int(key[1])] if isinstance(written, list) else written
        if isinstance(item, dict) and item.get("id") is None:
            sheet.add(key, f"{spelt((*key, 'id'))} is missing", "Name the model as its endpoint does.")
        return None
    base_url = file.base_url or default.base_url
    if base_url is None:
        if not sheet.given(*key, "base_url") and not _misread(sheet, default):
            sheet.add(key, f"the model {file.id!r} has no base_url", "Give it one, or give the endpoint one.")
        return None
    if base_url == "embedded" and file.api_key_env:
        sheet.add((*key, "api_key_env"), "the embedded engine takes no key", "Leave api_key_env out.")
    price = _price(sheet, (*key, "price"), file.price) if file.price else None
    params = {}
    for name, value in (file.params or {}).items():
        _misspelt(sheet, (*key, "params", name), name)
        params[name] = _param(sheet, (*key, "params", name), name, value)
    free = Price() if base_url == "embedded" else None
    return Model(file.name or file.id, _endpoint(file, default, base_url), file.id, price or free, params)


def _endpoint(file: ModelFile, default: EndpointFile, base_url: str) -> Endpoint:
    """The default endpoint, or the model's own; a key goes only to the address that it was given for."""
    own = file.base_url is not None and file.base_url != default.base_url
    settings = default.model_dump(exclude_none=True, exclude={"base_url", "api_key_env"})
    address = f"embedded@{VERSION}" if base_url == "embedded" else base_url
    variable = file.api_key_env or ("" if own else default.api_key_env) or ""
    return Endpoint(address, variable, **settings)


def _price(sheet: Sheet, key: Key, file: PriceFile) -> Price | None:
    if file.input is None or file.output is None:
        if not all(sheet.given(*key, name) for name in ("input", "output")):
            sheet.add(key, f"{spelt(key)} needs input and output", "In US dollars per million tokens.")
        return None
    return Price(file.input, file.output, file.cached)


def read_params(sheet: Sheet, params: Mapping[str, Any] | None) -> dict[str, tuple[Any, ...]]:
    """Every parameter as the tuple of its values: one = fixed, several = a slot. Null is a value: not sent."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, value in (params or {}).items():
        key: Key = ("params", name)
        _misspelt(sheet, key, name)
        values = value if isinstance(value, list) else [value]
        if not values:
            sheet.add(key, f"{spelt(key)} holds no value", "Give it one, or leave it out.")
        repeated = [v for place, v in enumerate(values) if any(v == w and type(v) is type(w) for w in values[:place])]
        if repeated:
            sheet.add(key, f"{spelt(key)} names {shown(repeated[0])} twice", "Remove one.")
        places = [(*key, place) if isinstance(value, list) else key for place in range(len(values))]
        found[name] = tuple(_param(sheet, at, name, each) for at, each in zip(places, values, strict=True))
    return found


def _misspelt(sheet: Sheet, key: Key, name: str) -> None:
    """Note a name that is nearly a known one. Others are an endpoint's own, also those that lengthen a known one."""
    if name in _KNOWN or name in _OURS or name.startswith(tuple(f"{known}_" for known in _KNOWN)):
        return
    if any(difflib.SequenceMatcher(None, name, known).ratio() >= _MISSPELT for known in _KNOWN):
        sheet.add(key, f"{sheet.name(key)}: there is no parameter {name!r}", nearest(name, _KNOWN))


def _param(sheet: Sheet, key: Key, name: str, value: Any) -> Any:
    """One value, checked as far as the parameter is known; others belong to the endpoint and go there as they are."""
    if name in _OURS:
        sheet.add(key, f"{sheet.name(key)} is set by promptlab itself", "Leave it out.")
    elif value is None:
        return None
    elif name in _RANGES:
        phrase, low, high = _RANGES[name]
        if not is_number(value) or not low <= value <= high:
            sheet.add(key, f"{sheet.name(key)} must be {phrase}, not {shown(value)}")
    elif name in _WHOLE:
        if is_whole(value) and value > 0:
            return int(value)
        sheet.add(key, f"{sheet.name(key)} must be a whole number above 0, not {shown(value)}")
    elif name == "response_format":
        return _response_format(sheet, key, value)
    return value


def _response_format(sheet: Sheet, key: Key, value: Any) -> Any:
    """What goes into the request: a mapping as it is; a file's JSON schema in the envelope that endpoints expect."""
    if isinstance(value, dict):
        if value.get("type") not in _FORMATS:
            remedy = "Or name a file that holds a JSON schema."
            sheet.add(key, f"{sheet.name(key)} needs a `type`: {', '.join(_FORMATS)}", remedy)
        return value
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        sheet.add(key, f"{sheet.name(key)} must be a file with a JSON schema, or a mapping, not {shown(value)}")
        return None
    before = len(sheet.problems)
    path = existing_file(sheet, key, value)
    schema = None if len(sheet.problems) > before else _schema(sheet, key, path)
    if schema is None or schema.get("type") in _FORMATS:
        return schema
    name = "".join(char if char.isascii() and char.isalnum() else "_" for char in path.stem)[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def _schema(sheet: Sheet, key: Key, path: Path) -> dict[str, Any] | None:
    """The object in a schema file; None with a problem noted if it is no JSON schema (nor a whole response_format)."""
    try:
        schema = json.loads(read_text(path))
    except BadInput as error:
        sheet.problems += error.problems
        return None
    except (ValueError, RecursionError) as error:
        sheet.problems.append(Problem("this is not JSON", str(path), getattr(error, "lineno", 0)))
        return None
    reason = "" if isinstance(schema, dict) and schema.get("type") in _FORMATS else _schema_error(schema)
    if reason:
        sheet.add(key, f"{sheet.name(key)}: {path.name!r} is not a JSON schema: {reason}")
        return None
    return dict(schema)


def _schema_error(schema: Any) -> str:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    if not isinstance(schema, dict):
        return "it must be an object"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return error.message.splitlines()[0][:120]
    return ""
