"""JSON validity: the output is JSON and, where a schema is given, keeps to it. No label is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlab.json_answer import read_json
from promptlab.records import Completion, Example


@dataclass(frozen=True, slots=True)
class JsonValid:
    """1 if the output is a JSON value (or ends in a fenced one) that satisfies the schema, else 0.

    ``schema``: a JSON Schema, or the path of one, read when the metric is made. ValueError: it cannot be used.
    """

    schema: str | Path | Mapping[str, Any] | None = None
    _validator: Any = field(init=False, repr=False, compare=False, default=None)
    needs_label = False

    def __post_init__(self) -> None:
        if self.schema is not None:
            schema = self.schema if isinstance(self.schema, Mapping) else _read(Path(self.schema))
            object.__setattr__(self, "schema", schema)
            object.__setattr__(self, "_validator", _validator_of(schema))

    def __call__(self, _example: Example, completion: Completion) -> float:
        """1 if the output is valid, else 0."""
        value = read_json(completion.text)
        if value is None:
            return float(completion.text.strip() == "null" and self._satisfied(None))
        return float(self._satisfied(value))

    def _satisfied(self, value: Any) -> bool:
        if self._validator is None:
            return True
        try:
            return bool(self._validator.is_valid(value))
        except RecursionError:
            return False


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"schema {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"schema {path} is not JSON: {error}") from None


def _validator_of(schema: Any) -> Any:
    """A validator that never fetches: a reference must stay within the schema."""
    import jsonschema
    import referencing.exceptions
    import referencing.jsonschema

    if not isinstance(schema, Mapping):
        raise ValueError(f"a JSON Schema is an object, not {type(schema).__name__}")  # noqa: TRY004 - a bad value
    schema = dict(schema)
    away = next((each for each in _references(schema) if not each.startswith("#")), None)
    if away is not None:
        raise ValueError(f"schema reference {away!r} leaves the schema: copy it under $defs and refer to #/$defs/NAME")
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"the schema is not a JSON Schema: {error.message} at {error.json_path}") from None
    validator = kind(schema, registry=referencing.Registry())
    resolver = referencing.Registry().resolver_with_root(
        referencing.Resource.from_contents(schema, default_specification=referencing.jsonschema.DRAFT202012)
    )
    for each in _references(schema):
        try:
            resolver.lookup(each)
        except referencing.exceptions.Unresolvable:
            raise ValueError(f"schema reference {each!r} leads nowhere") from None
    return validator


def _references(schema: Any) -> Iterator[str]:
    """Every $ref in a schema, its literal values (const, enum, examples, default) left out."""
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(value, str):
                yield value
            elif key not in {"const", "enum", "examples", "default"}:
                yield from _references(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)
