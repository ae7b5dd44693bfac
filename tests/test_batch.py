"""mode: batch: each wave is one batch, every row gets its own answer, and nothing is ever sent or paid twice.

PROMPTLAB_KILLS=N in the environment kills N times at each of four moments.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_project
from batch_server import FAST, FREE, SOON, BatchServer, Files, Line, ask, drive, endpoint, failure, flow, line, said
from fault_server import FaultServer, Reply, completion, error, raw

from promptlab.api import Experiment
from promptlab.drive import Driver, Halt
from promptlab.embedded.server import Server
from promptlab.endpoint.batch.answers import Answers
from promptlab.endpoint.batch.batch import Batch
from promptlab.endpoint.dialect import Dialect
from promptlab.endpoint.pool import Pool
from promptlab.errors import EndpointUnusable, Interrupted
from promptlab.meter import Meter
from promptlab.records import Call, Model, Price, Request
from promptlab.store import Store

Called = Call | BaseException


class Facts:
    """A memory."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}

    def fact(self, name: str) -> Any:
        return json.loads(self.facts[name]) if name in self.facts else None

    def note(self, name: str, value: Any) -> None:
        self.facts[name] = json.dumps(value)

    @property
    def states(self) -> list[str]:
        return [each["state"] for each in (self.fact("batches") or {}).values()]


@pytest.fixture
def server() -> Iterator[BatchServer]:
    with BatchServer() as served:
        yield served


def run(server: BatchServer, *texts: str | Request, memory: Facts | None = None, key: str = "", **changes: Any) -> Any:
    """The calls of these texts, all asked at once; what raised, too."""
    where = endpoint(server.url, **{name: changes.pop(name) for name in ("max_retries", "timeout") if name in changes})
    dialects = changes.pop("dialects", None)
    asked = [each if isinstance(each, Request) else ask(where, each) for each in texts]

    async def go() -> list[Called]:
        batch = Batch(
            where,
            server.url,
            key,
            memory or Facts(),
            dialects=dialects,
            settings=replace(FAST, **changes),
            backoff=SOON,
        )
        async with batch:
            return await asyncio.wait_for(
                asyncio.gather(*(batch.call(each) for each in asked), return_exceptions=True), 20
            )

    return asyncio.run(go())


def texts(calls: list[Called]) -> list[str]:
    return [each.completion.text if isinstance(each, Call) and each.completion else repr(each) for each in calls]


def unusable(calls: list[Called]) -> str:
    """The message with which all calls ended."""
    assert all(isinstance(each, EndpointUnusable) for each in calls), calls
    [message] = {str(each) for each in calls}
    return message


