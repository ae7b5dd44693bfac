"""Killed, cut off, stopped: the same command goes on, pays for nothing twice, and ends with the same tables.

PROMPTLAB_KILLS=N in the environment asks for N kills of a sweep of 2,000 calls at each concurrency, beside the ten of
the small one, and for what takes long.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, Reply, error, raw
from small_project import Running, answer, logged, mine, repeated, running, tables, write

CONCURRENCIES = (1, 7, 64)
KILLS = int(os.environ.get("PROMPTLAB_KILLS", "0"))
ALL = 328  # calls of the whole small project
BUDGET = re.compile(r"budget: (.*)")


@pytest.fixture(scope="module")
def one_server() -> Iterator[FaultServer]:
    """One for all tests: its address is part of what a run is."""
    with FaultServer() as served:
        yield served


@pytest.fixture(scope="module")
def undisturbed(one_server: FaultServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables of a run that nothing happened to."""
    one_server.default = answer
    experiment = write(tmp_path_factory.mktemp("undisturbed"), one_server.url, concurrency=7)
    process = mine(experiment)
    assert process.wait() == 0, process.said()
    assert len(one_server.posts) == ALL
    return tables(experiment)


@pytest.fixture
def server(one_server: FaultServer, undisturbed: dict[str, str]) -> FaultServer:
    one_server.default = answer
    one_server.seen.clear()
    return one_server


def go_on(experiment: Path, server: FaultServer, *args: str) -> None:
    """The same command again, to the end; faster, for how many calls fly at once changes nothing."""
    write(experiment.parent, server.url, concurrency=64, budget=BUDGET.search(experiment.read_text())[1])  # type: ignore[index]
    process = mine(experiment, *args)
    assert process.wait() == 0, process.said()


def until(server: FaultServer, posts: int, process: Running) -> None:
    """Wait until the server has seen so many requests, or the process has ended."""
    while len(server.posts) < posts and process.process.is_alive():
        time.sleep(0.001)


