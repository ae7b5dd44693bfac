"""The set that comes along: 75 messages to a bike shop, three labels, 12 demos (package data in bike_shop/)."""

from __future__ import annotations

from importlib.resources import files

from promptlab.starter.project import Project, project
from promptlab.starter.settings import Settings, experiment_text


def bike_shop(name: str = "") -> Project:
    """The project around it."""
    name = name or "triage"
    settings = Settings(
        name=name,
        question="Which prompt sorts a message to a bike shop into booking, status or shop?",
        data="labelled.csv",
        inputs={"message": "message"},
        label="kind",
        kind="classes",
        calls=1000,
        bank="bank.jsonl",
        left_out={"id": "names the row"},
    )
    beside = {each: _read(each) for each in ("labelled.csv", "labels.yaml", "bank.jsonl")}
    beside["experiment.yaml"] = experiment_text(settings).encode()
    return project(name, "message.j2", _read("message.j2").decode(), beside)


def _read(name: str) -> bytes:
    return (files("promptlab.starter") / "bike_shop" / name).read_bytes()
