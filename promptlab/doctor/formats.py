"""Judges of the JSON modes: whether they are taken, and enforced although the prompt asks for something else."""

from __future__ import annotations

import json
from typing import Any

from promptlab.doctor.asks import SCHEMA
from promptlab.doctor.chart import Chart
from promptlab.doctor.finding import Finding
from promptlab.doctor.sampling import unanswered

NO_FORCE = "it enforces nothing: say the form in the prompt, not in params"


def json_object(chart: Chart) -> Finding:
    """response_format {type: json_object}."""
    return _judged("json_object", chart, strict=False)


def json_schema(chart: Chart) -> Finding:
    """response_format {type: json_schema}."""
    return _judged("json_schema", chart, strict=True)


def object_with_schema(chart: Chart) -> Finding | None:
    """The rung between: {type: json_object, schema}. None where it was not needed."""
    return _judged("json_object with schema", chart, strict=True) if chart.reply("json_object with schema") else None


def _judged(name: str, chart: Chart, *, strict: bool) -> Finding:
    reply = chart.reply(name)
    if reply is None or reply.completion is None:
        return unanswered(name, reply, "the next lower rung is used: json_schema, json_object, prompt")
    if not reply.text:
        seen = "all tokens went into reasoning" if reply.thought_away else "an empty answer"
        return Finding(name, "unclear", f"taken; {seen}")
    text = reply.text.removeprefix("```json").removesuffix("```").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if text.startswith("{") and reply.finish == "length":
            return Finding(name, "unclear" if strict else "honoured", f"taken; JSON, cut short: {_shown(text)}")
        return Finding(name, "ignored", f"no JSON: {_shown(text)}", NO_FORCE)
    if not isinstance(value, dict) or (strict and not _fits(value)):
        what = "JSON, but not of the schema" if isinstance(value, dict) else "no object"
        return Finding(name, "ignored", f"{what}: {_shown(text)}", NO_FORCE)
    return Finding(name, "honoured", f"enforced: {_shown(text)}")


def _fits(value: Any) -> bool:
    from jsonschema import Draft202012Validator

    return bool(Draft202012Validator(SCHEMA).is_valid(value))


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
