"""Driving flows: plan order out, width kept and filled, nothing asked twice, nothing lost when it stops."""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from fault_server import FaultServer, error, ok

from promptlab.drive import AHEAD, Driver, Halt
from promptlab.endpoint.pool import Pool
from promptlab.errors import BadInput, CallFailed, EndpointUnusable, Interrupted
from promptlab.meter import Cost, Meter, worst_case
from promptlab.proposers.meta import answered
from promptlab.records import Call, Completion, Endpoint, Flow, Model, Request, Usage


@dataclass(frozen=True)
class Outcome:
    value: Any
    calls: tuple[Call, ...]


def outcome(place: int, value: Any, calls: tuple[Call, ...]) -> Outcome:
    return Outcome(value, calls)


FREE = Cost(math.inf, math.inf, math.inf)
MODEL = Model("m", Endpoint("http://somewhere/v1"), "m")


def request(text: str) -> Request:
    return Request(MODEL, "/chat/completions", {"messages": text, "max_tokens": 5})


def said(call: Request) -> str:
    return str(call.body["messages"])


class Memory:
    """A log in memory."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}

    def known(self, key: str) -> Call | None:
        call = self.calls.get(key)
        return call if call and call.completion else None

    found = known

    def record(self, *calls: Call) -> None:
        self.calls |= {call.key: call for call in calls}


class Wire:
    """Answers with what ``reply`` says (text, or an error), after what ``wait`` says; counts who is in flight."""

    def __init__(self, width: int, wait: Callable[[str], Any] | None = None, reply: Callable[[str], Any] = str) -> None:
        self.width = width
        self.wait, self.reply = wait, reply
        self.asked: list[str] = []
        self.flying = self.peak = 0

    async def call(self, asked: Request) -> Call:
        self.asked.append(said(asked))
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        try:
            if self.wait:
                await self.wait(said(asked))
            reply = self.reply(said(asked))
        finally:
            self.flying -= 1
        if isinstance(reply, Exception) and not isinstance(reply, CallFailed):
            raise reply
        if isinstance(reply, CallFailed):
            return Call(asked.key, "answer", None, error=str(reply))
        return Call(asked.key, "answer", Completion(reply, usage=Usage(2, len(reply))))


def driven(wire: Wire, flows: Iterable[Flow[Any]], **parts: Any) -> list[Outcome | None]:
    async def go() -> list[Outcome | None]:
        halt = Halt()
        driver = Driver(
            wire, parts.get("log") or Memory(), parts.get("meter") or Meter(FREE), halt, parts.get("drain", 5)
        )
        if "halting" in parts:
            parts["halting"](halt)
        return await driver.run(flows, outcome)

    return asyncio.run(go())


def values(outcomes: list[Outcome | None]) -> list[Any]:
    return [outcome and outcome.value for outcome in outcomes]


def once(text: str) -> Flow[str]:
    completion = yield request(text)
    return completion.text


def jitter(text: str) -> Any:
    return asyncio.sleep(random.Random(text).random() / 200)


def test_a_flow_of_several_steps_is_sent_each_answer_and_leaves_its_calls_in_order() -> None:
    def chained() -> Flow[str]:
        first = yield request("a")
        second = yield request(first.text + "b")
        return second.text + "c"

    [outcome] = driven(Wire(3), [chained()])
    assert outcome is not None
    assert outcome.value == "abc"
    assert [call.completion and call.completion.text for call in outcome.calls] == ["a", "ab"]


def test_an_awaitable_is_awaited_and_what_it_raises_is_raised_in_the_flow() -> None:
    async def judged(value: float) -> float:
        await asyncio.sleep(0)
        if value < 0:
            raise ValueError("below zero")
        return value

    def scored() -> Flow[Any]:
        yield request("a")
        good = yield judged(0.5)
        try:
            yield judged(-1)
        except ValueError as error:
            return good, str(error)

    assert values(driven(Wire(1), [scored()])) == [(0.5, "below zero")]


def test_a_failed_call_is_thrown_into_its_flow_which_may_go_on() -> None:
    def careful() -> Flow[str]:
        try:
            yield request("bad")
        except CallFailed as failure:
            again = yield request("good")
            return f"{failure}, then {again.text}"
        return "never"

    wire = Wire(2, reply=lambda text: CallFailed("HTTP 500") if text == "bad" else text)
    [outcome] = driven(wire, [careful()])
    assert outcome is not None
    assert outcome.value == "HTTP 500, then good"
    assert [call.error for call in outcome.calls] == ["HTTP 500", ""]


@pytest.mark.parametrize("width", [1, 7, 64])
def test_outcomes_are_in_plan_order_whatever_the_order_of_arrival_and_the_width_is_kept(width: int) -> None:
    texts = [str(n) for n in range(150)]
    wire = Wire(width, jitter)
    assert values(driven(wire, map(once, texts))) == texts
    assert wire.peak == width


def test_there_is_no_barrier_a_slow_call_holds_nobody_up() -> None:
    """The first call ends only when 30 later ones have: with a barrier between batches this would hang."""

    async def go() -> list[Any]:
        later = asyncio.Event()
        seen: list[str] = []

        async def wait(text: str) -> None:
            if text == "0":
                await later.wait()
            seen.append(text)
            if len(seen) == 30:
                later.set()

        driver = Driver(Wire(2, wait), Memory(), Meter(FREE), Halt())
        return values(await asyncio.wait_for(driver.run(map(once, map(str, range(40))), outcome), 5))

    assert asyncio.run(go()) == [str(n) for n in range(40)]


def test_seats_are_filled_although_latencies_differ() -> None:
    """Mean in flight over width, weighted by time, while there is still work to start."""
    wire = Wire(16)
    area = last = 0.0
    times: list[float] = []

    async def wait(text: str) -> None:
        nonlocal area, last
        times.append(now := asyncio.get_running_loop().time())
        area, last = area + (wire.flying - 1) * (now - (last or now)), now
        await asyncio.sleep(0.02 if text.endswith("7") else 0.002)
        now = asyncio.get_running_loop().time()
        area, last = area + wire.flying * (now - last), now
        if len(times) == 400 and len(ends) < 1:
            ends.append(area / (now - times[0]))

    ends: list[float] = []
    wire.wait = wait
    driven(wire, map(once, map(str, range(400))))
    assert ends[0] > 0.93 * 16


def test_the_plan_is_read_lazily() -> None:
    """A large space is never materialised: no more flows exist than there are seats, and as many that stand ready."""
    made = ended = 0

    def counted(text: str) -> Flow[None]:
        nonlocal made, ended
        made += 1
        assert made - ended <= 10
        yield request(text)
        ended += 1

    driven(Wire(5, jitter), (counted(str(n)) for n in range(100)))
    assert ended == 100


def test_what_stands_ready_is_bounded_also_where_seats_are_many() -> None:
    made = ended = 0

    def counted(text: str) -> Flow[None]:
        nonlocal made, ended
        made += 1
        assert made - ended <= 1000 + AHEAD
        yield request(text)
        ended += 1

    driven(Wire(1000, jitter), (counted(str(n)) for n in range(3000)))
    assert ended == 3000


def test_an_answer_is_in_the_log_before_its_seat_is_taken_again() -> None:
    """Else a kill would cost more than what is in flight."""
    log = Memory()
    wire = Wire(4)
    begun = 0

    async def wait(_: str) -> None:
        nonlocal begun
        begun += 1
        assert begun - len(log.calls) <= 4
        await asyncio.sleep(0.001)

    wire.wait = wait
    driven(wire, map(once, map(str, range(60))), log=log)
    assert len(log.calls) == 60


def test_flows_that_ask_the_same_at_once_share_one_call_that_counts_once() -> None:
    wire, meter = Wire(8, jitter), Meter(FREE)
    outcomes = driven(wire, [once("same") for _ in range(8)] + [once("other"), once("same")], meter=meter)
    assert values(outcomes) == ["same"] * 8 + ["other", "same"]
    assert sorted(wire.asked) == ["other", "same"]
    assert meter.done.calls == 2
    calls = [outcome.calls[0] for outcome in outcomes if outcome]
    assert [call.cached for call in calls] == [False, *[True] * 7, False, True]


def test_a_shared_call_that_fails_fails_for_everyone_and_counts_nothing() -> None:
    def asked() -> Flow[str]:
        try:
            yield request("bad")
        except CallFailed as failure:
            return str(failure)
        return "never"

    wire, meter = Wire(4, jitter, lambda _: CallFailed("HTTP 500")), Meter(FREE)
    assert values(driven(wire, [asked() for _ in range(4)], meter=meter)) == ["HTTP 500"] * 4
    assert wire.asked == ["bad"]
    assert meter.done == Cost()


def test_after_a_halt_nothing_starts_what_is_in_flight_lands_and_every_flow_is_closed() -> None:
    log, ends = Memory(), []
    wire = Wire(4)

    def watched(text: str) -> Flow[None]:
        try:
            yield request(text)
            yield request(text + " again")
            ends.append("done")
        except GeneratorExit:
            ends.append("closed")
            raise

    def halting(halt: Halt) -> None:
        async def wait(text: str) -> None:
            await asyncio.sleep(0.01)
            halt(Interrupted("enough", 130))
            halt(Interrupted("the first reason stands", 4))
            await asyncio.sleep(0.01)

        wire.wait = wait

    with pytest.raises(Interrupted, match="enough") as caught:
        driven(wire, map(watched, map(str, range(50))), log=log, halting=halting)
    assert caught.value.exit_code == 130
    assert wire.asked == ["0", "1", "2", "3"]
    assert len(log.calls) == 4
    assert ends == ["closed"] * 8  # four were in flight, four stood ready


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_the_wait_for_what_is_in_flight_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    def halting(halt: Halt) -> None:
        asyncio.get_running_loop().call_later(0.02, halt, Interrupted("enough"))

    wire = Wire(3, lambda text: asyncio.sleep(30 if text == "1" else 0.01))
    started = time.monotonic()
    with pytest.raises(Interrupted):
        driven(wire, map(once, map(str, range(5000))), halting=halting, drain=0.1)
    assert time.monotonic() - started < 5
    gc.collect()
    assert "never retrieved" not in caplog.text


@pytest.mark.parametrize(
    "trouble", [BadInput("row 9 cannot be scored"), ZeroDivisionError("a bug")], ids=["bad input", "a bug"]
)
def test_an_error_in_a_flow_stops_the_run_and_loses_no_answer(trouble: Exception) -> None:
    def troubled(text: str) -> Flow[str]:
        completion = yield request(text)
        if text == "9":
            raise trouble
        return completion.text

    log, wire = Memory(), Wire(4, jitter)
    with pytest.raises(type(trouble)) as caught:
        driven(wire, map(troubled, map(str, range(500))), log=log)
    assert caught.value is trouble
    assert len(log.calls) == len(wire.asked) < 40


@pytest.mark.parametrize("trouble", [EndpointUnusable("wrong key"), RuntimeError("a bug")], ids=["fatal", "a bug"])
def test_an_error_of_the_transport_stops_the_run_and_loses_no_answer(trouble: Exception) -> None:
    log = Memory()
    wire = Wire(4, jitter, lambda text: trouble if text == "20" else text)
    with pytest.raises(type(trouble)) as caught:
        driven(wire, map(once, map(str, range(500))), log=log)
    assert caught.value is trouble
    assert len(log.calls) == len(wire.asked) - 1 < 60


def test_who_joined_a_call_that_was_fatal_hears_the_same() -> None:
    wire = Wire(4, jitter, lambda _: EndpointUnusable("wrong key"))
    with pytest.raises(EndpointUnusable, match="wrong key"):
        driven(wire, [once("same") for _ in range(4)])


@pytest.mark.parametrize(("width", "attempts", "most"), [(1, 7, 3), (16, 7, 32), (64, 7, 64 + 19), (7, 1, 40)])
def test_a_dead_server_is_given_up_after_a_few_rows_not_after_the_whole_plan(
    width: int, attempts: int, most: int
) -> None:
    """Every failed row has waited through its own retries already: the more of those, the fewer rows it takes."""

    class Dead(Wire):
        async def call(self, asked: Request) -> Call:
            await super().call(asked)
            return Call(asked.key, "answer", None, attempts=attempts, error="HTTP 503")

    def tolerant(text: str) -> Flow[None]:
        try:
            yield request(text)
        except CallFailed:
            return

    wire = Dead(width, jitter)
    with pytest.raises(EndpointUnusable, match="in a row brought no answer; the last error: HTTP 503"):
        driven(wire, map(tolerant, map(str, range(1000))))
    assert len(wire.asked) <= most + width


def test_failures_among_answers_do_not_give_the_server_up() -> None:
    def tolerant(text: str) -> Flow[bool]:
        try:
            yield request(text)
        except CallFailed:
            return False
        return True

    wire = Wire(4, jitter, lambda text: CallFailed("HTTP 500") if int(text) % 3 else text)
    assert sum(values(driven(wire, map(tolerant, map(str, range(300)))))) == 100


def test_known_calls_are_not_sent_and_a_long_replay_still_hears_a_halt() -> None:
    log, wire = Memory(), Wire(1)
    driven(wire, map(once, map(str, range(2000))), log=log)
    wire.asked.clear()
    assert values(driven(wire, map(once, map(str, range(2000))), log=log)) == [str(n) for n in range(2000)]
    assert wire.asked == []

    def halting(halt: Halt) -> None:
        asyncio.get_running_loop().call_later(0.001, halt, Interrupted("enough"))

    taken = 0

    def counted(text: str) -> Flow[None]:
        nonlocal taken
        taken += 1
        yield request(text)

    with pytest.raises(Interrupted):
        driven(wire, map(counted, map(str, range(2000))), log=log, halting=halting)
    assert 0 < taken < 2000


def test_rows_that_fail_again_do_not_give_the_server_up() -> None:
    """The second look at a round asks for nothing but what failed: that it fails in a row says nothing new."""

    def tolerant(text: str) -> Flow[str]:
        try:
            yield request(text)
        except CallFailed:
            return "error"
        return "ok"

    async def go() -> list[Any]:
        wire = Wire(2, jitter, lambda text: CallFailed("HTTP 500") if int(text) % 10 == 0 else text)
        driver = Driver(wire, Memory(), Meter(FREE), Halt())
        await driver.run(map(tolerant, map(str, range(300))), outcome)
        return values(await driver.run(map(tolerant, map(str, range(0, 300, 10))), outcome))

    assert asyncio.run(go()) == ["error"] * 30


# Several at once ------------------------------------------------------------------------------------------------------


def beside(*texts: str) -> Flow[list[str]]:
    """What several requests bring that go out side by side."""
    found = yield tuple(map(request, texts))
    return [f"failed: {each}" if isinstance(each, CallFailed) else each.text for each in found]


def test_requests_of_a_tuple_go_out_side_by_side_and_come_back_in_their_order() -> None:
    """Also where some fail, some are the same, and nothing is asked at all; the flow's calls are in that order, too."""

    async def wait(text: str) -> None:
        await asyncio.sleep(0.02 if text == "a" else 0.001)

    wire = Wire(8, wait, lambda text: CallFailed("HTTP 500") if text == "bad" else text)
    several, none = driven(wire, [beside("a", "bad", "b", "a", "c"), beside()])
    assert several is not None
    assert none is not None
    assert several.value == ["a", "failed: HTTP 500", "b", "a", "c"]
    assert [call.completion.text if call.completion else call.error for call in several.calls] == [
        "a", "HTTP 500", "b", "a", "c",
    ]  # fmt: skip
    assert [call.cached for call in several.calls] == [False, False, False, True, False]
    assert (none.value, none.calls) == ([], ())
    assert wire.peak == 4
    assert sorted(wire.asked) == ["a", "b", "bad", "c"], "one key is one call"


