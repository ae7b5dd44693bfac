"""The endpoint room against a real server that misbehaves: what happens to the attempt, the row, the run."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from fault_server import FaultServer, Reply, completion, error, ok, raw
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.endpoint import complaint, reasoning, redact, validate
from promptlab.endpoint.check import check
from promptlab.endpoint.fault import Fault
from promptlab.endpoint.limiter import Limiter, Pace
from promptlab.endpoint.pool import Pool
from promptlab.endpoint.retry import Backoff, asked_wait
from promptlab.endpoint.router import Router
from promptlab.errors import EndpointUnusable
from promptlab.records import Call, Completion, Endpoint, Model, Price, Request

KEY = "sk-secret-0123456789abcdef"
QUICK = Backoff(base=0.001, cap=0.01)
BODY = {
    "model": "small",
    "messages": [{"role": "user", "content": "Which intent? \u2603 \u0000 tab\t"}],
    "temperature": 0,
    "max_tokens": 16,
    "seed": 7,
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def endpoint(**changes: Any) -> Endpoint:
    return replace(
        Endpoint("http://embedded.invalid/v1", "TEST_KEY", concurrency=4, timeout=5.0, max_retries=4), **changes
    )


def ask(text: str = "hello", model: Model | None = None, **body: Any) -> Request:
    model = model or Model("small", endpoint(), "small", Price(input=1.0, output=10.0, cached=0.5))
    messages = [{"role": "user", "content": text}]
    return Request(model, "/chat/completions", {**BODY, "messages": messages, **body})


def run(server: FaultServer, *requests: Request, key: str = KEY, **changes: Any) -> list[Call]:
    """The calls of the requests, asked one after the other through one pool."""

    async def go() -> list[Call]:
        async with Pool(endpoint(**changes), server.url, key, backoff=QUICK) as pool:
            return [await pool.call(each) for each in requests or (ask(),)]

    return asyncio.run(go())


def one(server: FaultServer, **changes: Any) -> Call:
    return run(server, **changes)[0]


def text_of(call: Call) -> str:
    assert call.completion is not None, call.error
    return call.completion.text


def fatal(server: FaultServer, **changes: Any) -> str:
    """The message of the EndpointUnusable that the first call raises; a second call must fail alike, unsent."""

    async def go() -> str:
        async with Pool(endpoint(**changes), server.url, KEY, backoff=QUICK) as pool:
            with pytest.raises(EndpointUnusable) as first:
                await pool.call(ask())
            sent = len(server.seen)
            with pytest.raises(EndpointUnusable) as again:
                await pool.call(ask("other"))
            assert str(again.value) == str(first.value)
            assert len(server.seen) == sent
            assert first.value.exit_code == 3
            return str(first.value)

    message = asyncio.run(go())
    assert KEY not in message
    assert "\n" not in message
    return message


# --- the wire ---------------------------------------------------------------------------------------------


def test_the_bytes_on_the_wire_are_the_request_content_exactly(server: FaultServer) -> None:
    request = ask('Ünï ☃ \x00 \u2028 </s> {{ x }} "quote" \\ \r\n\t' + "x" * 200_000)
    run(server, request)
    assert server.posts[0].content == request.content
    assert server.posts[0].body == request.body
    assert server.posts[0].path == "/v1/chat/completions"


def test_key_and_content_type_come_from_the_sdk_and_nothing_else_secret_is_sent(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-never-send-this")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ambient-never-send-this")
    run(server)
    run(server, key="")
    with_key, without = (each.headers for each in server.posts)
    assert with_key["Authorization"] == f"Bearer {KEY}"
    assert with_key["Content-Type"] == "application/json"
    assert "Authorization" not in without
    assert "never-send-this" not in str([each.headers for each in server.seen])


def test_a_query_in_base_url_is_kept_and_never_shown(server: FaultServer) -> None:
    server.default = lambda _: error(401, "no")
    server.url += "?api-version=2024-10-21&token=topsecrettoken1"
    assert "topsecrettoken1" not in fatal(server)
    assert server.posts[0].path.startswith("/v1/chat/completions?api-version=2024-10-21&token=topsecret")


def test_a_call_carries_key_purpose_usage_price_latency_and_attempts(server: FaultServer) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}
    server.script(error(503), ok("billing", delay=0.05, usage=usage))
    request = replace(ask(), purpose="judge")
    call = run(server, request)[0]
    assert call.completion is not None
    assert (call.key, call.purpose, call.attempts, call.error) == (request.key, "judge", 2, "")
    assert (call.completion.text, call.completion.model) == ("billing", "served-model")
    assert call.usd == pytest.approx((60 * 1.0 + 40 * 0.5 + 10 * 10.0) / 1e6)
    assert 0.05 <= call.latency < 2
    assert (call.completion.usage.tokens_in, call.completion.usage.tokens_cached) == (100, 40)


def test_without_a_price_a_call_costs_nothing(server: FaultServer) -> None:
    assert run(server, ask(model=Model("small", endpoint(), "small")))[0].usd == 0.0


# --- concurrency ------------------------------------------------------------------------------------------


def test_the_server_never_sees_more_than_width_in_flight_and_sees_width(server: FaultServer) -> None:
    server.default = lambda _: ok(delay=0.03)

    async def go() -> list[Call]:
        async with Pool(endpoint(concurrency=7), server.url, KEY, backoff=QUICK) as pool:
            assert pool.width == 7
            return await asyncio.gather(*(pool.call(ask(str(n))) for n in range(50)))

    calls = asyncio.run(go())
    assert server.peak == 7
    assert all(call.completion for call in calls)


def test_a_router_sends_each_model_to_its_own_endpoint(server: FaultServer) -> None:
    with FaultServer() as other:
        server.default, other.default = lambda _: ok("first"), lambda _: ok("second")
        ends = endpoint(concurrency=3), endpoint(base_url="http://other.invalid/v1", concurrency=5)
        requests = [ask(model=Model("m", end, "m")) for end in ends]

        async def go() -> list[Call]:
            pools = {end: Pool(end, each.url, KEY) for end, each in zip(ends, (server, other), strict=True)}
            async with Router(pools) as router:
                assert router.width == 8
                return [await router.call(each) for each in requests]

        assert [text_of(call) for call in asyncio.run(go())] == ["first", "second"]


def test_a_cancelled_call_ends_at_once_and_leaves_the_pool_usable(server: FaultServer) -> None:
    server.script(Reply(how="hang"))

    async def go() -> str:
        async with Pool(endpoint(concurrency=1), server.url, KEY, backoff=QUICK) as pool:
            task = asyncio.create_task(pool.call(ask()))
            while not server.posts:
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return text_of(await pool.call(ask("again")))

    assert asyncio.run(go()) == "ok"


def test_a_fatal_answer_wakes_calls_that_sleep_before_their_next_attempt(server: FaultServer) -> None:
    server.script(error(503, headers={"Retry-After": "60"}), error(401, "bad key"))

    async def go() -> float:
        async with Pool(endpoint(), server.url, KEY, backoff=QUICK) as pool:
            sleeper = asyncio.create_task(pool.call(ask("a")))
            while not server.posts:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            started = time.monotonic()
            with pytest.raises(EndpointUnusable, match="turns the key away"):
                await pool.call(ask("b"))
            with pytest.raises(EndpointUnusable, match="turns the key away"):
                await sleeper
            return time.monotonic() - started

    assert asyncio.run(go()) < 5


def test_a_pool_that_is_never_asked_imports_no_client_library() -> None:
    code = """