def words(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def backwards(count: int) -> list[str]:
    return [each[::-1] for each in words(count)]


def test_a_wave_is_one_batch_in_openais_form_and_each_row_gets_its_own_answer(server: BatchServer) -> None:
    memory, where = Facts(), endpoint(server.url)
    dear = Model("m", where, "m", Price(input=2.0, output=8.0))
    asked = [replace(ask(where, each, temperature=0), model=dear) for each in words(30)]
    calls = run(server, *asked, memory=memory)
    assert texts(calls) == backwards(30)
    assert {(each.key, each.attempts, each.usd) for each in calls} == {(each.key, 1, 48e-6) for each in asked}
    assert all(0 < each.latency < 10 for each in calls)
    assert len(server.batches) == server.uploads == server.downloads == 1
    [lines], [batch] = server.inputs, server.batches.values()
    assert [each["body"] for each in lines] == [each.body for each in asked]
    assert {(each["method"], each["url"]) for each in lines} == {("POST", "/v1/chat/completions")}
    assert len({each["custom_id"] for each in lines}) == 30
    assert batch["endpoint"] == "/v1/chat/completions"
    assert batch["completion_window"] == "24h"
    assert set(batch["metadata"]) == {"promptlab"}
    assert memory.states == ["done"]


def test_a_batch_is_closed_when_full_by_count_or_size_and_holds_one_model_only(server: BatchServer) -> None:
    assert texts(run(server, *words(25), most=10)) == backwards(25)
    assert sorted(map(len, server.inputs)) == [5, 10, 10]
    server.batches.clear()
    assert texts(run(server, *words(20), most=10, quiet=60.0)) == backwards(20)  # nobody waits for quiet
    server.batches.clear()
    long = ["x" * 1_000 + str(number) for number in range(10)]
    assert texts(run(server, *long, size=4_000)) == [each[::-1] for each in long]
    assert all(sum(len(json.dumps(each)) for each in lines) <= 4_000 for lines in server.inputs)
    assert len(server.batches) in (4, 5)
    server.batches.clear()
    where = endpoint(server.url)
    run(server, *(ask(where, each, model) for each in words(4) for model in ("a", "b")))
    assert sorted({each["body"]["model"] for each in lines}.pop() for lines in server.inputs) == ["a", "b"]
    assert sorted(map(len, server.inputs)) == [4, 4]


def test_what_comes_late_goes_into_the_next_batch_and_a_key_asked_twice_is_sent_once(server: BatchServer) -> None:
    where = endpoint(server.url)

    async def go() -> list[Call]:
        async with Batch(where, server.url, "", Facts(), settings=FAST, backoff=SOON) as batch:
            first = [asyncio.create_task(batch.call(ask(where, each))) for each in ("a", "b", "a")]
            await asyncio.sleep(5 * FAST.quiet)
            return await asyncio.gather(*first, batch.call(ask(where, "c")))

    assert [each.completion and each.completion.text for each in asyncio.run(go())] == ["a", "b", "a", "c"]
    assert [len(lines) for lines in server.inputs] == [2, 1]


def test_a_trickle_of_requests_does_not_put_the_batch_off_for_ever(server: BatchServer) -> None:
    where = endpoint(server.url)

    async def go() -> None:
        settings = replace(FAST, quiet=0.1, longest=0.3)
        async with Batch(where, server.url, "", Facts(), settings=settings, backoff=SOON) as batch:
            tasks = []
            for each in words(12):
                tasks.append(asyncio.create_task(batch.call(ask(where, each))))
                await asyncio.sleep(0.05)
            await asyncio.gather(*tasks)

    asyncio.run(go())
    assert len(server.batches) > 1


def test_lines_in_any_order_twice_unknown_or_garbled_put_no_answer_on_a_wrong_row(server: BatchServer) -> None:
    def muddle(lines: list[Line]) -> Files:
        noise = [
            b"{broken",
            b"[]",
            b"null",
            b'"x"',
            b"\xff\xfe",
            b"",
            {"custom_id": 5},
            line("unknown", completion("no")),
        ]
        twice = [failure(lines[0]["custom_id"], "server_error"), line(lines[1]["custom_id"], completion("the second"))]
        mixed = [twice[0], *lines, twice[1], *noise]
        later = mixed.index(lines[1])
        random.Random(3).shuffle(noise)
        return Files([*noise, *mixed[later + 1 : -1 - len(noise)][::-1], *mixed[: later + 1], twice[1]])

    server.output = muddle
    assert texts(run(server, *words(20))) == backwards(20)
    assert len(server.batches) == 1


def test_line_separators_of_unicode_do_not_cut_a_request_in_two(server: BatchServer) -> None:
    """The server splits its input with str.splitlines, as many do."""
    text = "a\u2028b\u2029c\x85d\ne\x0cf"
    assert texts(run(server, text)) == [text[::-1]]
    assert server.inputs[0][0]["body"]["messages"][0]["content"] == text


def test_rows_without_a_line_are_asked_again_and_only_so_often(server: BatchServer) -> None:
    server.output = lambda lines: Files([each for each in lines if each["response"]["body"]["choices"]][1:])
    calls = run(server, *words(3), max_retries=2)
    assert [len(lines) for lines in server.inputs] == [3, 1, 1]
    assert texts(calls[1:]) == backwards(3)[1:]
    assert calls[0].completion is None
    assert calls[0].attempts == 3
    assert "the batch is completed, but its files hold no line for this request" in calls[0].error
    assert server.sent.most_common(1)[0][1] == 3


@pytest.mark.parametrize("final", ["expired", "cancelled", "failed"])
def test_of_a_batch_that_ended_early_the_answers_are_used_and_the_rest_is_asked_again(
    server: BatchServer, final: str
) -> None:
    server.final = [final, "completed"]
    server.errors = [[{"code": "x", "message": "no", "line": 2}]]
    ended = {"expired": "batch_expired", "cancelled": "batch_cancelled"}.get(final, "")
    server.output = lambda lines: (
        Files(lines[:4], [failure(each["custom_id"], ended) for each in lines[4:]])
        if len(server.batches) == 1
        else Files(lines)
    )
    calls = run(server, *words(10))
    if final == "failed":  # the second line of the file was rejected: nothing was answered
        assert "HTTP 400: no" in calls.pop(1).error
        assert texts(calls) == [each for each in backwards(10) if each != "1 txet"]
        assert [len(lines) for lines in server.inputs] == [10, 9]
    else:
        assert texts(calls) == backwards(10)
        assert [len(lines) for lines in server.inputs] == [10, 6]
        assert [each.attempts for each in calls] == [1] * 4 + [2] * 6


def test_an_input_file_that_is_refused_ends_the_run_with_the_servers_words_and_the_next_run_sends_it_anew(
    server: BatchServer,
) -> None:
    server.final = ["failed", "completed"]
    server.errors = [[{"code": "invalid_file", "message": "batches are not for you", "line": None}]]
    memory = Facts()
    message = unusable(run(server, *words(3), memory=memory))
    assert "batches are not for you" in message
    assert "the input file" in message
    assert len(server.batches) == 1
    assert texts(run(server, *words(3), memory=memory)) == backwards(3)


def answers(**by_text: Callable[[str], Line]) -> Callable[[Line], Line]:
    """The server's answers by a request's text; the others are answered as ever."""

    def answer(request: Line) -> Line:
        text = request["body"]["messages"][-1]["content"]
        return by_text[text](request["custom_id"]) if text in by_text else said(request)

    return answer


def wrong(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


BODIES: dict[str, tuple[int, Any]] = {
    "filter": (400, wrong("flagged", code="content_filter")),
    "overflow": (400, wrong("maximum context length is 10 tokens", code="context_length_exceeded")),
    "bad": (400, wrong("I do not like this one")),
    "limited": (429, wrong("slow down")),
    "down": (500, wrong("boom")),
    "inside": (200, wrong("slow down", code=429)),
    "empty": (200, {"choices": []}),
    "null": (200, completion(None, choice={"finish_reason": "stop"})),
    "alien": (200, {"hello": "world"}),
    "refusal": (200, completion(None, message={"refusal": "I will not"})),
    "cut": (200, completion("half", choice={"finish_reason": "length"})),
    "think": (200, completion("<think>hm</think>yes")),
    "usage": (200, completion("fine", usage={"prompt_tokens": "7", "completion_tokens": -1})),
}


def test_every_line_is_judged_as_the_pool_judges_the_same_answer(server: BatchServer) -> None:
    """A good row goes with them, so that the endpoint is known to be one."""
    server.answer = answers(**{name: lambda key, name=name: line(key, *BODIES[name][::-1]) for name in BODIES})
    batched = run(server, "good", *BODIES, max_retries=4)

    def reply(body: Any) -> Reply:
        text = body["messages"][-1]["content"]
        status, answer = BODIES.get(text, (200, completion(text[::-1])))
        return raw(json.dumps(answer), status)

    async def pooled(url: str) -> list[Call]:
        where = replace(endpoint(url, max_retries=4), mode="pool", concurrency=1)
        async with Pool(where, url, "none", backoff=SOON) as pool:
            return [await pool.call(ask(where, text)) for text in ("good", *BODIES)]

    with FaultServer() as other:
        other.default = reply
        alone = asyncio.run(pooled(other.url))
    for name, batch, pool in zip(("good", *BODIES), batched, alone, strict=True):
        assert (name, batch.completion, batch.error, batch.attempts) == (
            name,
            pool.completion,
            pool.error,
            pool.attempts,
        )


def test_a_line_may_hold_its_body_as_text_and_an_error_in_place_of_a_response(server: BatchServer) -> None:
    server.answer = answers(
        text=lambda key: line(key, json.dumps(completion("as text"))),
        status=lambda key: line(key, completion("x"), "200"),
        none=lambda key: {"custom_id": key, "response": None, "error": None},
        filter=lambda key: failure(key, "content_filter", "the content management policy"),
        other=lambda key: failure(key, "strange", "nobody knows"),
    )
    text, status, none, refused, other = run(server, "text", "status", "none", "filter", "other", max_retries=1)
    assert text.completion.text == "as text"
    assert "has the status" in status.error
    assert "neither response nor error" in none.error
    assert refused.completion.finish_reason == "content_filter"
    assert "nobody knows" in other.error


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, wrong("bad key sk-secret-secret"), "turns the key away"),
        (429, wrong("you exceeded your current quota", code="insufficient_quota"), "quota is used up"),
        (404, wrong("the model `m` does not exist", code="model_not_found"), "Did you mean 'mm'?"),
        (400, wrong("unsupported", param="seed", code="unsupported_parameter"), "rejects `seed`: 1 for 'm'"),
    ],
)
def test_what_is_fatal_in_a_line_ends_the_run_after_the_good_rows_and_is_asked_anew_next_time(
    server: BatchServer, status: int, body: Any, expected: str
) -> None:
    server.models = raw(json.dumps({"object": "list", "data": [{"id": "mm"}]}))
    server.answer = answers(bad=lambda key: line(key, body, status))
    memory, where = Facts(), endpoint(server.url)
    asked = [ask(where, each, seed=1) for each in ("a", "bad", "b")]
    first, fatal, last = run(server, *asked, memory=memory, key="sk-secret-secret")
    assert texts([first, last]) == ["a", "b"]
    assert expected in str(fatal)
    assert "secret-secret" not in str(fatal)
    server.answer = said
    assert texts(run(server, asked[1], memory=memory)) == ["dab"]
    assert len(server.batches) == 2