def test_killed_at_random_moments_a_run_ends_with_the_tables_of_an_undisturbed_one(
    server: FaultServer, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    rng = random.Random(11)
    for concurrency, kills in zip(CONCURRENCIES, (3, 4, 3), strict=True):
        server.seen.clear()
        experiment = write(tmp_path / f"at {concurrency}", server.url, concurrency=concurrency)
        killed_and_completed(server, experiment, concurrency, sorted(rng.randint(0, ALL - 1) for _ in range(kills)))
        assert tables(experiment) == undisturbed
        assert len({each.content for each in server.posts}) == ALL


@pytest.mark.skipif(not KILLS, reason="takes minutes: PROMPTLAB_KILLS=20 asks for it")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("concurrency", [16, 64])
def test_a_sweep_of_two_thousand_calls_survives_many_kills(
    server: FaultServer, tmp_path: Path, concurrency: int
) -> None:
    large: dict[str, Any] = {"rows": 400, "budget": "{calls: 2000}", "concurrency": concurrency}
    calm = write(tmp_path / "calm", server.url, **large)
    assert mine(calm).wait() == 0
    assert len(server.posts) == 2000
    server.seen.clear()
    experiment = write(tmp_path / "killed", server.url, **large)
    rng = random.Random(concurrency)
    moments = sorted(rng.randint(0, 2000) for _ in range(KILLS))
    lost = killed_and_completed(server, experiment, concurrency, moments)
    print(f"concurrency {concurrency}: {KILLS} kills at {moments}, lost {lost}, paid twice {repeated(server)}")
    assert tables(experiment) == tables(calm)
    assert len({each.content for each in server.posts}) == 2000


def killed_and_completed(server: FaultServer, experiment: Path, concurrency: int, moments: list[int]) -> list[int]:
    """Kill at so many requests each time, then let it end. How many answers each kill cost: at most those in flight."""
    rng = random.Random(len(moments))
    lost = []
    for moment in moments:
        sent, known = len(server.posts), logged(experiment)
        with running("mine", experiment, "--yes") as process:
            until(server, moment + sum(lost), process)  # what was lost is sent again
            time.sleep(rng.random() / 50)
            process.send(signal.SIGKILL)
            process.wait()
        settle(server)
        lost.append(len(server.posts) - sent - (logged(experiment) - known))
        assert 0 <= lost[-1] <= concurrency
    process = mine(experiment)
    assert process.wait() == 0, process.said()
    assert repeated(server) <= sum(lost)
    [folder] = (experiment.parent / "runs").iterdir()
    assert json.loads((folder / "manifest.json").read_text())["test_reads"] == 1
    return lost


def settle(server: FaultServer) -> None:
    """Until the server has seen all that a dead process left in the sockets."""
    seen = -1
    while seen != len(server.posts) or server.in_flight:
        seen = len(server.posts)
        time.sleep(0.02)


@pytest.mark.parametrize("budget", ["{tokens: 58000}", "{calls: 250, usd: 0.08}"])
def test_a_capped_run_that_was_killed_is_the_same_at_every_concurrency(
    server: FaultServer, tmp_path: Path, budget: str
) -> None:
    """The cap ends the search early, so whatever is admitted in another order would show."""
    found = []
    for concurrency in CONCURRENCIES:
        experiment = write(tmp_path / f"at {concurrency}", server.url, concurrency=concurrency, budget=budget)
        server.seen.clear()
        with running("mine", experiment, "--yes") as process:
            until(server, 40, process)
            process.send(signal.SIGKILL)
            process.wait()
        process = mine(experiment)
        assert process.wait() == 0, process.said()
        found.append(tables(experiment))
        assert 80 < len({each.content for each in server.posts}) < ALL
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("how", "after"), [("503", 20), ("reset", 150), ("502", 300)])
def test_an_outage_in_the_middle_ends_in_time_and_the_same_command_completes(
    server: FaultServer, tmp_path: Path, undisturbed: dict[str, str], how: str, after: int
) -> None:
    """In the first round, in a later one, while test is read; nothing answers any more from then on."""
    experiment = write(tmp_path / "cut off", server.url, concurrency=7)
    down = {
        "503": error(503, "we are down"),
        "reset": Reply(how="reset"),
        "502": raw("<html>bad gateway</html>", 502),
    }
    server.default = lambda body: answer(body) if len(server.posts) <= after else down[how]
    started = time.monotonic()
    process = mine(experiment)
    assert process.wait() == 3, process.said()
    assert time.monotonic() - started < 20
    assert after != 20 or "attempts in a row brought no answer" in process.said()
    assert "Every answer is kept: run the same command" in process.said()
    assert "Traceback" not in process.said()
    assert not (experiment.parent / "results.csv").exists()
    server.default = answer
    go_on(experiment, server)
    assert tables(experiment) == undisturbed