import asyncio, sys
from promptlab.endpoint.pool import Pool
from promptlab.records import Endpoint

async def go():
    async with Pool(Endpoint("http://127.0.0.1:9/v1"), "http://127.0.0.1:9/v1", "x"):
        pass

asyncio.run(go())
print([name for name in ("openai", "aiohttp", "httpx2", "pydantic") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- transient faults -------------------------------------------------------------------------------------

HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>"
TRANSIENT = {
    "408": error(408),
    "409": error(409),
    "429": error(429, "slow down"),
    "500": error(500),
    "502 html": raw(HTML, 502),
    "503 empty": raw("", 503),
    "529": error(529, "overloaded"),
    "402 that says when": error(402, "later", {"Retry-After": "0.01"}),
    "400 that says retry": error(400, "hm", {"x-should-retry": "true"}),
    "reset before headers": Reply(how="reset"),
    "cut mid-body": Reply(body=b'{"choices": [' + b" " * 1000, how="cut"),
    "gzip garbage": raw(b"not gzip at all", **{"Content-Encoding": "gzip"}),
    "error 502 in a 200": raw('{"error": {"code": 502, "message": "upstream"}}'),
    "error 429 in a 200": raw('{"error": {"code": "429", "message": "upstream"}, "choices": []}'),
    "rate limit in a 200": raw('{"error": {"code": "rate_limit_exceeded", "message": "slow"}}'),
    "unknown error in a 200": raw('{"error": "something"}'),
    "error in the choice": ok(None, choice={"finish_reason": "error", "error": {"code": 502, "message": "x"}}),
    "html": raw(HTML),
    "event stream": raw("data: {}\n\ndata: [DONE]\n\n"),
    "broken json": raw('{"choices": [{"mess'),
    "empty": raw(""),
    "bad utf-8": raw(b'{"choices": "\xff\xfe"}'),
    "null": raw("null"),
    "list": raw("[]"),
    "string": raw('"hi"'),
    "number": raw("3"),
    "deep": raw("[" * 200_000),
    "no choices": raw('{"object": "chat.completion"}'),
    "choices null": raw('{"choices": null}'),
    "choices empty": raw('{"choices": []}'),
    "choices of strings": raw('{"choices": ["a"]}'),
    "no message": raw('{"choices": [{"index": 0, "finish_reason": "stop"}]}'),
    "message a string": raw('{"choices": [{"message": "hi"}]}'),
    "content a number": ok(7),
    "content an object": ok({"text": "hi"}),
    "content a list of numbers": ok([1]),
    "204": raw("", 204),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_transient_fault_costs_one_more_attempt_and_no_row(server: FaultServer, name: str) -> None:
    server.script(TRANSIENT[name])
    call = one(server)
    assert (text_of(call), call.attempts) == ("ok", 2)
    assert len(server.posts) == 2
    assert server.posts[0].content == server.posts[1].content


def test_a_server_that_stays_broken_costs_max_retries_and_a_row_with_its_words(server: FaultServer) -> None:
    server.default = lambda _: error(503, "the model is loading\x1b[31m")
    call = one(server, max_retries=3)
    assert call.completion is None
    assert call.attempts == len(server.posts) == 4
    assert call.error == "HTTP 503: the model is loading [31m (after 4 attempts)"


def test_answers_without_a_message_are_tried_three_times_then_the_row_is_an_error(server: FaultServer) -> None:
    server.default = lambda _: raw('{"choices": []}')
    call = one(server)
    assert (call.completion, call.attempts) == (None, 3)
    assert "choices" in call.error


def test_aliens_after_a_first_real_answer_are_the_row_s_error_not_the_run_s(server: FaultServer) -> None:
    server.script(ok("first"))
    server.default = lambda _: raw(HTML)
    first, second = run(server, ask("a"), ask("b"))
    assert text_of(first) == "first"
    assert (second.attempts, second.error) == (3, "HTTP 200 with an HTML page: 502 Bad Gateway (after 3 attempts)")


def test_should_retry_false_is_obeyed(server: FaultServer) -> None:
    server.script(error(503, "no use", {"x-should-retry": "false"}))
    call = one(server)
    assert (call.attempts, call.error) == (1, "HTTP 503: no use")


def test_a_hanging_server_is_left_after_the_timeout(server: FaultServer) -> None:
    server.script(Reply(how="hang"))
    call = one(server, timeout=0.3)
    assert (text_of(call), call.attempts) == ("ok", 2)


def test_a_slow_drip_does_not_outlive_the_timeout(server: FaultServer) -> None:
    body = json.dumps(completion()).encode()
    server.script(Reply(body=body, how="drip"))
    server.default = lambda _: Reply(body=body, how="drip")
    started = time.monotonic()
    call = one(server, timeout=0.3, max_retries=1)
    assert time.monotonic() - started < 5
    assert call.error == "no complete answer within 0.3 s (after 2 attempts)"


@pytest.mark.parametrize("how", ["", "chunked"])
@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_over_10_megabytes_is_not_read_to_its_end(server: FaultServer, how: str, status: int) -> None:
    huge = json.dumps(completion("x" * 11_000_000)).encode()
    server.script(Reply(status, huge, how=how))
    call = one(server)
    assert (text_of(call), call.attempts) == ("ok", 2)


def test_compressed_answers_and_white_space_before_the_json_are_read(server: FaultServer) -> None:
    data = json.dumps(completion("zipped")).encode()
    server.script(
        raw(gzip.compress(data), **{"Content-Encoding": "gzip"}), Reply(body=b" \n" * 500 + data, how="chunked")
    )
    assert [text_of(call) for call in run(server, ask("a"), ask("b"))] == ["zipped", "zipped"]


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_host_is_followed_with_the_same_bytes(server: FaultServer, status: int) -> None:
    server.script(raw("", status, Location="/v2/chat/completions"))
    assert (text_of(one(server)), one(server).attempts) == ("ok", 1)
    assert [each.path for each in server.posts][:2] == ["/v1/chat/completions", "/v2/chat/completions"]
    assert server.posts[1].content == server.posts[0].content


# --- waiting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": formatdate(1_000_030, usegmt=True), "date": formatdate(1_000_000, usegmt=True)}, 30.0),
        ({"retry-after": formatdate(1_000_000, usegmt=True), "date": formatdate(1_000_030, usegmt=True)}, 0.0),
        ({"retry-after": formatdate(1_000_000, usegmt=True)}, 0.0),
        *[({"retry-after": each}, 0.0) for each in ("0", "-5", "nan", "inf", "soon", "", "Mon, 99 Foo")],
        ({"retry-after-ms": "garbage", "retry-after": "2"}, 2.0),
        ({"retry-after": "Fri, 13 Nov 2026 12:00:09 -0000", "date": "Fri, 13 Nov 2026 12:00:00 GMT"}, 9.0),
        ({"retry-after": "Fri, 13 Nov 2026 12:00:09", "date": "Fri, 13 Nov 2026 12:00:00"}, 9.0),
    ],
)
def test_retry_after_is_read_in_all_its_forms_and_nonsense_is_ignored(
    headers: dict[str, str], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # a date without a zone is not ours, but UTC
    time.tzset()
    try:
        assert asked_wait(headers) == seconds
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Rate limit reached. Please try again in 1.2s. Visit", 1.2),
        ("Please try again in 20ms.", 0.02),
        ("Please try again in 6m0s.", 360.0),
        ("Please try again in 1h2m3.5s.", 3723.5),
        ("Please retry after 26 seconds. To increase", 26.0),
        ("Try again in 2 minutes", 120.0),
        ("try again in 2 months", 0.0),
        ('{"retryDelay": "34s"}', 34.0),
        ("try again in ... s", 0.0),
        ("try again in a minute", 0.0),
    ],
)
def test_a_wait_is_also_read_out_of_the_error_s_text(text: str, seconds: float) -> None:
    assert asked_wait({}, text) == pytest.approx(seconds)
    assert asked_wait({"retry-after": "garbage"}, text) == pytest.approx(seconds)
    assert asked_wait({"retry-after": "7"}, text) == 7.0


