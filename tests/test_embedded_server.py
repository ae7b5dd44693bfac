"""The embedded server, through the real openai SDK over HTTP: it speaks OpenAI's protocol and fails as OpenAI does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlab.embedded import VERSION
from promptlab.embedded.server import Server, serve
from promptlab.errors import BadInput

SYSTEM = "Classify the message. Answer with one of: billing, delivery, refund. Label only."
MESSAGES: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "a question about my delivery"}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server() as server:
        yield server.base_url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="any key", max_retries=0) as made:
        yield made


def post(url: str, body: bytes) -> tuple[int, Any]:
    """The raw HTTP answer to ``body``: its status and its JSON."""
    request = urllib.request.Request(url + "/chat/completions", data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_chat_completion_has_everything_that_the_sdk_reads(client: openai.OpenAI) -> None:
    said = client.chat.completions.create(model="big", messages=MESSAGES, temperature=0, max_tokens=20)
    assert said.choices[0].message.content == "delivery"
    assert said.choices[0].message.role == "assistant"
    assert said.choices[0].finish_reason == "stop"
    assert said.model == "big"
    assert said.object == "chat.completion"
    assert said.system_fingerprint == f"embedded@{VERSION}"
    assert said.usage is not None
    assert said.usage.prompt_tokens > 15
    assert said.usage.completion_tokens == 1
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert [(model.id, model.owned_by) for model in client.models.list()] == [
        ("small", "promptlab"),
        ("big", "promptlab"),
        ("embed-small", "promptlab"),
    ]
    assert client.models.retrieve("small").id == "small"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("huge")
    assert caught.value.code == "model_not_found"


def test_the_same_request_at_any_concurrency_has_the_same_answer(url: str) -> None:
    """96 requests, 16 at a time, give what the same requests give one after another."""
    texts = [f"where is parcel {i}, or must I pay it again?" for i in range(12)]

    async def ask(width: int) -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as made:
            gate = asyncio.Semaphore(width)

            async def one(text: str) -> str | None:
                async with gate:
                    turns: Any = [MESSAGES[0], {"role": "user", "content": text}]
                    said = await made.chat.completions.create(
                        model="small", messages=turns, temperature=2, seed=len(text)
                    )
                    return said.choices[0].message.content

            return await asyncio.gather(*(one(text) for text in texts * (1 if width == 1 else 8)))

    alone, together = asyncio.run(ask(1)), asyncio.run(ask(16))
    assert together == alone * 8


def test_stop_and_limit_are_honoured(client: openai.OpenAI) -> None:
    question: Any = [{"role": "user", "content": "Who are you?"}]

    def say(**params: Any) -> Any:
        return client.chat.completions.create(model="small", messages=question, **params).choices[0]

    whole = say().message.content
    assert len(whole.split()) > 6
    for name in ("max_tokens", "max_completion_tokens"):
        short = say(**{name: 3})
        assert (short.finish_reason, short.message.content) == ("length", " ".join(whole.split()[:3]))
    assert say(stop="answer").message.content == whole.split("answer")[0]
    assert say(stop=["zzz", whole.split()[2]]).message.content == whole.split(whole.split()[2])[0]


def test_text_parts_and_a_response_schema_work(client: openai.OpenAI) -> None:
    parts: Any = [
        {"role": "user", "content": [{"type": "text", "text": "my delivery"}, {"type": "text", "text": "is late"}]}
    ]
    schema: Any = {
        "type": "json_schema",
        "json_schema": {
            "name": "intent",
            "schema": {
                "type": "object",
                "properties": {
                    "why": {"type": "string"},
                    "intent": {"type": "string", "enum": ["late delivery", "fee"]},
                },
            },
        },
    }
    said = client.chat.completions.create(model="big", messages=parts, response_format=schema, temperature=0)
    assert json.loads(said.choices[0].message.content or "")["intent"] == "late delivery"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [7]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": True}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
        ({"logprobs": 3}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"seed": "x"}, "seed"),
        ({"top_p": 7}, "top_p"),
        ({"response_format": "json"}, "response_format"),
        ({"model": None}, "model"),
    ],
)
def test_wrong_parameters_are_named(url: str, change: dict[str, Any], param: str) -> None:
    """Each wrong value is a 400 whose error body names the parameter, in OpenAI's shape."""
    status, body = post(url, json.dumps({"model": "small", "messages": MESSAGES} | change).encode())
    assert status == 400
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["param"] == param
    assert body["error"]["type"] == "invalid_request_error"