@pytest.mark.parametrize("width", [1, 64])
@pytest.mark.parametrize("cap", [Cost(23, math.inf, math.inf), Cost(math.inf, 160, math.inf)], ids=["calls", "tokens"])
def test_a_budget_admits_the_same_requests_of_tuples_at_any_concurrency(width: int, cap: Cost) -> None:
    """In plan order: a tuple's own first, in its order, then what stands behind it; and not one too many."""
    plan = [beside(*(f"{n}{letter}" for letter in "abcd")) if n % 2 else once(f"{n}") for n in range(40)]
    wire, meter = Wire(width, jitter), Meter(cap)
    done = values(driven(wire, plan, meter=meter))
    order = [text for n in range(40) for text in ([f"{n}{letter}" for letter in "abcd"] if n % 2 else [f"{n}"])]
    assert sorted(wire.asked) == sorted(order[: len(wire.asked)])
    assert 15 < len(wire.asked) < 60
    if not math.isinf(cap.calls):
        assert len(wire.asked) == cap.calls
    assert meter.done.calls <= cap.calls
    assert meter.done.tokens <= cap.tokens
    whole = [value for value in done if value is not None]
    assert len(wire.asked) - sum(len(value) if isinstance(value, list) else 1 for value in whole) < 4
    ADMITTED.setdefault(cap, len(wire.asked))
    assert ADMITTED[cap] == len(wire.asked)


