"""What may go wrong around a run's two files and its budget: nothing is lost, and nothing is paid for twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_server import FAST, SOON, BatchServer, ask, endpoint
from fault_server import FaultServer, Reply, error
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_project import Running, answer, counted, logged, mine, repeated, running, tables_of, write

from promptlab.drive import Driver, Halt
from promptlab.endpoint.batch.batch import Batch
from promptlab.endpoint.pool import Pool
from promptlab.endpoint.retry import Backoff
from promptlab.errors import EndpointUnusable, Interrupted
from promptlab.meter import Cost, Meter, actual
from promptlab.records import Call, Completion, Endpoint, Flow, Model, Price, Request
from promptlab.store import Store

TOKENS = "{tokens: 58000}"  # ends the search early
GROUP = 64  # calls that the cache may be behind the log
OTHER = {"name": "other.yaml", "allocate": "full", "budget": "{calls: 400}"}  # asks for all that the usual one asks for


@pytest.fixture(scope="module")
def one_server() -> Iterator[FaultServer]:
    """One for all tests: its address is part of what a run is."""
    with FaultServer() as served:
        yield served


@pytest.fixture
def server(one_server: FaultServer) -> FaultServer:
    one_server.default = answer
    one_server.seen.clear()
    return one_server


def until(server: FaultServer, posts: int, process: Running) -> None:
    while len(server.posts) < posts and process.process.is_alive():
        time.sleep(0.001)


def killed(experiment: Path, server: FaultServer, posts: int) -> None:
    """A run that dies when it has sent so many requests."""
    with running("mine", experiment, "--yes") as process:
        until(server, posts, process)
        process.send(signal.SIGKILL)
        process.wait()


def completed(experiment: Path, *args: str) -> Running:
    process = mine(experiment, *args)
    assert process.wait() == 0, process.said()
    return process


def found(folder: Path, rows: str) -> dict[str, str]:
    """The tables of the run of a folder that has so many predictions more or less than the others: by its budget."""
    [run] = [each.parent for each in folder.glob("runs/*/manifest.json") if rows in each.read_text()]
    return tables_of(run)


@pytest.mark.parametrize("resumed", [False, True], ids=["killed", "killed and resumed"])
def test_another_experiment_pays_at_most_for_the_last_group_of_a_run_that_was_killed(
    server: FaultServer, tmp_path: Path, resumed: bool
) -> None:
    first = write(tmp_path, server.url, concurrency=16)
    killed(first, server, 94)  # in the middle of a round: when one closes, the cache is brought up to date
    assert logged(first) - counted(tmp_path / ".promptlab" / "cache.sqlite") <= GROUP
    paid = repeated(server)
    if resumed:
        completed(first)
        paid = repeated(server)
        assert paid <= 16
    completed(write(tmp_path, server.url, **OTHER))
    assert repeated(server) - paid <= (0 if resumed else GROUP + 16)


def test_two_experiments_of_one_project_may_run_at_once(server: FaultServer, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    completed(write(alone, server.url, concurrency=16))
    completed(write(alone, server.url, **OTHER))
    together = tmp_path / "together"
    both = [write(together, server.url, concurrency=16), write(together, server.url, **OTHER)]
    with ExitStack() as stack:
        going = [stack.enter_context(running("mine", each, "--yes")) for each in both]
        assert [each.wait() for each in going] == [0, 0], [each.said() for each in going]
        assert all("locked" not in each.said() for each in going)
    for budget in ('"calls": 330', '"calls": 400'):
        assert found(together, budget) == found(alone, budget)


def test_a_cache_deleted_while_it_is_used_costs_nothing_and_is_whole_again_after_a_kill(
    server: FaultServer, tmp_path: Path
) -> None:
    experiment = write(tmp_path, server.url)
    cache = tmp_path / ".promptlab" / "cache.sqlite"
    with running("mine", experiment, "--yes") as process:
        until(server, 100, process)
        for each in cache.parent.glob("cache.sqlite*"):
            each.unlink()
        until(server, 200, process)
        process.send(signal.SIGKILL)
        process.wait()
    completed(experiment)
    assert repeated(server) <= 7
    assert counted(cache) == counted(next(tmp_path.glob("runs/*/run.sqlite"))) == 328


def call(key: str, **changes: Any) -> Call:
    return replace(Call(key, "answer", Completion("a long answer " * 20)), **changes)


def keys(count: int) -> list[str]:
    return [hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(count)]


def scribbled(path: Path) -> None:
    """The first pages are whole; those behind them are not."""
    content = bytearray(path.read_bytes())
    content[8192:] = random.Random(1).randbytes(len(content) - 8192)
    path.write_bytes(content)


def test_a_cache_that_turns_out_damaged_while_it_is_written_is_begun_anew_with_all_that_the_run_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file too large to be read through when it is opened."""
    cache, log = tmp_path / "cache.sqlite", tmp_path / "run" / "run.sqlite"
    store = Store(tmp_path / "earlier.sqlite", cache)
    for key in keys(2000)[1000:]:
        store.record(call(key))
    store.close()
    monkeypatch.setattr("promptlab.database.CHECKED", 1000)
    store = Store(log, cache)
    for key in keys(500):
        store.record(call(key))
    store._flush()
    store._cache.rows("pragma wal_checkpoint(truncate)")  # type: ignore[union-attr]
    store.close()
    scribbled(cache)
    store = Store(log, None)
    store._cache, store._resumed = Store(tmp_path / "x.sqlite", cache)._cache, True
    for key in keys(700)[500:]:
        store.record(call(key))
    store._flush()
    [note] = store.notes()
    assert "cache.sqlite is damaged" in note
    assert "begun anew" in note
    assert "same command" not in note  # the run goes on
    store.close()
    assert counted(cache) == counted(log) == 700