def test_the_sdk_raises_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="small", messages=MESSAGES, n=300)
    assert bad.value.param == "n"
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert missing.value.code == "model_not_found"
    assert "small" in missing.value.message
    with pytest.raises(openai.NotFoundError, match="'embed-small' is not for this route"):
        client.chat.completions.create(model="embed-small", messages=MESSAGES)
    with pytest.raises(openai.NotFoundError, match="no such route"):
        client.completions.create(model="small", prompt="x")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[1]", b'"x"', b"[" * 100_000, b'{"model": 1e999}', b'{"a":' + b"9" * 5000 + b"}"]
)
def test_bad_json_is_a_400(url: str, body: bytes) -> None:
    status, answer = post(url, body)
    assert status == 400
    assert answer["error"]["message"]


def test_unknown_routes_methods_and_parameters(url: str) -> None:
    """No such route 404, wrong method 405, both in JSON; parameters that are not known are ignored; health is plain."""
    for path, method, status in (("/nope", "GET", 404), ("/chat/completions", "GET", 405)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url + path, method=method), timeout=20)
        with caught.value as error:
            assert error.code == status
            assert "error" in json.load(error)
    assert post(url, json.dumps({"model": "small", "messages": MESSAGES, "user": "u", "colour": 1}).encode())[0] == 200
    with urllib.request.urlopen(url.removesuffix("/v1") + "/health", timeout=20) as response:
        assert json.load(response)["engine"] == f"embedded@{VERSION}"


def test_a_body_of_33_mb_is_refused_and_one_of_2_mb_is_answered(url: str) -> None:
    big = [{"role": "user", "content": "x" * 33 * 2**20}]
    assert post(url, json.dumps({"model": "small", "messages": big}).encode())[0] == 413
    big[0]["content"] = "word " * 400_000
    assert post(url, json.dumps({"model": "small", "messages": big}).encode())[0] == 200


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
message = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.text(max_size=30) | anything}
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(message | anything, max_size=4) | anything,
    st.dictionaries(
        st.sampled_from(
            ["temperature", "stop", "n", "seed", "max_tokens", "response_format", "top_p", "logprobs", "top_logprobs"]
        ),
        anything,
    ),
)
def test_no_request_makes_a_500(url: str, messages: Any, rest: dict[str, Any]) -> None:
    """Whatever stands in a body, the answer is 200 or a 4xx with an error body."""
    status, body = post(url, json.dumps({"model": "big", "messages": messages, **rest}).encode())
    assert status in (200, 400)
    assert ("choices" in body) == (status == 200)


def test_the_server_stops_cleanly_and_can_be_started_again() -> None:
    """No thread and no port is left; a client's open connection does not hold the stop up."""
    before = threading.active_count()
    for _ in range(3):
        with Server() as server, openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as made:
            assert len(list(made.models.list())) == 3
        port = int(server.base_url.split(":")[2].split("/")[0])
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert threading.active_count() == before


def test_serve_announces_itself_and_ends_on_ctrl_c() -> None:
    """``serve`` prints its base_url, answers, and ends on SIGINT with exit code 0 and nothing on stderr."""
    code = "from promptlab.embedded.server import serve; serve('127.0.0.1', 0, lambda url: print(url, flush=True))"
    path = os.pathsep.join(entry for entry in [".", *sys.path] if entry)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert post(address, json.dumps({"model": "small", "messages": MESSAGES}).encode())[0] == 200
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def test_a_taken_port_is_bad_input() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadInput, match="choose another port"):
            serve("127.0.0.1", taken.getsockname()[1])
