"""Every fault that servers were seen to make, one row each: what became of the request.

The keys of TABLE are the rows; a row that needs more than its outcome to be seen is named in ELSEWHERE.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import pytest
import test_endpoint
from fault_server import FaultServer, Reply, completion, error, ok, raw
from test_endpoint import KEY, QUICK, ask, endpoint

from promptlab.answer import parse, parser
from promptlab.endpoint.pool import Pool
from promptlab.errors import EndpointUnusable
from promptlab.records import Call

LABEL = parser("label")
HTML = "<html><head><title>Welcome to nginx!</title></head></html>"


@dataclass(frozen=True)
class Case:
    """``reply`` comes first (``always``: every time), then a plain answer, the label ``ok``.

    ``end`` is what becomes of the request: the row's status (ok, refused, truncated, overflow, invalid), or ``error``
    (the row fails), or ``stop`` (the run ends). ``says`` is in the text of the error; ``wait`` are seconds.
    """

    reply: Reply
    end: str = "ok"
    says: str = ""
    attempts: int = 1
    wait: tuple[float, float] = (0.0, 60.0)
    always: bool = False


def again(reply: Reply, **changes: Any) -> Case:
    return Case(reply, attempts=2, **changes)


def stop(reply: Reply, says: str) -> Case:
    return Case(reply, "stop", says)


def told(body: Any, status: int = 400) -> Reply:
    return raw(json.dumps(body), status)


def data(**changes: Any) -> bytes:
    return json.dumps(completion(**changes)).encode()


def late(seconds: float) -> Reply:
    date, now = formatdate(1e9 + seconds, usegmt=True), formatdate(1e9, usegmt=True)
    return error(429, headers={"Retry-After": date, "Date": now})


EXTRA = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 7}]
SEED = "(HTTP 422: seed: Extra inputs are not permitted)"
AZURE_FILTER = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
        },
    }
}
GOOGLE_KEY = {
    "code": 400,
    "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
}
GOOGLE_SEED = {"code": 400, "message": 'Unknown name "seed": Cannot find field.', "status": "INVALID_ARGUMENT"}
TOO_LONG = "This model's maximum context length is 2048 tokens. However, you requested 100026 tokens."
UPSTREAM = {"raw": "qwen is temporarily rate-limited upstream", "provider_name": "Any"}
TOOLS = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]

TABLE: dict[str, dict[str, Case]] = {
    "429, no Retry-After": {"": again(error(429), wait=(0.0, 0.5))},
    "429 Retry-After 1 / ms / date": {
        "seconds": again(error(429, headers={"Retry-After": "1"}), wait=(1.0, 5)),
        "a part of one": again(error(429, headers={"Retry-After": "0.3"}), wait=(0.3, 5)),
        "ms": again(error(429, headers={"Retry-After-Ms": "300"}), wait=(0.3, 5)),
        "date": again(late(1), wait=(1.0, 5)),
        "text": again(error(429, "Rate limit reached. Please try again in 300ms."), wait=(0.3, 5)),
        "text, Azure": again(error(429, "Please retry after 1 second. To increase"), wait=(1.0, 5)),
        "detail, Google": again(told([{"error": {"code": 429, "message": "You exceeded your current quota", "details": [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.3s"}]}}], 429), wait=(0.3, 5)),
        "503": again(error(503, headers={"Retry-After": "0.3"}), wait=(0.3, 5)),
    },
    "RA 0 / negative / garbage": {
        each: again(error(429, headers={"Retry-After": each}), wait=(0.0, 0.5))
        for each in ("0", "-5", "soon", "nan", "1e999", "Mon, 99 Foo", "0x10")
    } | {"a date that has passed": again(late(-30), wait=(0.0, 0.5))},
    "RA > 120": {
        "seconds": stop(error(429, headers={"Retry-After": "121"}), "asks to wait 121 s"),
        "ms": stop(error(429, headers={"Retry-After-Ms": "500000"}), "asks to wait 500 s"),
        "date": stop(late(7200), "asks to wait 7200 s"),
        "text": stop(error(429, "Limit 100000 a day. Please try again in 1h2m3.5s."), "asks to wait 3724 s"),
        "503": stop(error(503, headers={"Retry-After": "3600"}), "Come back after"),
    },
    "429 insufficient_quota": {
        "flat": stop(told({"error": "insufficient_quota", "message": "no credits left"}, 429), "no credits left"),
        "402, OpenRouter": stop(told({"error": {"code": 402, "message": "Insufficient credits"}}, 402), "Top up"),
        "402 with Retry-After": again(error(402, headers={"Retry-After": "0.3"}), wait=(0.3, 5)),
        "402 in a 200": stop(told({"error": {"code": 402, "message": "Add more"}}, 200), "the quota is used up"),
        "larger than a minute's tokens": Case(error(429, "Request too large for m: Limit 10"), "error", "too large"),
    },
    "x-should-retry:false": {
        str(status): Case(error(status, "no", {"x-should-retry": "false"}), "error", f"HTTP {status}: no")
        for status in (429, 500, 503)
    },
    "401/403/404 (JSON or HTML)": {
        "401": stop(error(401, f"Incorrect API key provided: {KEY}."), "[redacted]"),
        "401 html": stop(raw(HTML, 401), "Welcome to nginx!"),
        "403 html": stop(raw(HTML, 403), "turns the key away"),
        "404 html": stop(raw(HTML, 404), "there is no /chat/completions here"),
        "400, Google": stop(told([{"error": GOOGLE_KEY}]), "turns the key away"),
        "400, Google, wrapped": stop(told({"error": {"message": json.dumps({"error": GOOGLE_KEY})}}), "the key away"),
        "400, Google, in another language": stop(told([{"error": {**GOOGLE_KEY, "message": "no"}}]), "the key away"),
        "400, LiteLLM": stop(error(400, "No connected db.", type="no_db_connection"), "turns the key away"),
        "401 in a 200": stop(told({"error": {"code": 401, "message": "who?"}}, 200), "turns the key away"),
        "403 for one model": stop(error(403, "Project `p` does not have access to model `small`"), "no such model"),
        "404, Azure": stop(error(404, "not there", code="DeploymentNotFound"), "no such model"),
        "404, OpenRouter": stop(error(404, "No endpoints found for small."), "no such model"),
    },
    "400 context_length_exceeded": {
        "OpenAI": Case(error(400, TOO_LONG, code="context_length_exceeded", param="messages"), "overflow"),
        "vLLM": Case(told({"object": "error", "message": TOO_LONG, "type": "BadRequestError"}), "overflow"),
        "Ollama": Case(told({"error": "the input length exceeds the context length"}), "overflow"),
        "llama.cpp": Case(error(400, "the request exceeds the available context size", code=400), "overflow"),
        "in a 200": Case(told({"error": {"code": 400, "metadata": {"raw": TOO_LONG}}}, 200), "overflow"),
    },
    "400 content_filter / invalid_prompt / cyber_policy": {
        "Azure": Case(told(AZURE_FILTER), "refused"),
        "invalid_prompt": Case(error(400, "flagged", code="invalid_prompt"), "refused"),
        "cyber_policy": Case(error(400, "flagged", code="cyber_policy"), "refused"),
        "403, OpenRouter": Case(error(403, "Your input was flagged", metadata={"reasons": ["x"]}), "refused"),
    },
    "400 unsupported_parameter/value (`param` set)": {
        "param": stop(error(400, "no", code="unsupported_parameter", param="max_tokens"), "rejects `max_tokens`"),
        "value": stop(error(400, "no", code="unsupported_value", param="temperature"), "rejects `temperature`"),
        "no param": stop(error(400, "Unsupported parameter: 'seed'. Use 'max_tokens'"), "rejects `seed`"),
        "a part": stop(error(400, "no", code="unsupported_value", param="messages[0].role"), "`messages[0].role`"),
        "the model": stop(error(400, "not for chat", code="unsupported_value", param="model"), "no such model"),
        "the data": Case(error(400, "wrong", code="invalid_type", param="messages[0].content"), "error", "wrong"),
    },
    "400 list body / string error / 422 detail": {
        "list": stop(told([{"error": GOOGLE_SEED}]), "rejects `seed`"),
        "list of a string": Case(told(["bad picture"]), "error", "HTTP 400: bad picture"),
        "string": Case(told({"error": "bad picture"}), "error", "HTTP 400: bad picture"),
        "string and message": Case(told({"error": "Bad Request", "message": "bad picture"}), "error", "bad picture"),
        "422": stop(told({"detail": EXTRA}, 422), SEED),
        "422, Mistral": stop(told({"object": "error", "message": {"detail": EXTRA}}, 422), SEED),
        "422, Mistral, text": stop(told({"message": json.dumps({"detail": EXTRA})}, 422), SEED),
        "422, Mistral, list": stop(told({"object": "Error", "detail": EXTRA, "message": EXTRA}, 422), SEED),
        "422 detail text": Case(told({"detail": "bad picture"}, 422), "error", "HTTP 422: bad picture"),
        "422 odd detail": Case(told({"detail": [{"loc": 3, "msg": "bad"}]}, 422), "error", "HTTP 422: : bad"),
    },
    "200 HTML / SSE / wrong type": {
        "HTML": Case(raw(HTML), "stop", "this is no OpenAI endpoint", 3, always=True),
        "SSE": Case(raw('data: {"choices": []}\n\n'), "stop", "a stream of events", 3, always=True),
        "comments before SSE": Case(raw(": PROCESSING\n\n"), "stop", "a stream of events", 3, always=True),
        "another API": Case(told({"response": "ok", "done": True}, 200), "stop", "no choices", 3, always=True),
    },
    '200 {"error":…}': {
        "429, OpenRouter": again(told({"error": {"code": 429, "message": "x", "metadata": UPSTREAM}}, 200)),
        "502": again(told({"error": {"code": "502", "message": "x"}}, 200)),
        "text": Case(told({"error": "Too many requests"}, 200), "error", "Too many", 5, always=True),
        "flat, vLLM": Case(told({"object": "error", "message": "boom"}, 200), "error", "boom", 3, always=True),
        "in the choice": again(ok(None, choice={"finish_reason": "error", "error": {"code": 502, "message": "x"}})),
        "400": Case(told({"error": {"code": 400, "message": "bad picture"}}, 200), "error", "HTTP 400: bad picture"),
        "Azure's filter is down": Case(ok(choice={"content_filter_results": {"error": {"code": "x"}}})),
    },
    "content null, fr=stop": {
        "nothing": Case(ok(None), "invalid"),
        "empty": Case(ok(""), "invalid"),
        "reasoning only": Case(ok(None, message={"reasoning_content": "the label is ok"}), "invalid"),
        "reasoning in the content": Case(ok([{"type": "thinking", "thinking": "the label is ok"}]), "invalid"),
        "<think> only": Case(ok("<think>the label is ok"), "invalid"),
        "tool_calls": Case(ok(None, choice={"finish_reason": "tool_calls"}, message={"tool_calls": TOOLS}), "invalid"),
        "refusal": Case(ok(None, message={"refusal": "ok"}), "refused"),
    },
    "fr=length": {
        "no answer": Case(ok("The label is", choice={"finish_reason": "length"}), "truncated"),
        "used up in thinking": Case(ok("<think>ok", choice={"finish_reason": "length"}), "truncated"),
        "an answer": Case(ok("ok", choice={"finish_reason": "length"})),
    },
    "fr=content_filter": {
        "null": Case(ok(None, choice={"finish_reason": "content_filter"}), "refused"),
        "cut": Case(ok("ok", choice={"finish_reason": "content_filter"}), "refused"),
    },
    "unknown/null fr": {
        str(each): Case(ok("ok", choice={"finish_reason": each})) for each in (None, "eos", "", 3, {"a": 1}, ["stop"])
    },
    "content list/int": {
        "parts": Case(ok([{"type": "text", "text": "o"}, "k"])),
        "int": again(ok(7)),
    },
    "NUL char": {"": Case(ok("o\0k"), "invalid")},
    "-Infinity logprob": {
        "": Case(raw(data(text="ok", choice={"logprobs": {"content": [{"token": "ok", "logprob": -float("inf")}]}})))
    },
    "duplicate index/ids, wrong model": {
        "": Case(told(completion(id="", model="other", choices=completion()["choices"] * 2), 200)),
        "no index": Case(ok(choice={"index": None})),
    },
    "gzip garbage, reset mid-body, close mid-body, reset at start": {
        **{each: again(raw(b"garbage", **{"Content-Encoding": each})) for each in ("gzip", "deflate", "br", "zstd")},
        "half of a gzip": again(raw(gzip.compress(data())[:-20], **{"Content-Encoding": "gzip"})),
        "mid-body": again(Reply(body=data(), how="cut")),
        "mid-body, length unknown": again(Reply(body=data(), how="torn")),
        "at start": again(Reply(how="reset")),
    },
    "30 MB body": {
        "": again(Reply(body=data(text="x" * 30_000_000))),
        "length unknown": again(Reply(body=data(text="x" * 30_000_000), how="chunked")),
        "30 kB that unpack to 30 MB": again(
            raw(gzip.compress(data(text="x" * 30_000_000)), **{"Content-Encoding": "gzip"})
        ),
    },
    "whitespace keep-alives": {"": Case(Reply(body=data(text="ok"), how="yawn"))},
    "redirect 307": {
        "elsewhere": stop(raw("", 307, Location="https://elsewhere.invalid/x?token=abc"), "https://elsewhere.invalid/x)"),
        "nowhere": stop(raw("", 307), "to nowhere"),
        "no URL": stop(raw("", 307, Location="http://[bad"), "sends requests elsewhere"),
        "round and round": Case(raw("", 307, Location="/v1/chat/completions"), "stop", "elsewhere", 3, always=True),
    },
}  # fmt: skip
ELSEWHERE = {
    "500/502 html/503/529/408": "test_a_transient_fault_costs_one_more_attempt_and_no_row",
    "200 bad JSON / empty / bad UTF-8": "test_a_transient_fault_costs_one_more_attempt_and_no_row",
    '200 `null`,`[]`,`"x"`': "test_a_transient_fault_costs_one_more_attempt_and_no_row",
    "choices empty/missing/no message": "test_answers_without_a_message_are_tried_three_times_then_the_row_is_an_error",
    "missing usage": "test_missing_or_impossible_usage_is_estimated_and_marked",
    "usage strings/negative": "test_reported_usage_is_coerced",
    "lone surrogate `\\ud83d`": "test_lone_surrogates_are_replaced_and_nul_and_emoji_are_kept",
    "hang": "test_a_hanging_server_is_left_after_the_timeout",
    "slow drip": "test_a_slow_drip_does_not_outlive_the_timeout",
}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def outcome(server: FaultServer) -> Call | str:
    """The call, or why the run ends."""

    async def go() -> Call | str:
        async with Pool(endpoint(concurrency=1), server.url, KEY, backoff=QUICK) as pool:
            try:
                return await pool.call(ask())
            except EndpointUnusable as end:
                return str(end)

    return asyncio.run(go())


@pytest.mark.parametrize(("row", "name"), [(row, name) for row, cases in TABLE.items() for name in cases])
def test_a_fault_ends_as_its_row_of_the_table_says(server: FaultServer, row: str, name: str) -> None:
    case = TABLE[row][name]
    server.seen.clear()
    server.default = lambda _: case.reply if case.always or len(server.posts) == 1 else ok("ok")
    found = outcome(server)
    if isinstance(found, str):
        end, said = "stop", found
    elif found.completion is None:
        end, said = "error", found.error
    else:
        end, said = parse(found.completion, LABEL, ["ok"])[1], found.completion.text
    assert (end, len(server.posts)) == (case.end, case.attempts), said
    assert case.says in said
    assert KEY not in said
    if case.attempts == 2:
        first, second = (each.at for each in server.posts)
        assert case.wait[0] <= second - first < case.wait[1]


def test_every_row_of_the_table_is_here_or_names_its_test() -> None:
    assert len(TABLE.keys() | ELSEWHERE.keys()) == len(TABLE) + len(ELSEWHERE) == 34
    assert all(callable(getattr(test_endpoint, name)) for name in ELSEWHERE.values())
