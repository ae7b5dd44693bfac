"""Embeddings of the embedded server, read by the real openai SDK: unit vectors, near for what is alike."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.embedded.pieces import count
from promptlab.embedded.server import Server
from promptlab.embedded.vectors import embed

TOPICS = {
    "loan": ["can I extend the loan of this novel", "please extend my loan, the novel is not finished"],
    "fine": ["how do I pay the late fee by card", "is it possible to pay a late fee in cash"],
    "room": ["we want to reserve the study room on friday", "reserve a study room for our group please"],
    "hours": ["when do you open on sundays", "are you open on sundays in summer"],
    "kettle": ["the kettle weighs 1.2 kg and holds 1.5 litres", "how many litres does the kettle hold"],
}
KNOWN = [0.02069, 0.056897, 0.0, -0.015517, 0.025862, -0.010345]  # of VERSION 1


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server() as server:
        yield server.base_url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="any key", max_retries=0) as made:
        yield made


def vectors(client: openai.OpenAI, texts: Any, **params: Any) -> Any:
    said = client.embeddings.create(model="embed-small", input=texts, **params)
    assert [one.index for one in said.data] == list(range(len(said.data)))
    return np.array([one.embedding for one in said.data])


def test_alike_texts_are_nearer_than_others(client: openai.OpenAI) -> None:
    """Each sentence's nearest of ten is the other one of its topic, in full and in 64 dimensions."""
    texts = [text for pair in TOPICS.values() for text in pair]
    for params in ({}, {"dimensions": 64}):
        found = vectors(client, texts, **params)
        near = found @ found.T - 2 * np.eye(len(texts))
        assert near.argmax(axis=1).tolist() == [place ^ 1 for place in range(len(texts))]


def test_both_encodings_hold_the_same_vectors(client: openai.OpenAI) -> None:
    """The SDK asks for base64 by itself and decodes it: the numbers are those of the floats, in the inputs' order."""
    texts = ["the first text", "and a second, longer one", "the first text"]
    plain = vectors(client, texts, encoding_format="float")
    assert plain.shape == (3, 256)
    assert np.allclose(vectors(client, texts), plain, atol=1e-7)
    assert (plain[0] == plain[2]).all()
    assert np.allclose(vectors(client, texts[1], encoding_format="float"), plain[1:2]), "a string is a list of one"
    assert np.allclose(np.linalg.norm(plain, axis=1), 1, atol=1e-4)


def test_dimensions_are_the_first_brought_to_length_one(client: openai.OpenAI) -> None:
    whole, short = vectors(client, "some text here"), vectors(client, "some text here", dimensions=32)
    assert short.shape == (1, 32)
    assert np.allclose(short, whole[:, :32] / np.linalg.norm(whole[:, :32]), atol=1e-5)


def test_usage_counts_the_inputs(client: openai.OpenAI) -> None:
    texts = ["five words are in here", "two more"]
    said = client.embeddings.create(model="embed-small", input=texts)
    assert said.model == "embed-small"
    assert said.usage.prompt_tokens == said.usage.total_tokens == sum(count(text) for text in texts) == 7


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"input": [1, 2, 3]}, "input", "unsupported_value"),
        ({"input": [[1, 2], [3]]}, "input", "unsupported_value"),
        ({"input": ""}, "input", "empty_input"),
        ({"input": []}, "input", "empty_input"),
        ({"input": ["a", ""]}, "input", "empty_input"),
        ({"input": ["a"] * 2049}, "input", "array_above_max_length"),
        ({"input": None}, "input", "invalid_type"),
        ({"input": {"text": "a"}}, "input", "invalid_type"),
        ({"encoding_format": "int8"}, "encoding_format", "invalid_type"),
        ({"dimensions": 0}, "dimensions", "integer_out_of_range"),
        ({"dimensions": 257}, "dimensions", "integer_out_of_range"),
        ({"dimensions": "many"}, "dimensions", "invalid_type"),
        ({"model": ""}, "model", "invalid_type"),
    ],
)
def test_wrong_parameters_are_named(url: str, change: dict[str, Any], param: str, code: str) -> None:
    body = json.dumps({"model": "embed-small", "input": "x"} | change).encode()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(url + "/embeddings", body), timeout=20)
    with caught.value as error:
        assert error.code == 400
        told = json.load(error)["error"]
    assert (told["param"], told["code"]) == (param, code)


def test_a_chat_model_does_not_embed(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="this server has 'embed-small'") as caught:
        client.embeddings.create(model="small", input="x")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError, match="'huge' does not exist"):
        client.embeddings.create(model="huge", input="x")


@given(st.text(min_size=1, max_size=40) | st.sampled_from([" ", "\n\t", "?", "\ud800", "\U0001f600"]))
def test_every_text_has_a_unit_vector(text: str) -> None:
    for dimensions in (None, 1, 7):
        found = embed(text, "embed-small", dimensions)
        assert np.isfinite(found).all()
        assert float(found @ found) == pytest.approx(1.0, abs=1e-4)


def test_texts_without_words_are_told_apart() -> None:
    found = np.array([embed(text, "embed-small") for text in ("?", "!", "?!", "\U0001f600", " ")])
    assert (found @ found.T - np.eye(5)).max() < 0.9


def test_vectors_are_equal_in_every_process_and_version() -> None:
    """If these numbers change, VERSION must be raised: cached vectors would no longer be true."""
    assert embed("extend my loan", "embed-small")[:6].tolist() == pytest.approx(KNOWN, abs=1e-6)
    code = "from promptlab.embedded.vectors import embed; print(embed('extend my loan', 'embed-small').tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(p for p in [".", *sys.path] if p)},
    )
    assert json.loads(done.stdout) == embed("extend my loan", "embed-small").tolist()
