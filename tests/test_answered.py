"""Who answered is told where it is somebody else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fault_server import FaultServer, ok
from small_project import write

from promptlab.answered import answered, strangers
from promptlab.api import Experiment
from promptlab.records import Call, Completion, Endpoint, Model, Prediction

SAME = [
    ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    ("meta/Llama-3-8B", "llama-3-8b"),
    ("models/tiny@main", "tiny@main"),
    ("tiny", "tiny"),
]


@pytest.mark.parametrize(("asked", "told"), SAME)
def test_a_dated_or_shortened_name_is_the_same_model(asked: str, told: str) -> None:
    assert strangers({"m": (told,)}, {"m": Model("m", Endpoint("http://x/v1"), asked)}) == []


def test_only_answers_count_and_each_name_once() -> None:
    def row(told: str, purpose: str = "answer") -> Prediction:
        calls = (Call("k", purpose, Completion("x", model=told, fingerprint="f")),)  # type: ignore[arg-type]
        return Prediction("v", "e", 0, "dev", "search", "ok", model="m", calls=calls)

    who = answered([row("b"), row("a"), row("b"), row("judge", "judge"), row("")])
    assert who.models == {"m": ("a", "b")}
    assert who.fingerprints == {"f"}


def test_a_run_tells_and_keeps_that_another_model_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FaultServer() as server:
        server.default = lambda _: ok("red", model="something-else")
        run = Experiment.load(write(tmp_path, server.url)).mine()
    assert "'tiny' was asked, and the answers are said to be of 'something-else'" in capsys.readouterr().err
    assert json.loads((run.folder / "manifest.json").read_text())["answered_as"] == {"tiny": ["something-else"]}
