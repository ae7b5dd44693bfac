"""How the pool holds back: the window and the limiter on a clock of our own, the pool against a real server."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest
from fault_server import FaultServer, Reply, error, ok, raw
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.endpoint.limiter import Limiter
from promptlab.endpoint.pool import Pool
from promptlab.endpoint.retry import Backoff
from promptlab.endpoint.window import Window
from promptlab.errors import EndpointUnusable
from promptlab.records import Call, Endpoint, Model, Request

T = TypeVar("T")
KEY = "sk-secret-0123456789abcdef"
QUICK = Backoff(base=0.001, cap=0.01)


class Skipping(selectors.DefaultSelector):
    """Does not wait but moves the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while everybody sleeps, and then at once."""

    def __init__(self) -> None:
        self.clock = Skipping()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns; an hour of sleep takes no time."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(work)


def now() -> float:
    return asyncio.get_running_loop().time()


# --- the window -------------------------------------------------------------------------------------------


def cut(window: Window, at: float = 0.0, wait: float = 0.0) -> None:
    window.turned_away(at, window.cuts, wait)


def flood(window: Window, at: float = 0.0) -> None:
    """So many 429s at once that they are no stray ones."""
    for _ in range(20):
        window.turned_away(at, 0, 0.0)


def test_slow_start_begins_at_16_or_the_width_and_doubles_each_round_trip() -> None:
    assert Window(4).seats == 4
    window, seen = Window(100), []
    for trip in range(4):
        seen.append(window.seats)
        for _ in range(window.seats):
            window.answered(trip * 0.05, 0.05, used=True)
    assert seen == [16, 32, 64, 100]
    assert (window.gap, window.cuts) == (0.0, 0)


def test_a_limit_that_is_not_used_does_not_grow() -> None:
    window = Window(64)
    for _ in range(1000):
        window.answered(0.0, 0.05, used=False)
    assert window.limit == 16
    flood(window)
    left = window.limit
    for _ in range(1000):
        window.answered(1.0, 0.05, used=False)
    assert window.limit == left < 16


def test_all_429s_to_what_was_sent_before_a_cut_cut_once() -> None:
    window = Window(16)
    flood(window)
    assert (window.cuts, window.limit) == (1, pytest.approx(0.9 * 16, rel=0.01))


def test_after_a_cut_comes_a_cool_down_then_the_next_cut_goes_deeper_where_most_is_turned_away() -> None:
    window = Window(16)
    window.answered(0.0, 0.5, used=False)
    for _ in range(50):
        cut(window, at=1.0)
    assert window.cuts == 1
    cut(window, at=1.4)  # an answer takes 0.5 s
    assert window.cuts == 1
    cut(window, at=1.6)
    assert window.cuts == 2
    assert window.limit == pytest.approx(0.9 * 16 * 0.6, rel=0.05)


def test_a_429_that_asks_for_a_pause_cuts_at_least_to_80_percent() -> None:
    window = Window(16)
    for _ in range(1000):
        window.answered(0.0, 0.05, used=False)
    cut(window, wait=1.0)
    assert window.limit == pytest.approx(0.8 * 16)


def test_the_way_back_is_quick_at_first_then_level_then_goes_on_to_the_ceiling() -> None:
    window, limits = Window(16), []
    for place in range(100):
        window.answered(place * 0.01, 0.1, used=True)
    cut(window, at=1.0)
    cut(window, at=2.0, wait=0.1)
    assert window.gap == pytest.approx(0.1 / window.limit)
    for place in range(2000):
        limits.append(window.limit)
        window.answered(2.0 + place * 0.01, 0.1, used=True)
    assert limits == sorted(limits)
    below = [limit for limit in limits if limit < 16]
    steps = [below[k + 10] - below[k] for k in range(0, len(below) - 10, 10)]
    level = min(range(len(steps)), key=lambda k: steps[k])
    assert 3 <= level < len(steps) - 3
    assert steps[level] < 0.2 * steps[0]
    assert (window.limit, window.gap) == (16, 0.0)


def test_stray_429s_at_any_width_do_not_strangle_the_pool() -> None:
    chance, window, least, at = random.Random(1), Window(64), 64.0, 0.0
    for place in range(20_000):
        at += 0.05 / window.limit
        if chance.random() < 0.05:
            cut(window, at)
        else:
            window.answered(at, 0.05, used=True)
        least = min(least, window.limit) if place > 1000 else least
    assert least > 40


def test_stray_429s_that_ask_for_pauses_leave_a_few_in_flight() -> None:
    window = Window(64)
    for place in range(2000):
        if place % 20 == 0:
            cut(window, place * 2.0, wait=1.0)
        else:
            window.answered(place * 2.0, 0.05, used=False)
    assert window.limit == 4


events = st.lists(
    st.tuples(st.floats(0, 3), st.floats(0.001, 30), st.booleans(), st.none() | st.floats(0, 120)), max_size=300
)


@given(ceiling=st.integers(1, 300), events=events)
def test_whatever_comes_the_limit_stays_between_one_and_the_ceiling(ceiling: int, events: list[Any]) -> None:
    window, at = Window(ceiling), 0.0
    for passed, seconds, used, wait in events:
        at += passed
        before = window.limit
        if wait is None:
            window.answered(at, seconds, used)
            assert window.limit >= before
        else:
            cut(window, at, wait)
            assert window.limit <= max(before, 4.0)
        assert 1 <= window.seats <= ceiling
        assert 0 < window.limit <= window.seats
        assert 0 <= window.gap < 3600


# --- the limiter ------------------------------------------------------------------------------------------


def test_a_free_seat_is_taken_without_a_turn_of_the_loop() -> None:
    async def take() -> int:
        async with limiter.seat():
            return limiter.flying

    limiter, work = Limiter(1), take()
    with pytest.raises(StopIteration) as done:
        work.send(None)
    assert (done.value.value, limiter.flying) == (1, 0)


def test_seats_are_given_in_the_order_of_asking() -> None:
    order: list[int] = []

    async def go() -> None:
        limiter = Limiter(2)

        async def one(number: int) -> None:
            async with limiter.seat():
                order.append(number)
                await asyncio.sleep(1)

        await asyncio.gather(*map(one, range(9)))
        assert now() == pytest.approx(5)

    virtually(go())
    assert order == list(range(9))


def test_who_is_called_off_at_the_moment_of_being_let_in_gives_the_seat_back() -> None:
    async def go() -> int:
        limiter = Limiter(1)

        async def one() -> None:
            async with limiter.seat():
                pass

        async with limiter.seat():
            waiting = asyncio.create_task(one())
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        return limiter.flying

    assert virtually(go()) == 0


def test_a_pause_stops_those_who_wait_and_those_who_come_and_then_spreads_nobody() -> None:
    async def go() -> list[float]:
        limiter = Limiter(4)

        async def one() -> float:
            async with limiter.seat():
                return now()

        limiter.pause(10)
        starts = await asyncio.gather(*(one() for _ in range(12)))
        assert not limiter.guarded
        return starts

    starts = virtually(go())
    assert 10 <= min(starts) == max(starts) <= 10.5


def test_after_a_cut_attempts_are_spread_evenly() -> None:
    async def go() -> list[float]:
        limiter, starts = Limiter(16), []

        async def one() -> None:
            async with limiter.seat() as seat:
                starts.append(now())
                await asyncio.sleep(1)
                limiter.answered(seat, 1.0, 0)

        await asyncio.gather(*(one() for _ in range(16)))
        async with limiter.seat() as seat:
            flood(limiter.window)
            limiter.turned_away(seat, 0.0)
        starts.clear()
        await asyncio.gather(*(one() for _ in range(20)))
        return starts

    starts = virtually(go())
    steps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert max(steps[:10]) < 0.08
    assert min(steps[2:10]) > 0.06  # 14.4 in flight for a second each


def test_a_pace_of_requests_is_kept_while_seats_stay_free_for_nobody() -> None:
    async def go() -> list[float]:
        limiter = Limiter(100, rpm=60)

        async def one() -> float:
            async with limiter.seat():
                return now()

        return await asyncio.gather(*(one() for _ in range(5)))

    assert virtually(go()) == pytest.approx([0, 0, 1, 2, 3], abs=0.001)


@pytest.mark.parametrize(("really", "second"), [(100, 0.0), (1000, 8.0), (1600, 14.0)])
def test_tokens_that_were_reserved_and_not_used_are_given_back_and_those_used_on_top_are_taken(
    really: int, second: float
) -> None:
    async def go() -> float:
        limiter = Limiter(4, tpm=6000)
        async with limiter.seat(1000) as seat:
            await asyncio.sleep(1)
            limiter.answered(seat, 1.0, really)
        started = now()
        async with limiter.seat(1000):
            return now() - started

    assert virtually(go()) == pytest.approx(second, abs=0.001)


def test_whoever_waits_for_tokens_goes_as_soon_as_some_are_given_back() -> None:
    async def go() -> float:
        limiter = Limiter(4, tpm=6000)

        async def large() -> None:
            async with limiter.seat(6000) as seat:
                await asyncio.sleep(2)
                limiter.answered(seat, 1.0, 10)

        first = asyncio.create_task(large())
        await asyncio.sleep(0)
        async with limiter.seat(100):
            at = now()
        await first
        return at

    assert virtually(go()) == pytest.approx(2)


class Watched(Limiter):
    """Looks at every one who is let in."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "flying" and value > getattr(self, "flying", 0):
            assert value <= self.window.seats
        super().__setattr__(name, value)


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 40), calls=st.integers(1, 120), seed=st.integers(0, 10**6))
def test_never_more_in_flight_than_the_limit_and_nobody_waits_for_ever(width: int, calls: int, seed: int) -> None:
    chance = random.Random(seed)

    async def go() -> None:
        limiter = Watched(width, rpm=chance.choice([None, 3000]), tpm=chance.choice([None, 60_000]))
        flying = 0

        async def one() -> None:
            nonlocal flying
            async with limiter.seat(50) as seat:
                flying += 1
                try:
                    assert flying <= limiter.flying <= width
                    await asyncio.sleep(seconds := chance.choice([0.0, 0.01, 1.0]))
                    if chance.random() < 0.3:
                        limiter.turned_away(seat, chance.choice([0.0, 0.0, 0.5]))
                    else:
                        limiter.answered(seat, seconds + 0.001, chance.choice([0, 50, 70]))
                finally:
                    flying -= 1

        tasks = [asyncio.create_task(one()) for _ in range(calls)]
        for task in chance.sample(tasks, calls // 4):
            await asyncio.sleep(chance.choice([0.0, 0.005, 0.2]))
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [each for each in done if isinstance(each, Exception)]
        assert (flying, limiter.flying) == (0, 0)

    virtually(go())


# --- a server that allows 200 calls a second, on our clock --------------------------------------------------


@dataclass
class Server:
    """Answers after 50 ms; a token bucket that holds one second's worth decides what is a 429."""

    rate: float = 200.0
    ask_wait: float = 0.0
    slow: float = 0.0  # the share that takes ten times as long
    free: float = field(init=False)
    at: float = 0.0
    answers: int = 0
    refusals: int = 0
    area: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(3))

    def __post_init__(self) -> None:
        self.free = self.rate

    async def ask(self) -> tuple[bool, float]:
        """Whether it was answered, and how long that took."""
        self.free = min(self.rate, self.free + (now() - self.at) * self.rate)
        self.at = now()
        if self.free < 1:
            self.refusals += 1
            await asyncio.sleep(0.002)
            return False, 0.002
        self.free -= 1
        seconds = 0.05 * (10 if self.chance.random() < self.slow else 1) * self.chance.uniform(0.8, 1.2)
        await asyncio.sleep(seconds)
        self.answers += 1
        self.area += seconds
        return True, seconds


