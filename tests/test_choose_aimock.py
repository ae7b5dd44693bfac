"""`promptlab choose` at a server that nobody here wrote: files, jobs, embeddings and chats of @copilotkit/aimock.

Its tuned models answer as their base does and its vectors are hashes: what is looked at is the way, not the scores.
"""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import other_server
import rag_project

JOBS, FILES, VECTORS = "POST /v1/fine_tuning/jobs", "POST /v1/files", "POST /v1/embeddings"
MORE = """\
tune: {trainer: openai, price: {train: 3.0, input: 3.0, output: 12.0}}
choose: {arms: [prompt, rag, fine-tuned, fine-tuned+rag], margin: 0.3, volume_per_month: 10000}
"""
SPLIT, LEARNING = "{dev: 0.5, test: 0.5, seed: 3}", "{train: 0.5, dev: 0.25, test: 0.25, seed: 3}"


def answers() -> list[dict[str, Any]]:
    """Right where the right passage comes last before the question; else a number that is wrong."""
    found: list[dict[str, Any]] = []
    for n, who in enumerate(rag_project.NAMES):
        weight, cost = 100 + 37 * n, 11 + 3 * n
        for told, asked, right in (
            (f"weighs {weight} grams. It comes in a box.", f"How many grams does the {who}", weight),
            (f"costs {cost} dollars. It has a warranty of two years.", f"How many dollars does the {who}", cost),
        ):
            match = {"endpoint": "chat", "userMessage": f"{told}\nQuestion: {asked}"}
            found.append({"match": match, "response": {"content": str(right)}})
    return [*found, {"match": {"endpoint": "chat"}, "response": {"content": "7"}}]


def written(folder: Path, url: str) -> Path:
    path = rag_project.write(
        folder, url, model="gpt-4o-mini", retriever="[none, bm25, dense]", k="[1]", more=MORE,
        retrieval="embedding: {id: text-embedding-3-small, price: {input: 0.02, output: 0}}",
    )  # fmt: skip
    path.write_text(path.read_text(encoding="utf-8").replace(SPLIT, LEARNING), encoding="utf-8")
    return path


@contextmanager
def choosing(experiment: Path) -> Iterator[subprocess.Popen[str]]:
    """A choice in a process group of its own, killed at the end."""
    command = [sys.executable, "-m", "promptlab", "choose", str(experiment), "--yes"]
    with (
        experiment.with_name("said.txt").open("w") as said,
        subprocess.Popen(command, stdout=said, stderr=said, text=True, start_new_session=True) as process,
    ):
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def chosen(experiment: Path) -> None:
    with choosing(experiment) as process:
        assert process.wait(110) == 0, said(experiment)


def said(experiment: Path) -> str:
    return experiment.with_name("said.txt").read_text(encoding="utf-8")


def test_a_choice_at_aimock_trains_once_through_a_kill_and_ends_in_a_table(tmp_path: Path) -> None:
    with other_server.aimock(tmp_path, answers()) as server:
        experiment = written(tmp_path / "p", server.url)
        with choosing(experiment) as first:
            end = time.monotonic() + 60
            while server.counted()[JOBS] < 2:
                assert first.poll() is None, said(experiment)
                assert time.monotonic() < end
                time.sleep(0.1)
        assert not (tmp_path / "p" / "choice.csv").exists()
        chosen(experiment)
        once = server.counted()
        assert (once[JOBS], once[FILES]) == (2, 2), "two arms, each with its file, each made once"
        assert once[VECTORS] > 0
        with (tmp_path / "p" / "choice.csv").open(newline="", encoding="utf-8") as file:
            rows = {row["arm"]: row for row in csv.DictReader(file)}
        assert list(rows) == ["prompt", "rag", "fine-tuned", "fine-tuned+rag"]
        assert all(row["error"] in ("", "0") and row["test_score"] for row in rows.values())
        assert float(rows["rag"]["test_score"]) > float(rows["prompt"]["test_score"])
        assert rows["fine-tuned"]["model"].startswith("tuned-")
        chosen(experiment)
        chats = "POST /v1/chat/completions"
        assert [server.counted()[each] for each in (JOBS, FILES, VECTORS, chats)] == [
            once[each] for each in (JOBS, FILES, VECTORS, chats)
        ], "what is known is not asked again"