def test_a_429_with_retry_after_pauses_the_whole_pool(server: FaultServer) -> None:
    server.script(error(429, headers={"Retry-After": "0.4"}))

    async def go() -> None:
        async with Pool(endpoint(), server.url, KEY, backoff=QUICK) as pool:
            first = asyncio.create_task(pool.call(ask("a")))
            while not pool._limiter._closed_until:
                await asyncio.sleep(0.005)
            assert text_of(await pool.call(ask("b"))) == "ok"
            assert (await first).attempts == 2

    asyncio.run(go())
    turned_away, *later = (each.at for each in server.posts)
    assert len(later) == 2
    assert min(later) - turned_away >= 0.4


def test_without_retry_after_others_go_on(server: FaultServer) -> None:
    server.script(error(429))

    async def go() -> None:
        async with Pool(endpoint(), server.url, KEY, backoff=Backoff(base=60, cap=60)) as pool:
            first = asyncio.create_task(pool.call(ask("a")))
            while not server.posts:
                await asyncio.sleep(0.005)
            await asyncio.wait_for(pool.call(ask("b")), 5)
            first.cancel()

    asyncio.run(go())


def test_under_5_percent_429_and_2_percent_500_no_row_is_lost_and_extra_calls_are_the_failures(
    server: FaultServer,
) -> None:
    count = itertools.count(1)

    def sometimes(_: Any) -> Reply:
        number = next(count)
        return error(429) if number % 20 == 0 else error(500) if number % 50 == 1 else ok()

    server.default = sometimes

    async def go() -> list[Call]:
        async with Pool(endpoint(concurrency=32, max_retries=6), server.url, KEY, backoff=QUICK) as pool:
            return await asyncio.gather(*(pool.call(ask(str(n))) for n in range(300)))

    calls = asyncio.run(go())
    assert all(call.completion for call in calls)
    assert len({call.key for call in calls}) == 300
    assert sum(call.attempts for call in calls) == len(server.posts)
    assert 300 < len(server.posts) < 330


