"""Fine-tuning at a server that nobody here wrote: files and jobs of @copilotkit/aimock (see other_server)."""

from __future__ import annotations

from pathlib import Path

import other_server
import pytest
from project import project
from tune_server import HASTY

from promptlab.prepare import opened
from promptlab.tune.jobs import Jobs
from promptlab.tune.settings import TuneSettings
from promptlab.tune.tune import tune

SPLIT = {"train": 0.5, "dev": 0.25, "test": 0.25}


def test_a_job_at_aimock_is_made_once_followed_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call makes it; the second takes its model up and makes none. It has no checkpoints, and no results."""
    monkeypatch.setattr(Jobs.__init__, "__defaults__", HASTY)
    with other_server.aimock(tmp_path, [{"match": {"endpoint": "chat"}, "response": {"content": "billing"}}]) as server:
        data = {"path": "data.jsonl", "inputs": ["message"], "label": "topic", "id": "id", "split": SPLIT}
        path = project(tmp_path / "p", 80, data=data, endpoint={"base_url": server.url}, models=["gpt-4o-mini"])
        settings = TuneSettings("openai", sizes=(12,), suffix="mine")
        (made,) = tune(opened(path), settings, yes=True)
        assert made.model.id.startswith("ft:gpt-4o-mini")
        assert made.train_tokens is None, "it says 1, whatever it was sent"
        jobs = "POST /v1/fine_tuning/jobs"
        assert server.counted()[jobs] == 1
        assert not [each for each in ("checkpoints.json", "results.csv") if (made.folder / each).exists()]
        (again,) = tune(opened(path), settings, yes=True)
        assert again.model.id == made.model.id
        assert server.counted()[jobs] == 1
        assert server.counted()["POST /v1/files"] == 2
