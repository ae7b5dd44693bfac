"""`params` of an experiment and of its models: values, checked as far as a parameter is known."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptlab.errors import BadInput, Problem, nearest
from promptlab.experiment.data import existing_file
from promptlab.experiment.fields import is_number, is_whole
from promptlab.experiment.sheet import Sheet, shown, spelt
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


def own_params(sheet: Sheet, key: Key, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters of one model, at ``key``: one value each."""
    params = {}
    for name, value in (given or {}).items():
        _misspelt(sheet, (*key, "params", name), name)
        params[name] = _param(sheet, (*key, "params", name), name, value)
    return params


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
