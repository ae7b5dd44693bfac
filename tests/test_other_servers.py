"""Runs of promptlab against servers that nobody here wrote, and doctor's verdicts on them; other_server.py says how."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import other_server
import pytest
from other_server import Server, fetched, llama_cpp, read
from project import WORDS, project
from small_project import mine, running, tables
from typer.testing import CliRunner

from promptlab.cli import app
from promptlab.endpoint.pool import Pool
from promptlab.records import Call, Endpoint, Model, Request

MODEL = "tiny"
LABEL = r"regex:\b(billing|delivery|access)\b"
CHAT = "POST /v1/chat/completions"
SAID = "a salty blue that goes on and on as far as anybody on the shore can see before the evening comes"
ANSWERS = [
    *({"match": {"endpoint": "chat", "userMessage": told}, "response": {"content": it}} for it, told in WORDS.items()),
    {"match": {"endpoint": "chat"}, "response": {"content": SAID}},
]
SCHEMA = {
    "type": "object",
    "properties": {"topic": {"type": "string", "enum": list(WORDS)}},
    "required": ["topic"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with llama_cpp(tmp_path_factory.mktemp("llama"), MODEL) as server:
        yield server


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It answers a label to each kind of message, and one long sentence to everything else."""
    with other_server.aimock(tmp_path_factory.mktemp("aimock"), ANSWERS) as server:
        yield server


def experiment(folder: Path, server: Server, mode: str = "pool", **changes: Any) -> Path:
    """Six variants on 60 rows: 300 calls."""
    endpoint = {"base_url": server.url, "concurrency": 8, "mode": mode}
    return project(folder, endpoint=endpoint, models=[MODEL], **{"answer": LABEL} | changes)


def rows(path: Path) -> list[dict[str, str]]:
    [file] = path.parent.glob("runs/*/predictions.csv")
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def finished(path: Path, *args: str) -> None:
    process = mine(path, *args)
    assert process.wait() == 0, process.said()


def examined(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], dict[str, Any]]:
    """The verdicts by name, and the whole report, of a doctor who keeps nothing: there is no project."""
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["doctor", "--base-url", server.url, "--model", MODEL, "--json"])
    assert done.exit_code == 0, done.output
    [report] = json.loads(done.stdout)["models"]
    return {each["name"]: each["verdict"] for each in report["findings"]}, report


def embedded(server: Server, *texts: str) -> Call:
    endpoint = Endpoint(server.url, timeout=20.0, max_retries=1)
    body = {"model": MODEL, "input": list(texts), "encoding_format": "float"}

    async def asking() -> Call:
        async with Pool(endpoint, server.url, "none") as pool:
            return await pool.call(Request(Model(MODEL, endpoint, MODEL), "/embeddings", body))

    return asyncio.run(asking())


# --- llama-cpp-python: a real model, which says nonsense -----------------------------------------------------


def test_llama_cpp_answers_a_whole_run_and_is_asked_nothing_twice(llama: Server, tmp_path: Path) -> None:
    """One row is too long for it: that is the row's status, and no error."""
    path = experiment(tmp_path, llama)
    with path.with_name("data.jsonl").open("a") as file:
        file.write(json.dumps({"id": "long", "message": "charged twice " * 200, "topic": "billing"}) + "\n")
    before = llama.counted()
    finished(path)
    found = rows(path)
    assert llama.counted() - before == Counter({CHAT: len(found)})
    statuses = Counter(row["status"] for row in found)
    assert set(statuses) == {"ok", "invalid", "truncated", "overflow"}
    assert {row["example"] for row in found if row["status"] == "overflow"} == {"long"}
    assert not any(row["error"] for row in found)
    assert {row["usage"] for row in found if row["status"] != "overflow"} == {"reported"}
    assert all(row["answer"] in row["output"] for row in found if row["status"] == "ok")
    finished(path)
    assert llama.counted() - before == Counter({CHAT: len(found)})