async def sweep(server: Server, width: int, calls: int) -> tuple[float, int]:
    """(seconds, most attempts of one row) until all rows are answered, as the pool goes about it."""
    limiter, backoff, rows, most = Limiter(width), Backoff(), iter(range(calls)), 0

    async def work() -> None:
        nonlocal most
        for _ in rows:
            for attempt in itertools.count(1):
                async with limiter.seat() as seat:
                    good, seconds = await server.ask()
                    if good:
                        limiter.answered(seat, seconds, 0)
                    else:
                        limiter.turned_away(seat, server.ask_wait)
                most = max(most, attempt)
                if good:
                    break
                await limiter.sleep(max(server.ask_wait, backoff.delay(attempt)))

    await asyncio.gather(*(work() for _ in range(width)))
    return now(), most


@pytest.mark.parametrize("ask_wait", [0.0, 1.0])
@pytest.mark.parametrize("width", [64, 256])
def test_at_least_nine_tenths_of_the_rate_that_a_server_allows_are_reached(width: int, ask_wait: float) -> None:
    random.seed(5)
    server = Server(ask_wait=ask_wait)
    seconds, most = virtually(sweep(server, width, 6000))
    assert server.answers == 6000
    assert server.answers / seconds >= 0.9 * server.rate
    assert server.refusals < 0.15 * server.answers
    assert most <= 6


