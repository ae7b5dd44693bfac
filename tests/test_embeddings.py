"""Reading an answer of /embeddings: one vector for each text, each where it belongs, or a fault that says why not."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import random
import struct
from typing import Any

import pytest
from fault_server import FaultServer, raw
from hypothesis import given
from hypothesis import strategies as st
from test_endpoint import KEY, QUICK, endpoint

from promptlab.endpoint.embeddings import vectors
from promptlab.endpoint.fault import AGAIN, Fault
from promptlab.endpoint.pool import Pool
from promptlab.records import Call, Completion, Model, Price, Request

TEXTS = ["first text", "second text", "third"]
BODY = {"model": "e", "input": TEXTS, "encoding_format": "float"}
VECTORS = [[0.5, -1.0], [0.25, 3], [1e-7, 0.0]]
Rows = list[dict[str, Any]]


def rows(found: Any = VECTORS, places: Any = None) -> Rows:
    return [
        {"object": "embedding", "embedding": each} | ({} if places is None else {"index": places[at]})
        for at, each in enumerate(found)
    ]


def answer(data: Any, **changes: Any) -> bytes:
    return json.dumps(
        {"object": "list", "data": data, "model": "e-1", "usage": {"prompt_tokens": 7, "total_tokens": 7}, **changes}
    ).encode()


def read(data: bytes, body: Any = BODY) -> Completion:
    found = vectors(data, body)
    assert isinstance(found, Completion), found
    return found


def fault(data: bytes, body: Any = BODY) -> Fault:
    found = vectors(data, body)
    assert isinstance(found, Fault)
    return found


@given(st.permutations(range(3)))
def test_vectors_come_in_the_order_of_the_texts_whatever_order_they_arrive_in(order: list[int]) -> None:
    found = read(answer([rows(VECTORS, range(3))[place] for place in order]))
    assert found.text == "[[0.5,-1.0],[0.25,3],[1e-07,0.0]]"
    assert (found.model, found.finish_reason) == ("e-1", "stop")


@pytest.mark.parametrize("places", [None, [0, 0, 0], [None, None, None]])
def test_a_server_that_does_not_number_its_vectors_is_taken_at_the_order_it_sends(places: Any) -> None:
    assert json.loads(read(answer(rows(VECTORS, places))).text) == VECTORS


@pytest.mark.parametrize(
    "places", [[0, 1, 1], [0, 2, 2], [1, 2, 3], [0, 1, None], [0, True, 2], ["0", "1", "2"], [0, -1, 1]]
)
def test_indexes_that_contradict_each_other_are_no_answer(places: Any) -> None:
    assert "indexes do not tell which is which" in fault(answer(rows(VECTORS, places))).text


@pytest.mark.parametrize(("count", "words"), [(0, "0 vectors"), (1, "1 vector"), (2, "2 vectors"), (4, "4 vectors")])
def test_too_few_or_too_many_vectors_are_counted_in_the_message(count: int, words: str) -> None:
    found = fault(answer(rows((VECTORS * 2)[:count], range(count))))
    assert (found.kind, found.text) == ("invalid", f"HTTP 200 with {words} for 3 texts")
    assert found.kind in AGAIN


@pytest.mark.parametrize("text", ["one text", ["one text"], [17, 4, 9], [[17, 4, 9]], ("one text",)])
def test_one_text_is_one_vector_however_it_is_asked(text: Any) -> None:
    body = {"model": "e", "input": text}
    assert read(answer(rows(VECTORS[:1])), body).text == "[[0.5,-1.0]]"
    assert fault(answer(rows(VECTORS[:2])), body).text == "HTTP 200 with 2 vectors for 1 text"


def test_nested_vectors_are_refused_by_name_and_not_asked_for_again() -> None:
    found = fault(answer(rows([[[1.0, 2.0], [3.0, 4.0]], *VECTORS[1:]])))
    assert "vector 1 of 3 nested, one vector per token" in found.text
    assert found.kind == "failed"


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ([1.0, 2.0, 3.0], "3 dimensions, the first 2"),
        ([], "or nothing"),
        ([1.0, math.nan], "finite numbers"),
        ([1.0, -math.inf], "finite numbers"),
        ([1, 10**400], "finite numbers"),
        ([1.0, "2.0"], "finite numbers"),
        ([1.0, True], "finite numbers"),
        ([1.0, None], "finite numbers"),
        (None, "no list of numbers: NoneType"),
        ({"0": 1.0}, "no list of numbers: dict"),
        ("not base64!", "text that is not base64"),
        ("abcd", "text that is not base64"),  # three bytes are no floats
        ("AACA\nPwAA!AEA=", "text that is not base64"),
        (base64.b64encode(struct.pack("<2f", 1.0, math.nan)).decode(), "finite numbers"),
    ],
)
def test_what_is_no_vector_like_the_others_is_named_with_its_place(vector: Any, says: str) -> None:
    found = fault(answer(rows([VECTORS[0], vector, VECTORS[2]])))
    assert found.kind == "invalid"
    assert "vector 2 of 3" in found.text
    assert says in found.text


def test_base64_that_was_not_asked_for_is_read_as_the_floats_it_holds() -> None:
    coded = [base64.b64encode(struct.pack("<2f", *each)).decode() for each in VECTORS]
    found = json.loads(read(answer(rows(coded))).text)
    assert found[:2] == [[0.5, -1.0], [0.25, 3.0]]
    assert found[2] == pytest.approx(VECTORS[2], rel=1e-6)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=20))
def test_no_digit_of_a_number_is_lost(vector: list[float]) -> None:
    assert json.loads(read(answer(rows([vector])), {"input": "x"}).text) == [vector]


@pytest.mark.parametrize(
    ("usage", "tokens", "source"),
    [
        ({"prompt_tokens": 7, "total_tokens": 7}, 7, "reported"),
        ({"prompt_tokens": "7"}, 7, "reported"),
        ({"total_tokens": 7}, 7, "reported"),
        ({"prompt_tokens": 0, "total_tokens": 0}, 6, "estimated"),
        (None, 6, "estimated"),
        ([], 6, "estimated"),
        ({"prompt_tokens": -7}, 6, "estimated"),
    ],
)
def test_tokens_are_reported_or_estimated_and_none_come_out(usage: Any, tokens: int, source: str) -> None:
    found = read(answer(rows(), usage=usage)).usage
    assert (found.tokens_out, found.tokens_cached, found.source) == (0, 0, source)
    assert abs(found.tokens_in - tokens) <= (source == "estimated") * 2


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"<html><title>hello</title></html>", "alien"),
        (b"[[1.0, 2.0]]", "alien"),
        (b'{"embeddings": [[1.0]]}', "alien"),
        (b'{"data": 3}', "invalid"),
        (b'{"data": null}', "invalid"),
        (b'{"data": [[1.0], [2.0], [3.0]]}', "invalid"),
        (b'{"data": [], "error": {"code": 429, "message": "slow"}}', "limited"),
        (b'{"error": {"code": 400, "message": "maximum context length is 8"}}', "overflow"),
        (b'{"error": {"code": "insufficient_quota", "message": "x"}}', "quota"),
    ],
)
def test_what_is_no_answer_is_judged_as_for_chat(data: bytes, kind: str) -> None:
    assert fault(data).kind == kind


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["data", "embedding", "index", "error"]), inner, max_size=3)),
       st.booleans())  # fmt: skip
def test_no_json_at_all_can_crash_the_reading(value: Any, wrapped: bool) -> None:
    data = json.dumps({"data": [{"embedding": value, "index": value}] * 3} if wrapped else value).encode()
    assert isinstance(vectors(data, BODY), Completion | Fault)


def test_a_large_answer_is_read_in_order() -> None:
    rng = random.Random(0)
    many = [[rng.gauss(0, 1) for _ in range(64)] for _ in range(300)]
    shuffled = rng.sample(rows(many, range(300)), 300)
    assert json.loads(read(answer(shuffled), {"input": [str(n) for n in range(300)]}).text) == many


def test_a_pool_asks_embeddings_again_when_one_is_missing_and_prices_what_went_in() -> None:
    request = Request(Model("e", endpoint(), "e", Price(input=2.0, output=50.0)), "/embeddings", BODY, purpose="embed")

    async def go(url: str) -> Call:
        async with Pool(endpoint(), url, KEY, backoff=QUICK) as pool:
            return await pool.call(request)

    with FaultServer() as server:
        server.script(raw(answer(rows(VECTORS[:1]))), raw(answer(rows(VECTORS, [0, 1, 2]))))
        call = asyncio.run(go(server.url))
        assert [each.path for each in server.posts] == ["/v1/embeddings"] * 2
    assert call.completion is not None
    assert json.loads(call.completion.text) == VECTORS
    assert (call.attempts, call.purpose) == (2, "embed")
    assert call.usd == pytest.approx(7 * 2.0 / 1e6)