def test_a_wait_beyond_our_patience_ends_the_run_and_says_when_to_come_back(server: FaultServer) -> None:
    server.default = lambda _: error(429, "daily limit", {"Retry-After": "3600"})
    message = fatal(server)
    assert "asks to wait 3600 s" in message
    assert "Come back after" in message


@given(attempt=st.integers(1, 500), base=st.floats(0.001, 10), cap=st.floats(0.001, 100))
def test_backoff_is_never_negative_and_never_above_its_cap(attempt: int, base: float, cap: float) -> None:
    assert 0 <= Backoff(base, cap).delay(attempt) <= min(cap, base * 2 ** min(attempt - 1, 30))


@given(costs=st.lists(st.floats(0, 50), min_size=1, max_size=60), rate=st.floats(30, 6000))
def test_a_pace_never_lets_more_through_than_its_rate_and_one_second_s_burst(costs: list[float], rate: float) -> None:
    pace, now = Pace(rate), 1000.0
    starts = [pace.reserve(cost, now) for cost in costs]
    before = 0.0
    for start, cost in zip(starts, costs, strict=True):
        assert before <= (start + 1.0) * rate / 60 + 1e-6
        before += cost


def test_requests_per_minute_are_kept(server: FaultServer) -> None:
    async def go() -> float:
        async with Pool(endpoint(rpm=1200, concurrency=30), server.url, KEY, backoff=QUICK) as pool:
            await pool.call(ask())
            started = time.monotonic()
            await asyncio.gather(*(pool.call(ask(str(n))) for n in range(30)))
            return time.monotonic() - started

    assert 0.4 < asyncio.run(go()) < 5  # 20 a second: 20 at once, then one each 50 ms


