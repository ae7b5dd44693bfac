"""Streams, several choices and log probabilities of the embedded server, read by the real openai SDK."""

from __future__ import annotations

import asyncio
import json
import math
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.embedded.engine import Params, answer, outlook
from promptlab.embedded.logprobs import logprobs
from promptlab.embedded.pieces import count, tokens
from promptlab.embedded.server import Server

LABELS = ["billing", "delivery", "refund"]
SYSTEM = f"Classify the message. Answer with one of: {', '.join(LABELS)}."
ONLY = SYSTEM + " Label only."
VAGUE = "hello, can you tell me more"
FACTS = "The Alder kettle weighs 1.2 kg. The Birch kettle weighs 900 g. The Cedar lamp is by Ingrid Holm."
QUESTION = f"Answer from the passages.\n[1] {FACTS}\n\nQuestion: How much does the Birch kettle weigh?"
JSON_ORDER = " Answer only in JSON with the fields reason and intent."


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server() as server:
        yield server.base_url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="any key", max_retries=0) as made:
        yield made


def chat(system: str, user: str) -> Any:
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def joined(chunks: list[Any], index: int = 0) -> str:
    found = (choice.delta.content for chunk in chunks for choice in chunk.choices if choice.index == index)
    return "".join(text or "" for text in found)


@pytest.mark.parametrize("limit", [None, 4])
def test_a_stream_says_what_the_plain_answer_says(client: openai.OpenAI, limit: int | None) -> None:
    """Role first, then the text token by token, then the reason to finish: joined, the very same answer."""
    request: Any = {"model": "small", "messages": chat("", "Who are you?"), "seed": 3}
    if limit:
        request["max_tokens"] = limit
    whole = client.chat.completions.create(**request)
    chunks = list(client.chat.completions.create(**request, stream=True))
    assert joined(chunks) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == ("length" if limit else "stop")
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert whole.usage is not None
    assert len(chunks) == whole.usage.completion_tokens + 2
    assert {(chunk.object, chunk.model, chunk.system_fingerprint, chunk.usage) for chunk in chunks} == {
        ("chat.completion.chunk", "small", whole.system_fingerprint, None)
    }
    assert len({chunk.id for chunk in chunks}) == 1