def test_too_many_errors_in_a_round_exit_3_and_nothing_is_scored_wrong(
    server: FaultServer, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    """Every fifth row fails: too few in a row for a dead server, too many for a round that may close."""
    experiment = write(tmp_path / "flaky", server.url)
    server.default = lambda body: error(500) if hash_of(body) % 5 == 0 else answer(body)
    process = mine(experiment)
    assert process.wait() == 3, process.said()
    assert "more than endpoint.max_errors (2%) allows" in process.said()
    server.default = answer
    go_on(experiment, server)
    assert tables(experiment) == undisturbed


def hash_of(body: object) -> int:
    return sum(json.dumps(body).encode())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_stops_in_good_order_and_the_same_command_goes_on(
    server: FaultServer, tmp_path: Path, undisturbed: dict[str, str], number: signal.Signals, code: int
) -> None:
    experiment = write(tmp_path / "stopped", server.url, concurrency=7)
    with running("mine", experiment, "--yes") as process:
        until(server, 100, process)
        process.send(number)
        assert process.wait() == code
        assert f"stopped by {number.name}" in process.said()
    sent = len(server.posts)
    assert sent < ALL
    go_on(experiment, server)
    assert repeated(server) == 0  # what was in flight landed before the process ended
    assert len(server.posts) == ALL
    assert tables(experiment) == undisturbed


def test_after_a_signal_nothing_is_sent_that_only_waits_for_its_turn(server: FaultServer, tmp_path: Path) -> None:
    """Neither what the limiter holds back (64 calls are wanted, 16 may fly at first), nor what was turned away."""
    experiment = write(tmp_path / "waiting", server.url, concurrency=64)
    server.default = lambda body: replace(answer(body), delay=0.5)
    with running("mine", experiment, "--yes") as process:
        until(server, 16, process)
        process.send(signal.SIGINT)
        assert process.wait() == 130
    assert len(server.posts) == logged(experiment) == 16
    server.default = lambda body: error(429, headers={"retry-after": "1"}) if len(server.posts) > 100 else answer(body)
    with running("mine", experiment, "--yes") as process:
        until(server, 101, process)
        started = time.monotonic()
        process.send(signal.SIGINT)
        assert process.wait() == 130
    assert time.monotonic() - started < 3
    sent = len(server.posts)
    server.default = answer
    go_on(experiment, server)
    assert repeated(server) <= sent - 100  # what was turned away is no answer


@pytest.mark.skipif(not KILLS, reason="takes ten seconds: PROMPTLAB_KILLS asks for it")
def test_what_is_in_flight_has_ten_seconds_to_land_after_a_signal(server: FaultServer, tmp_path: Path) -> None:
    experiment = write(tmp_path / "slow", server.url, concurrency=7)
    server.default = lambda body: replace(answer(body), delay=60.0 if len(server.posts) == 3 else 2.0)
    with running("mine", experiment, "--yes") as process:
        until(server, 7, process)
        started = time.monotonic()
        process.send(signal.SIGINT)
        assert process.wait() == 130
        assert 9 < time.monotonic() - started < 12
    assert len(server.posts) == 7
    assert logged(experiment) == 6


def test_a_second_signal_ends_it_now(server: FaultServer, tmp_path: Path) -> None:
    experiment = write(tmp_path / "stopped", server.url, concurrency=7)
    server.default = lambda body: Reply(delay=30.0)
    with running("mine", experiment, "--yes") as process:
        until(server, 7, process)
        process.send(signal.SIGINT)
        time.sleep(0.3)
        assert process.process.is_alive()  # it waits for what is in flight
        started = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.wait() == 143
        assert time.monotonic() - started < 2


def test_minutes_interrupt_with_exit_4_and_leave_test_unread(
    server: FaultServer, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    experiment = write(tmp_path / "short", server.url, concurrency=1, budget="{calls: 330, minutes: 0.01}")
    server.default = lambda body: replace(answer(body), delay=0.01)
    process = mine(experiment)
    assert process.wait() == 4, process.said()
    assert "budget.minutes (0.01) is over" in process.said()
    assert not (experiment.parent / ".promptlab" / "test_reads.json").exists()
    server.default = answer
    go_on(experiment, server, "--set", "search.budget.minutes=5")
    assert repeated(server) == 0
    assert tables(experiment) == undisturbed  # minutes decide nothing, so it is the same run


def test_a_second_process_on_the_same_run_is_refused_and_a_lock_dies_with_its_holder(
    server: FaultServer, tmp_path: Path
) -> None:
    experiment = write(tmp_path / "shared", server.url, concurrency=1)
    server.default = lambda body: replace(answer(body), delay=0.1)
    with running("mine", experiment, "--yes") as first:
        until(server, 20, first)
        second = mine(experiment)
        assert first.process.is_alive()
        assert second.wait() == 2
        assert "this run is going on already: process" in second.said()
        assert f"process {first.process.pid} on {os.uname().nodename}" in second.said()
        first.send(signal.SIGKILL)
        first.wait()
    server.default = answer
    go_on(experiment, server)


@pytest.mark.parametrize("name", ["runs/*/run.sqlite", ".promptlab/cache.sqlite"])
def test_a_damaged_file_is_named_on_stderr_and_the_run_goes_on(
    server: FaultServer, tmp_path: Path, undisturbed: dict[str, str], name: str
) -> None:
    experiment = write(tmp_path / "damaged", server.url)
    with running("mine", experiment, "--yes") as process:
        until(server, 100, process)
        process.send(signal.SIGKILL)
        process.wait()
    [path] = experiment.parent.glob(name)
    for each in path.parent.glob(f"{path.name}*"):  # its journal holds good copies of all pages, and would mend it
        each.write_bytes(b"garbage" * 1000)
    process = mine(experiment)
    assert process.wait() == 0, process.said()
    assert f"{path} was damaged" in process.said()
    assert repeated(server) <= 7 + (64 if "runs" in name else 0)  # the cache may lack the last group of the log
    assert tables(experiment) == undisturbed