def test_tokens_per_minute_delay_a_second_large_request(server: FaultServer) -> None:
    large = ask("x" * 8000, max_tokens=500)  # about 2,500 tokens; 120,000 a minute are 2,000 a second
    server.default = lambda _: ok(usage={"prompt_tokens": 2000, "completion_tokens": 500})  # none to be given back

    async def go() -> float:
        async with Pool(endpoint(tpm=120_000), server.url, KEY, backoff=QUICK) as pool:
            started = time.monotonic()
            await asyncio.gather(pool.call(large), pool.call(large))
            return time.monotonic() - started

    assert 0.2 < asyncio.run(go()) < 5


def test_a_stopped_limiter_wakes_its_sleepers() -> None:
    async def go() -> None:
        limiter = Limiter(1)
        limiter.pause(60)

        async def enter() -> None:
            async with limiter.seat(1):
                pass

        waiting = asyncio.create_task(enter())
        await asyncio.sleep(0.01)
        limiter.stop()
        await asyncio.wait_for(waiting, 1)

    asyncio.run(go())


# --- fatal for the run ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("page", [False, True])
def test_a_wrong_key_stops_at_once_names_the_variable_and_never_the_key(
    server: FaultServer, status: int, page: bool
) -> None:
    echo = f"Incorrect API key provided: {KEY}. Bearer {KEY} sk-proj-other-1234567890"
    server.default = lambda _: raw(f"<html><title>{echo}</title></html>", status) if page else error(status, echo)
    message = fatal(server)
    assert "TEST_KEY" in message
    assert "[redacted]" in message
    assert "sk-proj-other" not in message
    assert len(server.posts) == 1


def test_a_missing_key_says_where_to_name_one(server: FaultServer) -> None:
    server.default = lambda _: error(401, "missing key")
    assert "api_key_env" in fatal(server, api_key_env="")


@pytest.mark.parametrize(
    "reply",
    [
        error(404, "The model `small` does not exist", code="model_not_found"),
        raw('{"error": "model \'small\' not found, try pulling it first"}', 404),
        raw('{"object": "error", "message": "The model `small` does not exist.", "code": 404}', 404),
        error(400, "Invalid model name passed in model=small"),
        error(400, "invalid model ID", param="model"),
    ],
)
def test_no_such_model_is_told_with_the_nearest_name_that_the_endpoint_lists(server: FaultServer, reply: Reply) -> None:
    server.default = lambda _: reply
    server.models = raw('{"data": [{"id": "smalll"}, {"id": "lar\\nge\\ud83d"}, 3, {"id": null}]}')
    message = fatal(server)
    assert "no such model: 'small'" in message
    assert "Did you mean 'smalll'?" in message


@pytest.mark.parametrize("models", [error(500), raw(HTML), raw("[]"), Reply(how="reset"), raw('{"data": 3}')])
def test_no_such_model_is_told_also_where_models_does_not_answer(server: FaultServer, models: Reply) -> None:
    server.default = lambda _: error(404, "no such model: small")
    server.models = models
    assert "no such model" in fatal(server)


def test_a_404_without_a_model_asks_whether_v1_is_missing(server: FaultServer) -> None:
    server.default = lambda _: raw(HTML, 404)
    server.url = server.url.removesuffix("/v1")
    message = fatal(server)
    assert "Is /v1 missing in base_url?" in message
    assert f"Try {server.url}/v1." in message


QUOTA = {
    **{
        code: error(429, "stop", code=code)
        for code in (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        )
    },
    "by type": error(429, "stop", {"Retry-After": "1"}, type="insufficient_quota"),
    "402": error(402, "Insufficient credits"),
    "text": error(429, "You exceeded your current quota, please check your plan and billing details."),
    "other text": error(429, "usage limit reached"),
    "403": error(403, "Your credit balance is too low"),
    "in a 200": raw('{"error": {"code": "insufficient_quota", "message": "stop"}}'),
}