def test_a_log_that_turns_out_damaged_says_so_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noted after that, on the way out, must not speak of a closed file instead."""
    store = Store(tmp_path / "run.sqlite", None)
    for key in keys(2000):
        store.record(call(key))
    store._run.rows("pragma wal_checkpoint(truncate)")
    scribbled(tmp_path / "run.sqlite")
    store._run.rows("pragma shrink_memory")
    with pytest.raises(Interrupted, match=r"run\.sqlite is damaged .* moved to"):
        list(map(store.known, keys(2000)))
    with pytest.raises(Interrupted, match=r"run\.sqlite is damaged .* moved to"):
        store.note("left_out", {})
    store.close()


def test_what_the_cache_said_is_known_also_if_the_cache_is_gone_in_that_moment(tmp_path: Path) -> None:
    """The same request may be asked for again before the log was told; it was counted once and must be found."""
    first = Store(tmp_path / "one.sqlite", tmp_path / "cache.sqlite")
    first.record(call("k"))
    first.close()
    second = Store(tmp_path / "two.sqlite", tmp_path / "cache.sqlite")
    assert second.found("k") is not None
    second._cache.rows("delete from calls")  # type: ignore[union-attr]
    assert second.known("k") == call("k", cached=True)
    second.close()
    assert counted(tmp_path / "two.sqlite", "cached = 1") == 1


def test_a_full_disk_under_the_cache_alone_stops_the_run_and_its_answers_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "run.sqlite", tmp_path / "cache.sqlite")
    pages = store._cache.rows("pragma page_count")[0][0]  # type: ignore[union-attr]
    store._cache.rows(f"pragma max_page_count = {pages + 5}")  # type: ignore[union-attr]
    with pytest.raises(Interrupted, match=r"cache\.sqlite: database or disk is full\. Every answer so far is kept"):
        list(map(store.record, map(call, keys(1000))))
    store.close()
    recorded = counted(tmp_path / "run.sqlite")
    assert recorded
    assert recorded % GROUP == 0
    store = Store(tmp_path / "run.sqlite", tmp_path / "cache.sqlite")  # there is room again
    assert all(store.known(key) == call(key) for key in keys(recorded))
    store.close()
    assert counted(tmp_path / "cache.sqlite") == recorded


@contextmanager
def tight(folder: Path, size: str) -> Iterator[None]:
    """A file system of so many bytes at a folder."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