@pytest.mark.parametrize(("width", "slow"), [(64, 0.0), (256, 0.0), (64, 0.02)])
def test_a_server_that_never_says_429_has_nine_tenths_of_the_width_in_flight(width: int, slow: float) -> None:
    server = Server(rate=1e9, slow=slow)
    seconds, _ = virtually(sweep(server, width, 150 * width))
    assert server.area / seconds >= 0.93 * width


# --- the pool against a real server -------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def endpoint(**changes: Any) -> Endpoint:
    return replace(Endpoint("http://embedded.invalid/v1", concurrency=4, timeout=5.0, max_retries=6), **changes)


def ask(text: str = "hello", *, defaults: tuple[str, ...] = (), **body: Any) -> Request:
    messages = [{"role": "user", "content": text}]
    whole = {"model": "small", "messages": messages, "temperature": 0, "max_tokens": 16, **body}
    return Request(Model("small", endpoint(), "small"), "/chat/completions", whole, defaults=defaults)


def together(pool: Callable[[], Pool], requests: list[Request]) -> tuple[list[Call], Pool]:
    async def go() -> tuple[list[Call], Pool]:
        async with pool() as opened:
            return await asyncio.gather(*map(opened.call, requests)), opened

    return asyncio.run(go())


def bucket(rate: float, headers: dict[str, str]) -> Callable[[Any], Reply]:
    free, at = rate, time.monotonic()

    def reply(_: Any) -> Reply:
        nonlocal free, at
        free, at = min(rate, free + (time.monotonic() - at) * rate), time.monotonic()
        if free < 1:
            return error(429, "slow down", headers)
        free -= 1
        return ok(delay=0.02)

    return reply


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}])
def test_at_a_server_that_allows_200_a_second_every_row_is_answered_and_no_attempt_is_lost(
    server: FaultServer, headers: dict[str, str]
) -> None:
    server.default = bucket(200.0, headers)
    calls, pool = together(
        lambda: Pool(endpoint(concurrency=64), server.url, KEY), [ask(str(place)) for place in range(500)]
    )
    assert all(call.completion for call in calls)
    assert sum(call.attempts for call in calls) == len(server.posts)
    assert pool._limiter.window.cuts or len(server.posts) < 650  # a slow machine may hardly be too fast
    assert pool._limiter.flying == 0