def test_a_default_of_ours_that_is_rejected_is_left_out_and_what_the_user_wrote_is_not(server: BatchServer) -> None:
    def picky(request: Line) -> Line:
        if "temperature" not in request["body"]:
            return said(request)
        refusal = wrong("no temperature here", param="temperature", code="unsupported_value")
        return line(request["custom_id"], refusal, 400)

    server.answer = picky
    where = endpoint(server.url)
    asked = [ask(where, each, temperature=0) for each in words(5)]
    calls = run(server, *(replace(each, defaults=("temperature",)) for each in asked), max_retries=0)
    assert texts(calls) == backwards(5)
    assert [each.attempts for each in calls] == [2] * 5
    assert [len(lines) for lines in server.inputs] == [5, 5]
    assert "rejects `temperature`" in unusable(run(server, *asked))


def test_the_bytes_that_are_sent_are_the_dialects(server: BatchServer) -> None:
    where = endpoint(server.url)
    dialects = {"m": Dialect(names={"max_tokens": "max_completion_tokens"})}
    [call] = run(server, ask(where, "ab", max_tokens=5), dialects=dialects)
    assert call.completion.text == "ba"
    assert server.inputs[0][0]["body"]["max_completion_tokens"] == 5
    assert call.key == ask(where, "ab", max_tokens=5).key
    refusal = wrong("no", param="max_completion_tokens", code="unsupported_parameter")
    server.answer = lambda request: line(request["custom_id"], refusal, 400)
    message = unusable(run(server, ask(where, "ab", max_tokens=5), dialects=dialects))
    assert "rejects `max_completion_tokens`: 5 for 'm'" in message


