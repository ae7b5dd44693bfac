"""Whole runs of `promptlab mine` against a server that misbehaves: no row lost, left as an error or scored wrong."""

from __future__ import annotations

import csv
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, Reply, error, ok, raw
from small_project import answer, mine, repeated, running, tables, write

from promptlab.api import Experiment

KEY = "top-secret-key-0123456789"
HTML = raw("<html><title>Sign in</title></html>")
Misbehaviour = Callable[[int], Reply | None]


@pytest.fixture(scope="module")
def one_server() -> Iterator[FaultServer]:
    """One for all tests: its address is part of what a run is."""
    with FaultServer() as served:
        yield served


@pytest.fixture(scope="module")
def undisturbed(one_server: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables of a run that nothing happened to."""
    one_server.default = answer
    experiment = write(tmp_path_factory.mktemp("undisturbed"), one_server.url)
    process = mine(experiment)
    assert process.wait() == 0, process.said()
    return tables(experiment)


@pytest.fixture
def server(one_server: FaultServer) -> FaultServer:
    one_server.default = answer
    one_server.seen.clear()
    return one_server


def some_limits(number: int) -> Reply | None:
    """One request in twenty is one too many, and one in fifty breaks the server."""
    return error(429) if number % 20 == 0 else error(500) if number % 50 == 1 else None


def waits(number: int) -> Reply | None:
    return error(429, headers={"Retry-After": "0.2"}) if number in (30, 31, 90, 200) else None


def garbage(number: int) -> Reply | None:
    """Pages, errors, cut answers, resets; each now and then, once the server has shown that it can do better."""
    broken = [HTML, raw('{"choices": []}'), raw("null"), Reply(how="reset"), Reply(body=b" " * 99, how="cut")]
    kinds = [*broken, raw('{"error": {"code": 502, "message": "upstream"}}')]
    return kinds[number // 25 % len(kinds)] if number % 25 == 0 else None


@pytest.mark.parametrize("how", [some_limits, waits, garbage])
def test_a_server_that_stumbles_changes_no_table(
    server: FaultServer, tmp_path: Path, undisturbed: dict[str, str], how: Misbehaviour
) -> None:
    count = itertools.count(1)
    server.default = lambda body: how(next(count)) or answer(body)
    process = mine(write(tmp_path / "stumbling", server.url, max_retries=6, concurrency=32))
    assert process.wait() == 0, process.said()
    assert tables(tmp_path / "stumbling" / "experiment.yaml") == undisturbed
    assert repeated(server) == sum(how(number) is not None for number in range(1, len(server.posts) + 1)) > 0


STOPS = {
    "a page for everything": (HTML, "this is no OpenAI endpoint", 9),
    "an error in every 200": (raw('{"error": {"code": 502, "message": "upstream"}}'), "Every answer is kept", 35),
    "a rejected parameter": (error(400, "no", code="unsupported_value", param="max_tokens"), "rejects `max_tokens`", 7),
    "a wait too long": (error(429, headers={"Retry-After": "7200"}), "Come back after", 7),
}


@pytest.mark.parametrize("how", STOPS)
def test_what_can_never_go_well_ends_the_run_with_exit_3_after_few_requests(
    server: FaultServer, tmp_path: Path, how: str
) -> None:
    reply, says, requests = STOPS[how]
    server.default = lambda _: reply
    process = mine(write(tmp_path, server.url))
    assert process.wait() == 3, process.said()
    assert says in " ".join(process.said().split())
    assert "Traceback" not in process.said()
    assert 0 < len(server.posts) <= requests
    assert not list(tmp_path.glob("runs/*/results.csv"))


def test_a_wrong_key_ends_the_run_at_once_and_is_written_nowhere(server: FaultServer, tmp_path: Path) -> None:
    server.default = lambda _: error(401, f"Incorrect API key provided: {KEY}")
    experiment = write(tmp_path, server.url, endpoint=", api_key_env: THE_KEY")
    with running("mine", experiment, "--yes", environ={"THE_KEY": KEY}) as process:
        assert process.wait() == 3, process.said()
    assert "variable THE_KEY" in " ".join(process.said().split())
    assert server.posts[0].headers["Authorization"] == f"Bearer {KEY}"
    assert len(server.posts) <= 7
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert process.output.read_bytes() in written
    assert not any(KEY.encode() in each for each in written)


def test_a_quota_that_ends_in_the_middle_costs_no_answer_twice(
    server: FaultServer, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    spent = error(429, "You exceeded your current quota", code="insufficient_quota")
    server.default = lambda body: answer(body) if len(server.posts) <= 100 else spent
    experiment = write(tmp_path / "poor", server.url)
    process = mine(experiment)
    assert process.wait() == 3, process.said()
    assert "the quota is used up" in process.said()
    assert len(server.posts) <= 107
    server.default = answer
    process = mine(experiment)
    assert process.wait() == 0, process.said()
    assert repeated(server) <= 7  # none of them was answered
    assert tables(experiment) == undisturbed


ROWS: dict[str, list[Reply]] = {
    "overflow": [error(400, "too long", code="context_length_exceeded"), error(400, "maximum context length is 8")],
    "refused": [
        error(400, "no", code="content_filter"),
        ok(None, choice={"finish_reason": "content_filter"}),
        ok(None, message={"refusal": "I would rather not."}),
    ],
    "truncated": [ok(each, choice={"finish_reason": "length"}) for each in (None, "Let me see", "<think>hm")],
    "invalid": [ok(None), ok(None, message={"reasoning": "red"}), ok("red\0"), ok("\ud83d")],
}


def fate(body: Any) -> tuple[str, Reply] | None:
    """One prompt in four has one that is its own."""
    number = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    all_of_them = [(status, reply) for status, replies in ROWS.items() for reply in replies]
    return all_of_them[number // 4 % len(all_of_them)] if number % 4 == 0 else None


def test_what_a_prompt_brings_upon_itself_is_its_row_s_status_and_no_error(server: FaultServer, tmp_path: Path) -> None:
    server.default = lambda body: own[1] if (own := fate(body)) else ok("red")
    experiment = write(tmp_path, server.url)
    process = mine(experiment)
    assert process.wait() == 0, process.said()
    assert repeated(server) == 0
    fates = Counter(own[0] if (own := fate(each.body)) else "ok" for each in server.posts)
    [path] = tmp_path.glob("runs/*/predictions.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["status"] for row in rows) == fates
    assert set(fates) == {"ok", *ROWS}
    assert not any(float(row["score"]) for row in rows if row["status"] != "ok")
    assert not any(row["error"] for row in rows)


def test_what_was_left_out_stays_in_the_manifest_of_a_run_that_asks_nothing_more(tmp_path: Path) -> None:
    def picky(body: Any) -> Reply:
        if "temperature" in body:
            return error(400, "Unsupported value: 'temperature'", code="unsupported_value", param="temperature")
        return ok("red")

    with FaultServer() as server:
        server.default = picky
        path = write(tmp_path, server.url)
        path.write_text(path.read_text().replace("temperature: 0, ", ""))
        for _ in range(2):
            run = Experiment.load(path).mine()
            told = json.loads((run.folder / "manifest.json").read_text())["left_out"]
            assert told == {server.url: {"tiny": ["temperature"]}}