def test_usage_comes_in_a_last_chunk_only_if_asked_for(client: openai.OpenAI) -> None:
    request: Any = {"model": "small", "messages": chat(ONLY, VAGUE), "n": 3, "temperature": 2}
    plain = client.chat.completions.create(**request).usage
    chunks = list(client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage == plain
    assert all(chunk.choices and chunk.usage is None for chunk in chunks[:-1])


def test_the_stream_is_server_sent_events_that_end_with_done(url: str) -> None:
    body = {"model": "small", "messages": chat(ONLY, VAGUE), "stream": True, "stream_options": {"include_usage": True}}
    with urllib.request.urlopen(
        urllib.request.Request(url + "/chat/completions", json.dumps(body).encode()), timeout=20
    ) as response:
        kind, text = response.headers["Content-Type"], response.read().decode()
    *events, done, rest = text.split("\n\n")
    assert (kind, done, rest) == ("text/event-stream", "data: [DONE]", "")
    decoded = [json.loads(event.removeprefix("data: ")) for event in events]
    assert all("usage" in event for event in decoded), "with usage asked for, every chunk has the key"


def test_several_choices_are_streamed_each_under_its_index(url: str) -> None:
    request: Any = {"model": "small", "messages": chat(SYSTEM, VAGUE), "n": 5, "temperature": 2, "logprobs": True}

    async def both() -> tuple[Any, list[Any]]:
        async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as made:
            stream = await made.chat.completions.create(**request, stream=True)
            return await made.chat.completions.create(**request), [chunk async for chunk in stream]

    whole, chunks = asyncio.run(both())
    for choice in whole.choices:
        assert joined(chunks, choice.index) == choice.message.content
        own = [c for chunk in chunks for c in chunk.choices if c.index == choice.index and c.logprobs]
        assert [entry for c in own for entry in c.logprobs.content] == choice.logprobs.content


def test_a_wrong_request_to_stream_is_a_plain_400(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="small", messages=[], stream=True)
    assert caught.value.param == "messages"


def test_n_choices_are_n_draws(client: openai.OpenAI) -> None:
    """The first is the answer without n; above temperature 0 the others differ, at 0 all are equal; usage adds up."""

    def ask(**params: Any) -> Any:
        return client.chat.completions.create(model="small", messages=chat(SYSTEM, VAGUE), seed=5, **params)

    hot, alone = ask(n=12, temperature=2), ask(temperature=2)
    texts = [choice.message.content for choice in hot.choices]
    assert [choice.index for choice in hot.choices] == list(range(12))
    assert texts[0] == alone.choices[0].message.content
    assert len(set(texts)) > 2
    assert hot.usage.completion_tokens == sum(count(text) for text in texts)
    assert hot.usage.prompt_tokens == alone.usage.prompt_tokens
    assert texts == [choice.message.content for choice in ask(n=12, temperature=2).choices]
    cold = [choice.message.content for choice in ask(n=4, temperature=0).choices]
    assert cold == [ask(temperature=0).choices[0].message.content] * 4


def test_draws_of_one_request_are_not_those_of_the_next_seed(client: openai.OpenAI) -> None:
    def ask(seed: int) -> list[str]:
        said = client.chat.completions.create(
            model="small", messages=chat(SYSTEM, VAGUE), seed=seed, n=40, temperature=2
        )
        return [str(choice.message.content) for choice in said.choices]

    first, second = ask(1), ask(2)
    assert first[1:] != second[:-1]


@pytest.mark.parametrize("top", [None, 0, 2, 20])
@pytest.mark.parametrize(
    "messages", [chat(ONLY, VAGUE), chat(SYSTEM, VAGUE), chat(SYSTEM + JSON_ORDER, VAGUE), chat("", QUESTION)]
)
def test_logprobs_are_a_consistent_account_of_the_answer(client: openai.OpenAI, messages: Any, top: int | None) -> None:
    """Tokens join to the text; each has its bytes and log probability, its alternatives sorted and never above 1."""
    request: Any = {"model": "big", "messages": messages, "temperature": 1.5, "seed": 4, "logprobs": True, "n": 4}
    if top is not None:
        request["top_logprobs"] = top
    said = client.chat.completions.create(**request)
    assert said.usage is not None
    assert sum(len(choice.logprobs.content or []) for choice in said.choices if choice.logprobs) == (
        said.usage.completion_tokens
    )
    for choice in said.choices:
        entries = (choice.logprobs.content if choice.logprobs else None) or []
        assert "".join(entry.token for entry in entries) == choice.message.content
        for entry in entries:
            shown = [-other.logprob for other in entry.top_logprobs]
            assert entry.logprob <= 0
            assert entry.bytes == list(entry.token.encode())
            assert shown == sorted(shown)
            assert len(shown) <= (top or 0)
            assert sum(math.exp(other.logprob) for other in entry.top_logprobs) <= 1 + 1e-9
            if shown and entry.logprob >= entry.top_logprobs[-1].logprob:
                assert (entry.token, entry.logprob) in [(other.token, other.logprob) for other in entry.top_logprobs]
            assert bool(shown) == bool(top)
    if top == 20 and messages[0]["content"] == ONLY:
        first = said.choices[0].logprobs
        assert first is not None
        assert first.content is not None
        assert {other.token for other in first.content[0].top_logprobs} == set(LABELS)


def test_without_logprobs_there_are_none(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(model="small", messages=chat(ONLY, VAGUE)).choices[0].logprobs is None


@pytest.mark.parametrize(("system", "user"), [(ONLY, VAGUE), (SYSTEM, VAGUE), (SYSTEM + JSON_ORDER, VAGUE)])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_odds_are_how_often_the_engine_says_it(system: str, user: str, temperature: float) -> None:
    """Over 2,000 seeds each possible text comes as often as it is told, within four standard errors, and no other."""
    messages, draws = chat(system, user), 2000
    told = outlook(messages, Params(temperature=temperature))
    seen = Counter(answer(messages, Params(temperature=temperature, seed=seed)).text for seed in range(draws))
    assert set(seen) <= set(told)
    assert sum(told.values()) == pytest.approx(1.0)
    for text, odds in told.items():
        assert abs(seen[text] / draws - odds) <= 4 * math.sqrt(odds * (1 - odds) / draws) + 1 / draws, text


def test_a_texts_log_probabilities_add_up_to_its_own() -> None:
    told = {"a b c": 0.5, "a b d": 0.2, "a e": 0.2, "f": 0.1}
    for text, odds in told.items():
        entries = logprobs(text, told, 5)
        assert sum(entry["logprob"] for entry in entries) == pytest.approx(math.log(odds))
    second = logprobs("a b d", told, 1)[1]
    assert (second["token"], second["logprob"]) == (" b", pytest.approx(math.log(0.7 / 0.9)))
    assert [other["token"] for other in second["top_logprobs"]] == [" b"]
    assert logprobs("never told", told, 2)[0]["logprob"] < math.log(1e-5), "what was not foreseen is told as unlikely"
    assert logprobs("a b", told, 0)[1]["logprob"] == second["logprob"], "a text that is cut off is the start of others"


def test_a_certain_answer_has_no_alternatives() -> None:
    told = outlook(chat("", "Who are you?"))
    assert [round(odds, 9) for odds in told.values()] == [1.0]
    entries = logprobs(*told, told, 5)
    assert {entry["logprob"] for entry in entries} == {0.0}
    assert all(len(entry["top_logprobs"]) == 1 for entry in entries)


@given(st.text())
def test_tokens_join_to_the_text(text: str) -> None:
    found = tokens(text)
    assert len(found) == count(text)
    assert "".join(found) == (text if found else "")
