"""One line of doctor's table. Imports nothing of ours: what is kept on disk is made of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

Verdict = Literal["honoured", "ignored", "rejected", "unclear", "not tried", "measured"]
"""honoured: it does what it says · ignored: accepted, without effect (or not there) · rejected: an error ·
unclear: the answers do not tell · not tried: seen says why · measured: a figure, good or bad only to its reader."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about one thing: ``seen`` on the wire, and what that ``means`` for promptlab.

    ``facts`` are the same for programs: names to numbers, texts or lists of them.
    """

    name: str
    verdict: Verdict
    seen: str = ""
    means: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON-able values."""
        return {**asdict(self), "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The finding that ``as_json`` gave. Raises KeyError or TypeError for anything else."""
        return cls(**{name: value[name] for name in ("name", "verdict", "seen", "means", "facts")})
