"""What endpoints were found to do: written by doctor, read before a run, told in its manifest.

Kept in the project's folder by endpoint and model, with the day. A model that was never examined is asked as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from promptlab.doctor.finding import Finding
from promptlab.doctor.needs import clashes, note, problem, translations
from promptlab.doctor.translate import changes, dialect
from promptlab.endpoint.dialect import PLAIN, Dialect
from promptlab.endpoint.redact import shown
from promptlab.errors import BadInput, Problem
from promptlab.experiment import Experiment
from promptlab.records import Endpoint, Model
from promptlab.write import write_text

FILE = "capabilities.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Known:
    """What doctor found of a model on a ``day`` (ISO); ``endpoint`` is the address as it may be shown."""

    endpoint: str
    model: str
    day: str
    findings: Mapping[str, Finding]


Capabilities: TypeAlias = Mapping[tuple[str, str], Known]
"""By (endpoint, model id)."""


def read(project: Path) -> Capabilities:
    """What is known in a project's folder; nothing where doctor was never asked. Raises BadInput for a damaged file."""
    path = project / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        rows = [_known(each) for each in value["known"]] if value["format"] == FORMAT else []
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        remedy = "Remove the file, or write it anew: promptlab doctor"
        raise BadInput(Problem("what doctor found cannot be read", str(path), remedy=remedy)) from error
    return {(each.endpoint, each.model): each for each in rows}


def _known(value: Mapping[str, Any]) -> Known:
    findings = [Finding.from_json(each) for each in value["findings"]]
    return Known(
        endpoint=str(value["endpoint"]),
        model=str(value["model"]),
        day=str(value["date"]),
        findings={each.name: each for each in findings},
    )


def keep(project: Path, found: Iterable[Known]) -> Path:
    """Put what was found beside what is known of other models, the whole file at once; where that is."""
    try:
        known = dict(read(project))
    except BadInput:  # damaged: there is nothing to lose
        known = {}
    known |= {(each.endpoint, each.model): each for each in found}
    rows = [
        {
            "endpoint": each.endpoint,
            "model": each.model,
            "date": each.day,
            "findings": [finding.as_json() for finding in each.findings.values()],
        }
        for _, each in sorted(known.items())
    ]
    path = project / FILE
    write_text(path, json.dumps({"format": FORMAT, "known": rows}, indent=1, ensure_ascii=False) + "\n")
    return path


def address(endpoint: Endpoint) -> str:
    """An endpoint as capabilities name it: its identity without credentials and query."""
    return shown(endpoint.identity)


def dialects(capabilities: Capabilities, endpoint: Endpoint) -> dict[str, Dialect]:
    """The dialect of each model of an endpoint that wants to be asked in other words than usual."""
    at = address(endpoint)
    spoken = {model: dialect(each.findings) for (place, model), each in capabilities.items() if place == at}
    return {model: each for model, each in spoken.items() if each != PLAIN}


def problems(experiment: Experiment, project: Path) -> list[Problem]:
    """Why a sweep may not start: it needs a parameter that a model was found to ignore or to reject."""
    try:
        known = read(project)
    except BadInput as error:
        return list(error.problems)
    return [
        problem(experiment, model, each.day, clash)
        for place, model, each in _asked(experiment, known)
        for clash in clashes(experiment, place, each.findings)
        if clash.fatal
    ]


def notes(experiment: Experiment, project: Path) -> list[str]:
    """What must be told before a run: what is put in other words, and what is ignored but can be lived with."""
    told: list[str] = []
    for place, model, each in _asked(experiment, _readable(project)):
        told += [note(model, each.day, clash) for clash in clashes(experiment, place, each.findings) if not clash.fatal]
        told += [
            f"note: {model.id!r} at {model.endpoint.host}: {words} (doctor, {each.day})"
            for words in translations(experiment, place, dialect(each.findings))
        ]
    return list(dict.fromkeys(told))


def of(experiment: Experiment, project: Path) -> dict[str, Any]:
    """For the manifest: by endpoint and model id, when it was examined, every verdict, what is sent in other words."""
    found: dict[str, Any] = {}
    for _, model, each in _asked(experiment, _readable(project)):
        found.setdefault(each.endpoint, {})[model.id] = {
            "date": each.day,
            "verdicts": {name: finding.verdict for name, finding in each.findings.items()},
            "facts": {name: dict(finding.facts) for name, finding in each.findings.items() if finding.facts},
            "sent_as": changes(dialect(each.findings)),
        }
    return found


def _readable(project: Path) -> Capabilities:
    try:
        return read(project)
    except BadInput:
        return {}


def _asked(experiment: Experiment, known: Capabilities) -> Iterator[tuple[int, Model, Known]]:
    """The experiment's models of which something is known."""
    for place, model in enumerate(experiment.models):
        each = known.get((address(model.endpoint), model.id))
        if each is not None:
            yield place, model, each
