"""What an experiment asks of a model, against what doctor found: what cannot start, and what must be told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from promptlab.doctor.finding import Finding
from promptlab.doctor.translate import dialect
from promptlab.endpoint.dialect import Dialect
from promptlab.errors import Problem
from promptlab.experiment import Experiment
from promptlab.records import Model

ESSENTIAL = ("stop", "logprobs", "max_tokens", "max_completion_tokens", "response_format")
"""Parameters without which the answers are others than asked for; the rest only make a run harder to repeat."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A parameter that a model is sent: its values (None = not sent), and where the file says so."""

    name: str
    values: tuple[Any, ...]
    key: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """A parameter and what doctor found of it; ``fatal``: a run would not measure what the file says."""

    asked: Asked
    finding: Finding
    fatal: bool


def asked(experiment: Experiment, place: int) -> Iterator[Asked]:
    """What the ``place``-th model of an experiment is sent, and with how many values."""
    own = experiment.models[place].params
    for name in dict.fromkeys((*experiment.params, *own)):
        values = experiment.params.get(name, ())
        if len(values) <= 1 and name in own:
            yield Asked(name, (own[name],), ("models", place, "params", name))
        else:
            pins = experiment.space_pins.get(f"params.{name}")
            kept = tuple(value for value in values if pins is None or value in pins)
            yield Asked(name, kept or values, ("params", name))


def clashes(experiment: Experiment, place: int, findings: Mapping[str, Finding]) -> Iterator[Clash]:
    """What of it the model was found to ignore or to reject, where no dialect helps."""
    spoken = dialect(findings)
    for each in asked(experiment, place):
        if each.name in spoken.names:
            continue
        for name in _named(each):
            finding = findings.get(name)
            if finding is not None and finding.verdict in ("ignored", "rejected"):
                clash = _clash(each, finding)
                if clash is not None:
                    yield clash
                    break


def _named(each: Asked) -> list[str]:
    """The findings that are about a parameter's values."""
    values = [value for value in each.values if value is not None and value is not False]
    if each.name == "response_format":
        kinds = [value.get("type") for value in values if isinstance(value, Mapping)]
        return [kind for kind in dict.fromkeys(kinds) if kind in ("json_object", "json_schema")]
    name = "logprobs" if each.name == "top_logprobs" else each.name
    return [name] if values else []


def _clash(each: Asked, finding: Finding) -> Clash | None:
    if finding.verdict == "rejected":
        if each.name == "response_format":  # the next rung of the ladder asks for it
            return None
        taken = finding.facts.get("accepted", ())
        if all(value is None or value in taken for value in each.values):
            return None
        return Clash(each, finding, fatal=True)
    fatal = len(each.values) > 1 or each.name in ESSENTIAL
    return Clash(each, finding, fatal)


def problem(experiment: Experiment, model: Model, day: str, clash: Clash) -> Problem:
    """Why the sweep may not start: key, verdict, day, remedy."""
    each, finding = clash.asked, clash.finding
    several = len(each.values) > 1
    what = f"{_spelt(each)}: {model.id!r} at {model.endpoint.host} {_found(clash)}, doctor found on {day}"
    effect = ": all its values would be the same prompt" if several and finding.verdict == "ignored" else ""
    remedy = f"Take it out{' or give it one value' * several}, or ask again: promptlab doctor {experiment.path}"
    if finding.verdict == "rejected" and finding.facts.get("accepted"):
        taken = ", ".join(f"{value:g}" for value in finding.facts["accepted"])
        remedy = f"It takes {taken}. {remedy}"
    return experiment.problem(each.key, f"{what} ({finding.seen}){effect}", remedy)


def note(model: Model, day: str, clash: Clash) -> str:
    """What must be told, though a run can go on."""
    means = f": {clash.finding.means}" if clash.finding.means else ""
    who = f"{model.id!r} at {model.endpoint.host}"
    return f"note: {_spelt(clash.asked)}: {who} {_found(clash)}, doctor found on {day}{means}"


def _found(clash: Clash) -> str:
    verb = {"ignored": "ignores", "rejected": "rejects"}[clash.finding.verdict]
    name = clash.asked.name if clash.asked.name == clash.finding.name else clash.finding.name
    return f"{verb} `{name}`"


def _spelt(each: Asked) -> str:
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in each.key)
    return f"`{place.lstrip('.')}`"


def translations(experiment: Experiment, place: int, spoken: Dialect) -> Iterator[str]:
    """What of the experiment's requests is said in other words: never silent."""
    sent = {each.name: each for each in asked(experiment, place)}
    for name, other in spoken.names.items():
        if name in sent:
            yield f"{name} is sent as {other}"
    kinds = _named(sent["response_format"]) if "response_format" in sent else []
    for kind, rung in (("json_schema", spoken.schema), ("json_object", spoken.object)):
        if kind in kinds and rung != kind:
            how = "by the prompt alone" if rung == "prompt" else f"as {rung}"
            told = (
                ", the schema said in the prompt" if rung in ("json_object", "prompt") and kind == "json_schema" else ""
            )
            yield f"{kind} is asked for {how}{told}"
    roles = _roles(experiment)
    for role, becomes in (("system", spoken.system), ("developer", spoken.developer)):
        if role in roles and becomes != role:
            how = "in front of the user message" if becomes == "user" else f"as {becomes}"
            yield f"{role} messages are sent {how}"
    if spoken.one_system and "system" in roles:
        yield "several system messages are joined into one"


def _roles(experiment: Experiment) -> set[str]:
    """The roles that the template files speak of; a file that cannot be read is told of elsewhere."""
    found: set[str] = set()
    for path in experiment.templates:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        found |= set(re.findall(r"\{%[-+]?\s*(system|developer)\b", text))
    return found