@pytest.mark.parametrize("name", QUOTA)
def test_an_exhausted_quota_stops_at_once_in_all_its_spellings(server: FaultServer, name: str) -> None:
    server.default = lambda _: QUOTA[name]
    assert "quota is used up" in fatal(server)
    assert len(server.posts) == 1


def test_a_rate_limit_worded_like_a_quota_is_waited_for_when_it_says_when(server: FaultServer) -> None:
    server.script(error(429, "You exceeded your current quota. Please retry in 0.05s."))
    assert one(server).attempts == 2


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (
            error(400, "Unsupported parameter: 'max_tokens'", code="unsupported_parameter", param="max_tokens"),
            "max_tokens",
        ),
        (error(400, "no", code="unsupported_value", param="temperature"), "temperature"),
        (error(400, "temperature is not supported with this model"), "temperature"),
        (raw('[{"error": {"code": 400, "message": "Unknown name \\"seed\\": Cannot find field."}}]', 400), "seed"),
        (raw('{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra"}]}', 422), "seed"),
        (error(400, "bad", code="decimal_above_max_value", param="temperature"), "temperature"),
        (error(400, "role", code="unsupported_value", param="messages[0].role"), "messages[0].role"),
    ],
)
def test_a_rejected_parameter_is_named_and_never_dropped(server: FaultServer, reply: Reply, name: str) -> None:
    server.default = lambda _: reply
    message = fatal(server)
    assert f"the endpoint rejects `{name}`" in message
    assert len(server.posts) == 1


@pytest.mark.parametrize("reply", [raw(HTML), raw("null"), raw("data: {}\n\n"), raw('{"hello": "world"}')])
def test_a_server_whose_first_answers_are_no_completions_is_no_openai_endpoint(
    server: FaultServer, reply: Reply
) -> None:
    server.default = lambda _: reply
    assert "this is no OpenAI endpoint" in fatal(server)
    assert len(server.posts) == 3


@pytest.mark.parametrize(
    ("status", "location"), [(301, "https://elsewhere.invalid/v1"), (307, "http://127.0.0.2:1/v1")]
)
def test_a_redirect_elsewhere_is_not_followed_because_the_key_would_go_along(
    server: FaultServer, status: int, location: str
) -> None:
    server.default = lambda _: raw("", status, Location=location)
    assert location in fatal(server)


def test_nobody_listening_is_told_after_two_tries_with_the_address(server: FaultServer) -> None:
    server.url = "http://user:hunter22@127.0.0.1:9/v1?token=abcdefghijkl"
    message = fatal(server)
    assert message.startswith("http://127.0.0.1:9/v1: nobody answers there")
    assert "hunter22" not in message
    assert "abcdefghijkl" not in message


def test_a_server_that_goes_away_later_costs_rows_not_the_run() -> None:
    async def go() -> tuple[Call, Call]:
        with FaultServer() as server:
            pool = Pool(endpoint(max_retries=2), server.url, KEY, backoff=QUICK)
            first = await pool.call(ask("a"))
        async with pool:
            return first, await pool.call(ask("b"))

    first, second = asyncio.run(go())
    assert text_of(first) == "ok"
    assert (second.completion, second.attempts) == (None, 3)


@pytest.mark.parametrize("models", [error(500), error(401), raw(HTML), raw('{"data": []}')])
def test_the_preflight_accepts_whatever_models_answers(server: FaultServer, models: Reply) -> None:
    server.models = models

    async def go() -> None:
        async with Pool(endpoint(), server.url, KEY) as pool:
            await check(pool, ask().model)

    asyncio.run(go())
    assert not server.posts


def test_the_preflight_says_that_nobody_listens() -> None:
    async def go() -> None:
        async with Pool(endpoint(), "http://127.0.0.1:9/v1", KEY) as pool:
            await check(pool, ask().model)

    with pytest.raises(EndpointUnusable, match=r"127\.0\.0\.1:9/v1: nobody answers there"):
        asyncio.run(go())


# --- the row's own ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (error(400, "too long", code="context_length_exceeded"), "context_overflow"),
        (error(400, "This model's maximum context length is 2048 tokens. You requested 100026"), "context_overflow"),
        (
            error(400, "'max_tokens' is too large: the maximum context length is 8", param="max_tokens"),
            "context_overflow",
        ),
        (
            raw('{"error": {"code": 400, "message": "the request exceeds the available context size"}}', 500),
            "context_overflow",
        ),
        (error(400, "Please reduce the length of the messages or completion."), "context_overflow"),
        (raw('{"error": {"code": "context_length_exceeded", "message": "x"}}'), "context_overflow"),
        (error(400, "filtered", code="content_filter"), "content_filter"),
        (error(400, "no", code="invalid_prompt"), "content_filter"),
        (error(400, "no", code="cyber_policy"), "content_filter"),
        (error(400, "no", code=None, innererror={"code": "ResponsibleAIPolicyViolation"}), "content_filter"),
        (error(403, "Your chosen model requires moderation and your input was flagged"), "content_filter"),
    ],
)
def test_what_the_prompt_did_is_a_completion_with_its_reason_and_costs_nothing(
    server: FaultServer, reply: Reply, reason: str
) -> None:
    server.default = lambda _: reply
    call = one(server)
    assert call.completion is not None
    assert (call.completion.text, call.completion.finish_reason) == ("", reason)
    assert (call.attempts, call.usd, call.completion.usage.tokens_in) == (1, 0.0, 0)