@pytest.mark.parametrize("full", [".", ".promptlab", "runs"])
def test_a_full_disk_stops_the_run_with_a_sentence_and_with_room_the_same_command_goes_on(
    server: FaultServer, tmp_path: Path, full: str
) -> None:
    calm = completed(write(tmp_path / "calm", server.url, metrics="{main: exact}")).output.parent
    server.seen.clear()
    folder = tmp_path / "project"
    with tight(folder / full, "320k" if full == "." else "200k"):
        experiment = write(folder, server.url, metrics="{main: exact}")
        process = mine(experiment)
        said = process.said()
        assert process.wait() in (2, 4), said
        assert "Traceback" not in said
        assert "full" in said or "No space left" in said
        sent = len(server.posts)
        known = logged(experiment)
        assert 0 <= sent - known <= 7
        subprocess.run(["mount", "-o", "remount,size=50m", folder / full], check=True)
        completed(experiment)
        assert repeated(server) <= sent - known
        assert len({each.content for each in server.posts}) == 328
        assert found(folder, "330") == found(calm, "330")


def test_nothing_is_sent_once_the_log_cannot_be_written(tmp_path: Path) -> None:
    """Also not in the seats of those whose answers were the last straw."""
    asked = []

    class Wire:
        width = 4

        async def call(self, request: Request) -> Call:
            asked.append(request)
            await asyncio.sleep(0.01)
            return call(request.key)

    class Full(Memory):
        def record(self, *calls: Call) -> None:
            raise Interrupted("the disk is full")

    def once(text: str) -> Flow[str]:
        completion = yield request(text, Endpoint("http://localhost/v1"))
        return str(completion.text)

    async def go() -> None:
        await Driver(Wire(), Full(), Meter(Cost(1000, math.inf, math.inf)), Halt()).run(
            map(once, map(str, range(50))), lambda *_: None
        )

    with pytest.raises(Interrupted, match="the disk is full"):
        asyncio.run(go())
    assert len(asked) == 4


def test_after_a_halt_no_batch_is_begun_and_one_that_was_sent_may_be_answered(tmp_path: Path) -> None:
    async def go(server: BatchServer, memory: Store) -> list[Any]:
        where = endpoint(server.url)
        async with Batch(where, server.url, "", memory, settings=replace(FAST, quiet=0.3), backoff=SOON) as batch:
            sent = asyncio.create_task(batch.call(ask(where, "sent")))
            while not server.batches:
                await asyncio.sleep(0.01)
            waiting = asyncio.create_task(batch.call(ask(where, "waiting")))
            await asyncio.sleep(0.05)
            batch.stop()
            found = await asyncio.wait_for(asyncio.gather(sent, waiting, return_exceptions=True), 5)
            await asyncio.sleep(0.4)
            return found

    with BatchServer() as served:
        store = Store(tmp_path / "run.sqlite", None)
        sent, waiting = asyncio.run(go(served, store))
        store.close()
        assert sent.completion.text == "tnes"
        assert isinstance(waiting, EndpointUnusable)
        assert len(served.batches) == 1


def test_the_wall_clock_may_jump_as_it_likes(server: FaultServer, tmp_path: Path) -> None:
    """Hours forward and back, at every look: minutes, pauses, limits and latencies are of another clock."""
    first: Counter[str] = Counter()

    def moody(body: Any) -> Reply:
        text = json.dumps(body)
        first[text] += 1
        if first[text] == 1 and sum(text.encode()) % 40 == 0:
            return error(429, headers={"retry-after-ms": "20"})
        return answer(body)

    changes: dict[str, Any] = {"budget": "{calls: 330, minutes: 1}", "endpoint": ", rpm: 30000"}
    calm = completed(write(tmp_path / "calm", server.url, **changes)).output.parent
    server.default = moody
    server.seen.clear()
    experiment = write(tmp_path / "jumping", server.url, **changes)
    with running("mine", experiment, "--yes", jumping=True) as process:
        assert process.wait() == 0, process.said()
    assert max(first.values()) == 2
    assert found(experiment.parent, "330") == found(calm, "330")
    [log] = experiment.parent.glob("runs/*/run.sqlite")
    with sqlite3.connect(log) as db:
        [(low, high)] = db.execute("select min(latency), max(latency) from calls")
    db.close()
    assert 0 < low <= high < 30


PRICE = Price(input=1.5, output=7.25)


