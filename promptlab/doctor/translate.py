"""From findings to the dialect that gets the same question through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from promptlab.doctor.finding import Finding
from promptlab.endpoint.dialect import PLAIN, Dialect, Rung, SystemRole

LIMITS = (("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens"))


def dialect(findings: Mapping[str, Finding]) -> Dialect:
    """What to send in place of what. Only what is rejected is put in other words, and a limit that has no effect."""

    def verdict(name: str) -> str:
        return findings[name].verdict if name in findings else "not tried"

    system: SystemRole = "system"
    if verdict("system") == "rejected":
        system = "developer" if verdict("developer") == "honoured" else "user"
    developer: SystemRole = "developer"
    if verdict("developer") == "rejected":
        developer = "system" if verdict("system") not in ("rejected", "not tried") else "user"
    schema: Rung = "json_schema"
    if verdict("json_schema") == "rejected":
        lower: tuple[Rung, ...] = ("json_object with schema", "json_object")
        schema = next((rung for rung in lower if verdict(rung) == "honoured"), "prompt")
    rung: Rung = "json_object"
    if verdict("json_object") == "rejected":
        rung = "json_schema" if verdict("json_schema") == "honoured" else "prompt"
    return Dialect(
        names={name: other for name, other in LIMITS if _swapped(verdict(name), verdict(other))},
        system=system,
        developer=developer,
        one_system=verdict("two system messages") == "rejected" and system == "system",
        schema=schema,
        object=rung,
    )


def _swapped(name: str, other: str) -> bool:
    return (name in ("rejected", "ignored") and other == "honoured") or (name == "rejected" and other == "unclear")


def changes(spoken: Dialect) -> dict[str, Any]:
    """What of a dialect differs from how requests are written; JSON-able."""
    usual = asdict(PLAIN)
    return {name: value for name, value in asdict(spoken).items() if value != usual[name]}
