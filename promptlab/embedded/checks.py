"""Checks of a request's fields: each gives the value, or raises the refusal that OpenAI would send."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any


class ApiError(Exception):
    """A request that cannot be answered, as an HTTP status and OpenAI's error body."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    def body(self) -> dict[str, Any]:
        """The error as OpenAI's JSON."""
        error = {"message": self.message, "type": "invalid_request_error", "param": self.param, "code": self.code}
        return {"error": error}


def wrong(param: str, wanted: str, value: Any) -> ApiError:
    """The refusal of a value that is not what is ``wanted``."""
    return ApiError(f"Invalid '{param}': expected {wanted}, got {str(value)[:80]!r}.", param, "invalid_type")


def decoded(raw: bytes) -> dict[str, Any]:
    """A body's JSON object."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"The body is not valid JSON: {str(error)[:200]}", None, "invalid_json") from error
    return mapping(body)


def mapping(body: Any) -> dict[str, Any]:
    """``body``, if it is a JSON object."""
    if not isinstance(body, dict):
        raise ApiError("The body must be a JSON object.", None, "invalid_json")
    return body


def text(body: Mapping[str, Any], name: str, what: str) -> str:
    """A string that must be there and not be empty."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise wrong(name, what, value)
    return value


def number(body: Mapping[str, Any], name: str, high: float) -> float | None:
    """A finite number from 0 to ``high``; None if the field is missing or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(name, f"a number from 0 to {high:g}", value)
    if not 0 <= value <= high:
        raise ApiError(f"Invalid '{name}': {value} is not between 0 and {high:g}.", name, "decimal_out_of_range")
    return float(value)


def integer(body: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    """An integer from ``low`` to ``high``; None if the field is missing or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(name, "an integer", value)
    if not low <= value <= high:
        raise ApiError(f"Invalid '{name}': must be between {low} and {high}.", name, "integer_out_of_range")
    return value


def flag(body: Mapping[str, Any], name: str) -> bool:
    """A boolean; False if the field is missing or null."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(name, "a boolean", value)
    return bool(value)


def no_model(name: str, known: Iterable[str], others: Iterable[str]) -> ApiError:
    """The 404 for a model that does not do what is asked: because it does something else, or does not exist."""
    why = "is not for this route" if name in others else "does not exist"
    have = " or ".join(repr(model) for model in known)
    return ApiError(f"The model {name[:80]!r} {why}; this server has {have}.", "model", "model_not_found", 404)