ADMITTED: dict[Cost, int] = {}


def test_a_tuple_that_fits_only_one_by_one_is_asked_one_by_one() -> None:
    """Worst cases that do not fit together wait for one another: they do not end the search."""
    cap = Cost(math.inf, worst_case(request("a")).tokens + 2 * 3, math.inf)
    wire = Wire(8, jitter)
    assert values(driven(wire, [beside("a", "b", "c")], meter=Meter(cap))) == [["a", "b", "c"]]
    assert wire.peak == 1


def test_a_key_in_two_tuples_is_one_call() -> None:
    wire, meter = Wire(4, jitter), Meter(FREE)
    assert values(driven(wire, [beside("a", "b"), beside("b", "a"), once("a")], meter=meter)) == [
        ["a", "b"], ["b", "a"], "a",
    ]  # fmt: skip
    assert sorted(wire.asked) == ["a", "b"]
    assert meter.done.calls == 2


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_one_of_a_tuple_that_is_fatal_stops_the_run_at_once_and_the_others_land(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is in flight may land while the run drains; what hangs is withdrawn; nothing else starts."""
    log = Memory()

    async def wait(text: str) -> None:
        await asyncio.sleep({"slow": 0.05, "hung": 60}.get(text, 0.001))

    wire = Wire(4, wait, lambda text: EndpointUnusable("wrong key") if text == "fatal" else text)
    began = time.perf_counter()
    with pytest.raises(EndpointUnusable, match="wrong key"):
        driven(wire, [beside("slow", "fatal", "hung"), *map(once, map(str, range(100)))], log=log, drain=0.3)
    assert time.perf_counter() - began < 5
    gc.collect()
    assert not caplog.records
    assert {call.completion.text for call in log.calls.values() if call.completion} >= {"slow"}
    assert len(wire.asked) < 30


def test_a_halt_while_a_tuple_waits_for_its_budget_ends_the_run() -> None:
    """Nothing of it is left behind, in flight or waiting."""
    worst = worst_case(request("a")).tokens

    async def go() -> set[Any]:
        wire, halt = Wire(4, lambda _: asyncio.sleep(60)), Halt()
        driver = Driver(wire, Memory(), Meter(Cost(math.inf, 1.5 * worst, math.inf)), halt, drain=0.01)
        asyncio.get_running_loop().call_later(0.02, halt, Interrupted("enough"))
        with pytest.raises(Interrupted):
            await asyncio.wait_for(driver.run([beside("a", "b", "c")], outcome), 20)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(go()) == set()


def test_calls_of_a_proposer_go_out_together_and_who_failed_is_asked_once_more() -> None:
    """A real server that takes its time, the real client: eight calls of the meta model, two of which fail first."""
    bodies = [f"{n}" for n in range(8)]
    with FaultServer() as server:
        server.default = lambda body: ok(f"<prompt>text {body['messages'][0]['content']}</prompt>", delay=0.15)
        server.script(*[error(400, "no") if n in (2, 5) else ok("<prompt>t</prompt>", delay=0.15) for n in range(8)])
        meta = Model("m", Endpoint(server.url, concurrency=16, max_retries=0), "m")
        asked = [
            Request(meta, "/chat/completions", {"model": "m", "messages": [{"role": "user", "content": text}]})
            for text in bodies
        ]

        async def go() -> Any:
            async with Pool(meta.endpoint, server.url, "none") as pool:
                driver = Driver(pool, Memory(), Meter(Cost(20, math.inf, math.inf)), Halt())
                [found] = await driver.run([answered(asked)], outcome)
                return found

        found = asyncio.run(go())
    assert len(server.posts) == 10
    assert server.peak >= 6, "those that take their time, at once"
    assert all(found.value)
    assert sum(text == "t" for text in found.value) == 6, "and two by the second asking"
    assert len(found.calls) == 10