def test_other_refused_requests_are_errors_of_their_row_with_status_and_words(server: FaultServer) -> None:
    server.script(error(400, f"weird image, key {KEY}"), raw('{"detail": "nope"}', 418), raw("", 413))
    calls = run(server, ask("a"), ask("b"), ask("c"))
    assert [call.error for call in calls] == ["HTTP 400: weird image, key [redacted]", "HTTP 418: nope", "HTTP 413"]
    assert [call.attempts for call in calls] == [1, 1, 1]


# --- reading a completion ---------------------------------------------------------------------------------


def read(value: Any, body: Any = BODY) -> Completion:
    found = validate.completion(value if isinstance(value, bytes) else json.dumps(value).encode(), body)
    assert isinstance(found, Completion), found
    return found


@pytest.mark.parametrize(
    ("answer", "text", "thought"),
    [
        (completion("plain"), "plain", ""),
        (completion(" \n kept as it is \n"), " \n kept as it is \n", ""),
        (completion(None), "", ""),
        (completion([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, "c"]), "abc", ""),
        (
            completion(
                [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]
            ),
            "a",
            "hm",
        ),
        (completion([{"type": "thinking", "thinking": [{"text": 3}, {"text": None}, "x"]}, "a"]), "a", ""),
        (completion("a", message={"reasoning_content": "r1", "reasoning": "r2"}), "a", "r1"),
        (completion("a", message={"reasoning": "r2"}), "a", "r2"),
        (completion(None, message={"reasoning": "cut short"}, choice={"finish_reason": "length"}), "", "cut short"),
        (completion("a", message={"reasoning_details": [{"text": "x"}, {"summary": "y"}, {"data": "z"}]}), "a", "xy"),
        (completion("<think>hm</think>\n\nbilling"), "billing", "hm"),
        (completion("<think>hm <think>deep</think> more</think>billing"), "billing", "hm\ndeep\nmore"),
        (completion("<think>cut off in the mid"), "", "cut off in the mid"),
        (completion("opened by the template</think>\nbilling"), "billing", "opened by the template"),
        (completion("<think></think>billing"), "billing", ""),
        (completion("I think so"), "I think so", ""),
        (completion("<think>a</think>b", message={"reasoning": "a"}), "b", "a"),
    ],
)
def test_text_and_reasoning_are_found_wherever_they_are(answer: Any, text: str, thought: str) -> None:
    found = read(answer)
    assert (found.text, found.reasoning) == (text, thought)


def test_a_refusal_is_a_content_filter_whose_text_is_the_refusal() -> None:
    found = read(completion(None, message={"refusal": "I cannot help with that."}))
    assert (found.text, found.finish_reason) == ("I cannot help with that.", "content_filter")
    assert read(completion(None, choice={"finish_reason": "content_filter"})).finish_reason == "content_filter"


@pytest.mark.parametrize(("reason", "kept"), [("length", "length"), ("odd", "odd"), (None, ""), (3, "")])
def test_an_unknown_finish_reason_is_kept_and_a_missing_one_is_empty(reason: Any, kept: str) -> None:
    assert read(completion("a", choice={"finish_reason": reason})).finish_reason == kept


def test_lone_surrogates_are_replaced_and_nul_and_emoji_are_kept() -> None:
    found = read(b'{"choices": [{"message": {"content": "a\\ud83d \\ud83d\\ude00 \\u0000"}}], "model": "m\\udc00"}')
    assert (found.text, found.model) == ("a\ufffd \U0001f600 \x00", "m\ufffd")
    found.text.encode()