def test_embeddings_are_batched_too(server: BatchServer) -> None:
    where = endpoint(server.url)
    body = {"model": "e", "input": ["a", "b"], "encoding_format": "float"}
    vectors = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    server.answer = lambda request: line(request["custom_id"], {"data": vectors, "model": "e"})
    [call] = run(server, Request(Model("e", where, "e"), "/embeddings", body))
    assert json.loads(call.completion.text) == [[1.0], [2.0]]
    assert next(iter(server.batches.values()))["endpoint"] == "/v1/embeddings"


def test_the_embedded_engine_answers_a_batch_as_it_answers_each_request_alone() -> None:
    with Server() as engine:
        where = endpoint(engine.base_url)
        asked = [ask(where, f"Answer yes or no: is {number} even?", "small", max_tokens=8) for number in range(20)]

        async def both() -> tuple[list[Call], list[Call]]:
            async with (
                Batch(where, engine.base_url, "", Facts(), settings=FAST, backoff=SOON) as batch,
                Pool(replace(where, mode="pool"), engine.base_url, "none", backoff=SOON) as pool,
            ):
                return (
                    await asyncio.gather(*(batch.call(each) for each in asked)),
                    await asyncio.gather(*(pool.call(each) for each in asked)),
                )

        batched, alone = asyncio.run(both())
    assert [each.completion for each in batched] == [each.completion for each in alone]
    assert None not in [each.completion for each in batched]