def request(text: str, endpoint: Endpoint) -> Request:
    body = {"model": "tiny", "max_tokens": 12, "messages": [{"role": "user", "content": text}]}
    return Request(Model("tiny", endpoint, "tiny", PRICE), "/chat/completions", body)


class Memory:
    """A log."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}

    def known(self, key: str) -> Call | None:
        found = self.calls.get(key)
        return found if found and found.completion else None

    found = known

    def record(self, *calls: Call) -> None:
        self.calls |= {call.key: call for call in calls}


async def spent(server: FaultServer, width: int, texts: list[str], cap: Cost) -> tuple[list[bool], list[Cost]]:
    """Which of the plan's cells were admitted, and what was spent whenever an answer came."""
    endpoint = Endpoint(server.url, concurrency=width, max_retries=8)
    log, meter = Memory(), Meter(cap)
    so_far: list[Cost] = []

    def once(text: str) -> Flow[str]:
        completion = yield request(text, endpoint)
        return str(completion.text)

    async with Pool(endpoint, server.url, "none", backoff=Backoff(0.002, 0.004)) as pool:
        driver = Driver(pool, log, meter, Halt())
        driver.landed = lambda call: so_far.append((so_far[-1] if so_far else Cost()) + actual(call))
        done = await driver.run(map(once, texts), lambda place, value, calls: value)
    return [each is not None for each in done], so_far


@settings(max_examples=6, phases=[Phase.generate])
@given(
    seed=st.integers(0, 2**32),
    tokens=st.integers(1000, 14_000),
    usd=st.one_of(st.none(), st.floats(0.001, 0.02)),
    refused=st.floats(0.0, 0.5),
)
def test_the_same_cells_are_admitted_at_any_concurrency_and_no_cap_is_passed_whatever_is_turned_away(
    one_server: FaultServer, seed: int, tokens: int, usd: float | None, refused: float
) -> None:
    """Turned away with and without a pause, failed and asked again: the adaptive limiter decides nothing."""
    server = one_server
    rng = random.Random(seed)
    texts = [f"{seed} {n} " + "x" * rng.randint(0, 120) for n in range(120)]
    cap = Cost(100, tokens, usd or float("inf"))
    admitted = []
    for width in (1, 7, 64):
        tries: Counter[str] = Counter()

        def fitful(body: Any, width: int = width, tries: Counter[str] = tries) -> Reply:
            text = body["messages"][0]["content"]
            tries[text] += 1
            luck = random.Random(f"{width} {text} {tries[text]}").random()
            if tries[text] < 5 and luck < refused:
                return error(*random.Random(text).choice([(429,), (429,), (500,), (503,)]))
            usage = {"prompt_tokens": len(text.encode()) // 2, "completion_tokens": 1 + len(text) % 12}
            return replace(answer(body), body=_used(answer(body).body, usage), delay=luck / 200)

        server.default = fitful
        done, so_far = asyncio.run(spent(server, width, texts, cap))
        assert all(each.within(cap) for each in so_far)
        admitted.append(done)
    assert admitted[0] == admitted[1] == admitted[2]
    assert any(admitted[0])


def _used(body: bytes, usage: dict[str, int]) -> bytes:
    return json.dumps({**json.loads(body), "usage": usage}).encode()


def test_a_capped_run_is_the_same_at_every_concurrency_also_where_some_are_turned_away(
    server: FaultServer, tmp_path: Path
) -> None:
    found_at = []
    for concurrency in (1, 64):
        tries: Counter[str] = Counter()

        def fitful(body: Any, tries: Counter[str] = tries) -> Reply:
            text = json.dumps(body)
            tries[text] += 1
            return error(429) if tries[text] == 1 and sum(text.encode()) % 100 == 0 else answer(body)

        server.default = fitful
        experiment = write(
            tmp_path / f"at {concurrency}", server.url, concurrency=concurrency, budget=TOKENS, allocate="full"
        )
        completed(experiment)
        assert max(tries.values()) == 2
        [manifest] = experiment.parent.glob("runs/*/manifest.json")
        found_at.append(tables_of(manifest.parent))
        assert 80 < len(tries) < 328
    assert found_at[0] == found_at[1]