def test_infinite_logprobs_and_a_byte_order_mark_do_no_harm() -> None:
    data = json.dumps(completion("a", choice={"logprobs": {"content": [{"logprob": -float("inf")}]}}))
    assert read(b"\xef\xbb\xbf" + data.encode()).text == "a"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, (5, 2, 0)),
        ({"prompt_tokens": "5", "completion_tokens": 2.0}, (5, 2, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}}, (5, 2, 5)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}, (5, 2, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": -1}}, (5, 2, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 4}, (5, 2, 4)),
        ({"prompt_tokens": " 5 ", "completion_tokens": "2", "total_tokens": None}, (5, 2, 0)),
    ],
)
def test_reported_usage_is_coerced(usage: Any, counts: tuple[int, int, int]) -> None:
    found = read(completion("a", usage=usage)).usage
    assert (found.tokens_in, found.tokens_out, found.tokens_cached) == counts
    assert found.source == "reported"


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        "x",
        *[
            {"prompt_tokens": each, "completion_tokens": 2}
            for each in (-1, 0, 1.5, True, 10**20, 1e300, "x", "9" * 5000)
        ],
        *[{"prompt_tokens": 9, "completion_tokens": each} for each in (-1, 0, math.nan, math.inf, None, [], {"a": 1})],
    ],
)
def test_missing_or_impossible_usage_is_estimated_and_marked(usage: Any) -> None:
    found = read(completion("four words of text", usage=usage)).usage
    assert found.source == "estimated"
    assert 4 < found.tokens_in < 100
    assert 0 < found.tokens_out < 100


def test_no_tokens_for_no_text_are_a_report_like_any_other() -> None:
    found = read(completion(None, usage={"prompt_tokens": 9, "completion_tokens": 0})).usage
    assert (found.tokens_in, found.tokens_out, found.source) == (9, 0, "reported")


def test_what_is_the_same_in_every_answer_is_held_once() -> None:
    first, second = (read(completion("a", model="m" * 40, system_fingerprint="f" * 40)) for _ in range(2))
    assert first.model is second.model
    assert first.fingerprint is second.fingerprint


scalars = st.none() | st.booleans() | st.integers(-10, 10**20) | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "message", "content", "usage", "error", "text", "prompt_tokens", "code", "detail",
             "refusal", "reasoning_details", "model", "finish_reason", "type", "loc", "metadata", "innererror"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=150)
@given(value=values, wrapped=st.integers(0, 3))
def test_no_json_at_all_can_crash_the_reading(value: Any, wrapped: int) -> None:
    wraps: list[Callable[[Any], Any]] = [
        lambda x: x,
        lambda x: {"choices": [{"message": x}]},
        lambda x: {"choices": [x], "usage": x},
        lambda x: {"error": x},
    ]
    data = json.dumps(wraps[wrapped](value)).encode()
    found = validate.completion(data, BODY)
    assert isinstance(found, Completion | Fault)
    if isinstance(found, Completion):
        assert min(found.usage.tokens_in, found.usage.tokens_out, found.usage.tokens_cached) >= 0
    assert "\n" not in complaint.read(data).text


@given(data=st.binary(max_size=200))
def test_no_bytes_at_all_can_crash_the_reading(data: bytes) -> None:
    assert isinstance(validate.completion(data, BODY), Completion | Fault)
    complaint.read(data)


@given(text=st.text(alphabet="a <>/think", max_size=60))
def test_cutting_reasoning_leaves_no_tag_and_loses_no_text_without_tags(text: str) -> None:
    kept, thought = reasoning.cut(text)
    if "<think>" not in text and "</think>" not in text:
        assert (kept, thought) == (text, "")


# --- secrets ----------------------------------------------------------------------------------------------


@given(text=st.text(max_size=30), tail=st.text(max_size=30))
def test_a_key_never_survives_redaction(text: str, tail: str) -> None:
    assert KEY not in redact.redact(text + KEY + tail, (KEY,))


def test_a_short_key_is_hidden_as_a_word_and_does_not_eat_the_text() -> None:
    assert redact.redact("key x is bad: exit", ("x",)) == "key [redacted] is bad: exit"


@pytest.mark.parametrize("key", ["sk-abcdefgh1", "hf_" + "abcdefghij" * 3, "sk-****", "bearer somethinglong"])
def test_what_looks_like_anybody_s_key_is_hidden_and_names_are_not(key: str) -> None:
    """A server may echo a key that is not ours; models and packages have names that begin like one."""
    told = redact.redact(f"wrong: {key}*****, tried hf-internal-testing/tiny and sk-learn-pipeline", ())
    assert key.rsplit(maxsplit=1)[-1] not in told
    assert told.endswith("tried hf-internal-testing/tiny and sk-learn-pipeline")


def test_no_log_record_holds_the_key_or_the_prompt(server: FaultServer, caplog: pytest.LogCaptureFixture) -> None:
    server.script(error(500, KEY), error(400, KEY))
    with caplog.at_level(logging.DEBUG):
        call = one(server)
    assert KEY not in caplog.text
    assert KEY not in call.error
    assert "hello" not in caplog.text