@pytest.mark.parametrize("step", ["upload", "create", "poll", "download"])
def test_hiccups_of_every_step_are_waited_out_and_nothing_is_paid_twice(server: BatchServer, step: str) -> None:
    server.instead[step].extend(
        [
            error(503, "down"),
            raw("<html>bad gateway</html>", 502),
            Reply(how="reset"),
            error(429, "slow down", {"Retry-After": "0.2"}),
        ]
    )
    started = time.monotonic()
    assert texts(run(server, *words(5))) == backwards(5)
    assert time.monotonic() - started > 0.2
    assert not server.instead[step]
    assert len(server.batches) == 1


@pytest.mark.parametrize("step", ["upload", "create", "poll"])
def test_an_answer_of_200_that_is_none_is_not_believed(server: BatchServer, step: str) -> None:
    server.instead[step].extend([raw("<html>"), raw("[]")])
    assert texts(run(server, *words(2))) == backwards(2)
    for body in ("null", '{"id": 5}', '{"x": 1}'):
        server.instead[step].extend([raw(body)] * 3)
        message = unusable(run(server, "more"))
        assert "`endpoint.mode: pool`" in message
        assert "HTTP 200" in message


@pytest.mark.parametrize("metadata", [True, False])
def test_a_creation_whose_answer_was_lost_is_looked_up_before_it_is_repeated(
    server: BatchServer, metadata: bool
) -> None:
    server.metadata, server.lost = metadata, 1
    assert texts(run(server, *words(65), most=10)) == backwards(65)
    assert len(server.batches) == 7
    assert set(server.sent.values()) == {1}


@pytest.mark.parametrize(
    ("step", "reply", "expected"),
    [
        ("upload", error(401, "bad key sk-secret-secret"), "turns the key away"),
        ("upload", error(404, "not found"), "no /files here"),
        ("create", error(404, "not found"), "Where an endpoint has no batches, use `endpoint.mode: pool`"),
        ("create", error(405, "method not allowed"), "`endpoint.mode: pool`"),
        ("create", error(429, "x", code="insufficient_quota"), "quota is used up"),
        ("create", error(400, "no batches on this plan"), "no batches on this plan"),
        ("poll", error(403, "no"), "turns the key away"),
        ("download", error(401, "no"), "turns the key away"),
        ("upload", error(429, "x", {"Retry-After": "900"}), "asks to wait 900 s"),
    ],
)
def test_what_cannot_go_on_stops_at_once_with_the_remedy_and_without_the_key(
    server: BatchServer, step: str, reply: Reply, expected: str
) -> None:
    server.instead[step].append(reply)
    message = unusable(run(server, *words(3), key="sk-secret-secret"))
    assert expected in message
    assert "secret-secret" not in message
    assert len(server.batches) <= 1


def test_a_server_that_stays_down_ends_the_run_and_the_next_one_takes_the_batch_up(server: BatchServer) -> None:
    memory = Facts()
    server.instead["poll"].extend([error(503, "down")] * 3)
    message = unusable(run(server, *words(4), memory=memory, max_retries=2))
    assert "3 tries (HTTP 503: down)" in message
    assert "goes on from here" in message
    assert texts(run(server, *words(4), memory=memory)) == backwards(4)
    assert len(server.batches) == 1