def test_nothing_but_429_shrinks_the_width(server: FaultServer) -> None:
    numbers = itertools.count()
    faults = [error(500), error(503), raw("<html>"), Reply(how="reset"), error(408)]
    server.default = lambda _: faults[n // 3 % 5] if (n := next(numbers)) % 3 == 0 else ok(delay=0.005)
    calls, pool = together(
        lambda: Pool(endpoint(concurrency=64, max_retries=20), server.url, KEY, backoff=QUICK),
        [ask(str(n)) for n in range(300)],
    )
    assert sum(call.completion is not None for call in calls) >= 295, "garbage again and again ends a call"
    window = pool._limiter.window
    assert window.cuts == 0
    assert window.limit >= Window(64).limit  # how far it came depends on how often all seats were taken


def picky(body: Any) -> Reply:
    """A reasoning model: it wants no temperature."""
    if "temperature" in body:
        return error(400, "Unsupported value: 'temperature'", code="unsupported_value", param="temperature")
    return ok(delay=0.01)


def test_a_default_of_ours_that_is_rejected_is_left_out_from_then_on_and_costs_no_retry(server: FaultServer) -> None:
    server.default = picky
    requests = [ask(str(n), defaults=("temperature",)) for n in range(12)]
    calls, pool = together(lambda: Pool(endpoint(max_retries=0), server.url, KEY), requests)
    assert [call.key for call in calls] == [request.key for request in requests]
    assert all(call.completion for call in calls)
    assert pool.left_out == {"small": ("temperature",)}
    assert len(pool.notes()) == 1
    assert "`temperature` is not sent to 'small'" in pool.notes()[0]
    rejected = [each for each in server.posts if "temperature" in each.body]
    assert len(rejected) <= 4  # those that were in flight together
    assert sum(call.attempts for call in calls) == len(server.posts) == 12 + len(rejected)


def refused(server: FaultServer, request: Request, **changes: Any) -> str:
    with pytest.raises(EndpointUnusable) as caught:
        together(lambda: Pool(endpoint(), server.url, KEY, **changes), [request])
    return str(caught.value)


def test_what_the_user_wrote_is_never_left_out_and_is_named_with_its_value(server: FaultServer) -> None:
    server.default = picky

    async def go() -> str:
        async with Pool(endpoint(), server.url, KEY) as pool:
            await pool.call(ask("a", defaults=("temperature",)))
            with pytest.raises(EndpointUnusable) as caught:
                await pool.call(ask("b", temperature=0.7))
            return str(caught.value)

    message = asyncio.run(go())
    assert "rejects `temperature`: 0.7 for 'small'" in message
    assert "`temperature: null`" in message
    assert len(server.posts) == 3


def test_max_tokens_under_its_other_name_is_told_with_doctor(server: FaultServer) -> None:
    text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    server.default = lambda _: error(400, text, code="unsupported_parameter", param="max_tokens")
    message = refused(server, ask())
    assert "rejects `max_tokens`: 16" in message
    assert "Write `max_completion_tokens` in params, or run `promptlab doctor` once" in message


def test_a_long_value_is_shown_by_its_start(server: FaultServer) -> None:
    server.default = lambda _: error(400, "unsupported", code="unsupported_parameter", param="stop")
    assert 'rejects `stop`: ["xxxxx' in (message := refused(server, ask(stop=["x" * 500])))
    assert "x" * 100 not in message


class Renamed:
    """A dialect: max_tokens under its other name."""

    def content(self, request: Request) -> bytes:
        names = {"max_tokens": "max_completion_tokens"}
        return json.dumps({names.get(name, name): value for name, value in request.body.items()}).encode()


def test_a_dialect_changes_what_is_sent_and_neither_key_nor_what_is_left_out(server: FaultServer) -> None:
    server.default = picky
    request = ask(defaults=("temperature",))
    calls, _ = together(lambda: Pool(endpoint(), server.url, KEY, dialects={"small": Renamed()}), [request])
    assert (calls[0].key, bool(calls[0].completion)) == (request.key, True)
    assert [sorted(each.body) for each in server.posts] == [
        ["max_completion_tokens", "messages", "model", "temperature"],
        ["max_completion_tokens", "messages", "model"],
    ]


def test_a_fault_in_a_dialect_is_read_against_what_was_sent(server: FaultServer) -> None:
    server.default = lambda _: error(400, "max_completion_tokens is not supported with this model")
    message = refused(server, ask(), dialects={"small": Renamed()})
    assert "rejects `max_completion_tokens`: 16" in message


def test_embeddings_are_read_as_vectors(server: FaultServer) -> None:
    rows = [{"index": place, "embedding": [place, 0.5]} for place in (1, 0)]
    server.default = lambda _: raw(json.dumps({"data": rows, "model": "e", "usage": {"prompt_tokens": 4}}))
    body = {"model": "e", "input": ["a", "b"], "encoding_format": "float"}
    request = Request(Model("e", endpoint(), "e"), "/embeddings", body, purpose="embed")
    calls, _ = together(lambda: Pool(endpoint(), server.url, KEY), [request])
    assert calls[0].completion is not None
    assert json.loads(calls[0].completion.text) == [[0, 0.5], [1, 0.5]]
    assert server.posts[0].path == "/v1/embeddings"