def test_doctor_s_verdicts_on_llama_cpp(llama: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts, report = examined(llama, tmp_path, monkeypatch)
    wanted = {
        "honoured": ["address", "model", "usage", "finish_reason", "max_tokens", "temperature", "stop", "seed"],
        "ignored": ["max_completion_tokens", "n", "unknown keys", "embeddings"],
        "rejected": ["json_schema", "developer", "files", "fine-tuning", "batches"],
    }
    wanted["honoured"] += ["logprobs", "json_object"]
    expected = {name: verdict for verdict, names in wanted.items() for name in names}
    assert {name: verdicts[name] for name in expected} == expected
    assert report["tokens"] < 4000  # half of them by the probe of the limit that it ignores: this model never stops
    assert report["calls"] <= 20


def test_doctor_sees_that_llama_cpp_enforces_a_schema_in_a_json_object(
    llama: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts, _ = examined(llama, tmp_path, monkeypatch)
    assert verdicts["json_object with schema"] == "honoured"


def test_a_run_asks_llama_cpp_in_the_words_that_doctor_found(llama: Server, tmp_path: Path) -> None:
    """max_completion_tokens, which it ignores, and json_schema, which it answers with a 500."""
    params = {"temperature": 0, "max_completion_tokens": 24, "response_format": "schema.json"}
    path = experiment(tmp_path, llama, params=params, answer="json:topic")
    path.with_name("schema.json").write_text(json.dumps(SCHEMA))
    examination = CliRunner().invoke(app, ["doctor", str(path), "--json"])
    told = " ".join(json.loads(examination.stdout)["experiment"])
    assert "max_completion_tokens is sent as max_tokens" in told
    assert "json_schema is asked for as json_object" in told
    finished(path)
    found = rows(path)
    assert all(row["output"].startswith("{") for row in found)
    assert all(int(row["tokens_out"]) <= 24 for row in found)
    assert not any(row["error"] for row in found)


def test_llama_cpp_s_vectors_per_token_are_refused_by_name(llama: Server) -> None:
    call = embedded(llama, "red", "blue")
    assert call.completion is None
    assert "nested, one vector per token" in call.error
    assert call.attempts == 1


# --- aimock: files, batches, embeddings, and trouble on demand -----------------------------------------------


@pytest.fixture(scope="module")
def usual(aimock: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that aimock answered, call by call."""
    path = experiment(tmp_path_factory.mktemp("usual"), aimock)
    before = aimock.counted()
    finished(path)
    assert aimock.counted() - before == Counter({CHAT: 300})
    return path


def test_aimock_s_answers_arrive_at_their_rows_and_nothing_is_asked_twice(aimock: Server, usual: Path) -> None:
    found = rows(usual)
    assert len(found) == 300
    kinds = {row["answer"] for row in found if WORDS[row["answer"]] in row["input.message"]}
    assert kinds == set(WORDS)
    assert all(WORDS[row["answer"]] in row["input.message"] for row in found)
    assert {row["status"] for row in found} == {"ok"}
    before = aimock.counted()
    finished(usual)
    assert aimock.counted() == before


def test_batches_at_aimock_outlive_a_kill_and_nothing_is_sent_twice(aimock: Server, tmp_path: Path) -> None:
    """Whatever is asked, a line of its batches says the same; the lines are matched by their ids."""
    path = experiment(tmp_path, aimock, mode="batch", answer="text")
    before = aimock.counted()
    with running("mine", path, "--yes") as process:
        while not any(asked.startswith("GET /v1/batches/") for asked in aimock.counted() - before):
            assert process.process.is_alive(), process.said()
            time.sleep(0.05)
        process.send(signal.SIGKILL)
        process.wait()
    finished(path)
    sent = aimock.counted() - before
    assert CHAT not in sent
    assert sent["POST /v1/files"] == sent["POST /v1/batches"] == 2  # one for each wave: the search, the test
    uploaded = [each for each in fetched(f"{aimock.url}/files")["data"] if each["purpose"] == "batch"]
    lines = [line for each in uploaded for line in read(f"{aimock.url}/files/{each['id']}/content").splitlines()]
    assert len({json.loads(line)["custom_id"] for line in lines}) == len(lines) == 300
    found = rows(path)
    assert {row["output"] for row in found} == {"Mock batch completion"}
    assert Counter(row["status"] for row in found) == Counter(ok=300)
    before = aimock.counted()
    finished(path)
    assert aimock.counted() == before


def test_aimock_s_limits_drops_and_garbage_change_no_table(aimock: Server, usual: Path, tmp_path: Path) -> None:
    trouble = {"rateLimitRate": 0.01, "dropRate": 0.03, "malformedRate": 0.01, "disconnectRate": 0.03}
    read(f"{aimock.root}/__aimock/chaos", "POST", trouble)
    before = aimock.counted()
    path = experiment(tmp_path, aimock)
    try:
        finished(path)
    finally:
        read(f"{aimock.root}/__aimock/chaos", "DELETE")
    assert tables(path) == tables(usual)
    assert (aimock.counted() - before)[CHAT] > 300


def test_aimock_s_vectors_come_in_order(aimock: Server) -> None:
    call = embedded(aimock, "red", "the sea", "red")
    assert call.completion is not None
    red, sea, again = json.loads(call.completion.text)
    assert red == again != sea
    assert len(red) == len(sea)


def test_doctor_s_verdicts_on_aimock(aimock: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its one answer never varies, so that nothing can be told of seeds."""
    verdicts, report = examined(aimock, tmp_path, monkeypatch)
    wanted = {
        "honoured": ["address", "usage", "embeddings", "files", "fine-tuning", "batches"],
        "ignored": ["max_tokens", "max_completion_tokens", "temperature", "stop", "n", "logprobs", "json_object"],
        "unclear": ["model", "seed", "finish_reason"],
    }
    wanted["ignored"] += ["json_schema", "system", "developer", "unknown keys"]
    expected = {name: verdict for verdict, names in wanted.items() for name in names}
    assert {name: verdicts[name] for name in expected} == expected
    assert report["tokens"] < 2000
    assert report["calls"] <= 20


def test_a_sweep_over_what_aimock_ignores_does_not_start(aimock: Server, tmp_path: Path) -> None:
    path = experiment(tmp_path, aimock, params={"temperature": [0, 0.7]})
    assert CliRunner().invoke(app, ["doctor", str(path)]).exit_code == 0
    before = aimock.counted()
    process = mine(path)
    assert process.wait() == 2, process.said()
    assert "ignores `temperature`" in " ".join(process.said().split())
    assert aimock.counted() == before