def test_nobody_listening_is_said_so(server: BatchServer) -> None:
    where = endpoint("http://127.0.0.1:9/v1")

    async def go() -> Call:
        async with Batch(where, where.base_url, "", Facts(), settings=FAST, backoff=SOON) as batch:
            return await batch.call(ask(where, "a"))

    with pytest.raises(EndpointUnusable, match="nobody answers there"):
        asyncio.run(go())


def test_no_key_sends_no_authorization_and_a_key_is_sent(server: BatchServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-of-somebody-else")
    run(server, "a")
    assert {each.headers.get("Authorization") for each in server.seen} == {None}
    server.seen.clear()
    run(server, "a", key="sk-mine-mine")
    assert {each.headers.get("Authorization") for each in server.seen} == {"Bearer sk-mine-mine"}


def test_custom_ids_that_come_back_changed_are_not_paid_for_again(server: BatchServer) -> None:
    server.output = lambda lines: Files([{**each, "custom_id": "request-1"} for each in lines])
    memory = Facts()
    for _ in range(2):
        assert "none of its requests" in unusable(run(server, *words(3), memory=memory))
    assert len(server.batches) == 1


def test_an_output_that_is_garbled_on_its_way_is_read_again_and_not_paid_again(server: BatchServer) -> None:
    """Also once batches are trusted: the file is there, and reading it costs nothing."""
    for _ in range(2):
        server.instead["download"].extend([raw("{malformed json: <<<chaos>>>"), raw("\n1\n[2]\n")])
        assert texts(run(server, *words(4), memory=Facts())) == backwards(4)
    assert len(server.batches) == 2


def test_an_output_that_is_gone_is_asked_for_again(server: BatchServer) -> None:
    server.gone = {"file-2"}
    assert texts(run(server, *words(3))) == backwards(3)
    assert len(server.batches) == 2


def test_an_output_larger_than_is_read_fails_the_rows_beyond_without_paying_again(server: BatchServer) -> None:
    server.answer = lambda request: line(request["custom_id"], completion("x" * 1_000))
    calls = run(server, *words(10), output=5_000)
    assert 2 <= sum(each.completion is not None for each in calls) <= 5
    assert {each.error for each in calls if not each.completion} == {"the batch's output is larger than 5000 bytes"}
    assert len(server.batches) == 1


def test_too_much_at_once_is_sent_again_in_smaller_batches_one_after_the_other(server: BatchServer) -> None:
    server.final = ["failed", "failed", "completed"]
    limit = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None}
    server.errors = [[limit], [limit]]
    assert texts(run(server, *words(16))) == backwards(16)
    assert [len(lines) for lines in server.inputs] == [16, 8, 8, 4, 4]
    server.instead["upload"].append(error(413, "too large"))
    assert texts(run(server, *words(6))) == backwards(6)
    assert [len(lines) for lines in server.inputs[5:]] == [3, 3]


async def cancelled_while_polling(server: BatchServer, memory: Facts) -> Batch:
    where = endpoint(server.url)
    batch = Batch(where, server.url, "", memory, settings=FAST, backoff=SOON)
    tasks = [asyncio.create_task(batch.call(ask(where, each))) for each in words(5)]
    while not server.batches or "sent" not in memory.states:
        await asyncio.sleep(0.005)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await batch.close()
    return batch


def test_cancelled_calls_leave_a_batch_that_the_next_run_takes_up_and_a_message_says_so(server: BatchServer) -> None:
    memory = Facts()
    server.polls = 1_000
    batch = asyncio.run(cancelled_while_polling(server, memory))
    [message] = batch.notes()
    assert "1 batch goes on there, with 5 requests" in message
    server.polls, server._left = 1, dict.fromkeys(server.batches, 1)
    assert texts(run(server, *words(7), memory=memory)) == backwards(7)
    assert [len(lines) for lines in server.inputs] == [5, 2]
    assert memory.states == ["done", "done"]


def test_a_batch_that_nobody_asks_about_any_more_costs_nothing(server: BatchServer) -> None:
    memory = Facts()
    server.polls = 1_000
    asyncio.run(cancelled_while_polling(server, memory))
    server.polls = 1
    time.sleep(0.2)  # a poll that was under way when all was cancelled may still land
    before = server._left["batch_1"]
    assert texts(run(server, "something else", memory=memory)) == ["esle gnihtemos"]
    assert server._left["batch_1"] == before
    assert memory.states == ["sent", "done"]


def test_a_batch_that_the_endpoint_forgot_or_gave_another_ones_id_is_sent_again(server: BatchServer) -> None:
    memory = Facts()
    server.polls = 1_000
    asyncio.run(cancelled_while_polling(server, memory))
    server.polls = 1
    server.batches.clear()  # started anew: the same id will be another batch's
    run(server, "first of the new life")
    assert texts(run(server, *words(5), memory=memory)) == backwards(5)
    assert [len(lines) for lines in server.inputs] == [1, 5]


def test_calls_cancelled_before_anything_was_sent_send_nothing(server: BatchServer) -> None:
    where = endpoint(server.url)

    async def go() -> None:
        async with Batch(where, server.url, "", Facts(), settings=FAST, backoff=SOON) as batch:
            tasks = [asyncio.create_task(batch.call(ask(where, each))) for each in words(3)]
            await asyncio.sleep(FAST.quiet / 3)
            for task in tasks:
                task.cancel()
            await batch.call(ask(where, "still wanted"))

    asyncio.run(go())
    assert [len(lines) for lines in server.inputs] == [1]


def test_calls_cancelled_and_made_again_at_any_moment_are_all_answered_and_sent_once(server: BatchServer) -> None:
    """A key that was answered is in the log, and not asked for again."""
    where, rng = endpoint(server.url), random.Random(5)
    server.polls = 4
    asked = [ask(where, each) for each in words(60)]
    got: dict[str, Call] = {}

    async def go() -> None:
        settings = replace(FAST, quiet=0.01, most=7)
        batch = Batch(where, server.url, "", Facts(), settings=settings, backoff=SOON)

        async def one(request: Request) -> None:
            call = await batch.call(request)
            assert request.key not in got
            got[request.key] = call

        tasks: dict[str, asyncio.Task[None]] = {}
        for _ in range(600):
            request = rng.choice(asked)
            if request.key not in tasks and request.key not in got:
                tasks[request.key] = asyncio.create_task(one(request))
            elif request.key in tasks and rng.random() < 0.5:
                tasks[request.key].cancel()
                await asyncio.gather(tasks.pop(request.key), return_exceptions=True)
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() / 100)
        await asyncio.gather(*tasks.values())
        await asyncio.wait_for(asyncio.gather(*(one(each) for each in asked if each.key not in got)), 20)
        await batch.close()

    asyncio.run(go())
    assert [got[each.key].completion.text for each in asked] == backwards(60)  # type: ignore[union-attr]
    assert set(server.sent.values()) == {1}


def test_a_call_made_in_the_moment_in_which_its_batch_is_done_with_is_answered(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, settle = endpoint(server.url), Answers.settle

    async def go() -> Call:
        gate = asyncio.get_running_loop().create_future()

        async def settled(self: Answers, chunk: Any) -> None:
            await settle(self, chunk)
            if not gate.done():
                gate.set_result(None)

        async def late() -> Call:
            await gate
            return await batch.call(ask(where, "ab"))

        monkeypatch.setattr(Answers, "settle", settled)
        async with Batch(where, server.url, "", Facts(), settings=FAST, backoff=SOON) as batch:
            first, again = [asyncio.create_task(batch.call(ask(where, each))) for each in ("ab", "cd")]
            waiting = asyncio.create_task(late())
            while not server.batches:
                await asyncio.sleep(0.001)
            first.cancel()
            await again
            return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(go()).completion.text == "ba"  # type: ignore[union-attr]
    assert set(server.sent.values()) == {1}


def test_a_memory_that_cannot_be_written_stops_before_anything_is_sent(server: BatchServer) -> None:
    class Full(Facts):
        def note(self, name: str, value: Any) -> None:
            raise Interrupted("the disk is full", 3)

    calls = run(server, *words(3), memory=Full())
    assert {str(each) for each in calls} == {"the disk is full"}
    assert not server.uploads


def test_answers_are_noted_as_taken_only_once_the_log_has_them(server: BatchServer, tmp_path: Path) -> None:
    """The disk is full while the answers are handed over: what the log lacks is taken from the same batch."""
    where = endpoint(server.url)

    class Full(Store):
        def record(self, *calls: Call) -> None:
            for call in calls:
                if len(kept) == 10:
                    raise Interrupted("the disk is full", 3)
                kept.append(call.key)
                super().record(call)

        def note(self, name: str, value: Any) -> None:
            if len(kept) == 10:
                raise Interrupted("the disk is full", 3)
            super().note(name, value)

    kept: list[str] = []
    store = Full(tmp_path / "run.sqlite", None)

    async def go() -> None:
        async with Batch(where, server.url, "", store, settings=FAST, backoff=SOON) as batch:
            driver = Driver(batch, store, Meter(FREE), Halt())
            await driver.run((flow(ask(where, each)) for each in words(30)), lambda _place, value, _calls: value)

    with pytest.raises(Interrupted, match="the disk is full"):
        asyncio.run(go())
    store.close()
    assert len(kept) == 10
    assert drive(server.url, tmp_path / "run.sqlite", 30) == backwards(30)
    assert set(server.sent.values()) == {1}


def test_a_whole_run_over_batches_ends_with_the_tables_of_one_over_a_pool(
    server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.default = small_project.answer
    server.answer = lambda request: line(
        request["custom_id"], json.loads(small_project.answer(request["body"]).body), 200
    )
    alone = small_project.write(tmp_path / "pool", server.url)
    Experiment.load(alone).mine()
    assert not server.batches

    monkeypatch.setattr("promptlab.endpoint.batch.settings.USUAL", FAST)
    batched = small_project.write(tmp_path / "batch", server.url, endpoint=", mode: batch")
    Experiment.load(batched).mine()
    assert 1 < len(server.batches) < 10
    assert small_project.tables(alone) == small_project.tables(batched)


ROUNDS = int(os.environ.get("PROMPTLAB_KILLS", "1"))


def test_killed_while_it_polls_a_run_goes_on_with_the_same_batch(server: BatchServer, tmp_path: Path) -> None:
    server.polls = 1_000_000
    process = small_project.forked(drive, server.url, tmp_path / "run.sqlite", 120)
    while not server._left or min(server._left.values()) > 1_000_000 - 3:
        assert process.is_alive()
        time.sleep(0.005)
    process.kill()
    process.join()
    server._left = dict.fromkeys(server._left, 2)
    assert drive(server.url, tmp_path / "run.sqlite", 120) == backwards(120)
    assert len(server.batches) == server.uploads == 1
    assert set(server.sent.values()) == {1}
    assert len(server.sent) == 120


def test_killed_at_random_moments_nothing_is_sent_twice(server: BatchServer, tmp_path: Path) -> None:
    """Killed upon what the server has just seen: an upload, a creation (its answer may not have come), a poll."""
    server.polls = 3
    steps = ("upload", "create", "poll", "download")
    for place, step in enumerate(steps * ROUNDS):
        server.seen.clear()
        log = tmp_path / f"{place}.sqlite"
        moment = {"upload": "uploads", "create": "batches", "poll": "_left", "download": "downloads"}[step]
        before = _count(getattr(server, moment))
        batches = len(server.batches)
        server.sent.clear()
        process = small_project.forked(drive, server.url, log, 40)
        while _count(getattr(server, moment)) == before:
            assert process.is_alive()
            time.sleep(0.0005)
        time.sleep(random.Random(place).random() / 200)
        process.kill()
        process.join()
        assert drive(server.url, log, 40) == backwards(40)
        assert len(server.batches) == batches + 1, step
        assert set(server.sent.values()) == {1}, step


def _count(value: Any) -> int:
    if isinstance(value, int):
        return value
    return -sum(value.values()) if value and all(isinstance(each, int) for each in value.values()) else len(value)
