"""Dense retrieval: any /v1/embeddings, counted and checked, nothing embedded twice, exact search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_server import error, raw
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_parts import EMBED, Embedder, by_hand, embeddings, passages, run, value, vector
from retriever_contract import CONTRACT

from promptlab.embedded.server import Server
from promptlab.errors import BadInput, CallFailed, EndpointUnusable
from promptlab.records import CANONICAL, Completion, Model, Request
from promptlab.retrieve.dense import dense, preparation
from promptlab.retrieve.embedding import MOST_BYTES, MOST_TEXTS, cut, embedded
from promptlab.retrieve.hybrid import hybrid
from promptlab.retrieve.pool import Pool

TEXTS = ("the cat sat on the mat", "zzz zebra", "dogs bark", "quick quail quiz")


def pool(cache: Path | None = None, texts: tuple[str, ...] = TEXTS, model: Model = EMBED) -> Pool:
    return Pool.of(passages(*texts), cache, model)


def answered(request: Request) -> Completion:
    return Completion(CANONICAL.encode([vector(each) for each in request.body["input"]]))


@pytest.mark.parametrize("claim", CONTRACT)
@pytest.mark.parametrize("factory", [dense, hybrid])
def test_dense_and_hybrid_keep_the_contract(factory: Any, claim: str) -> None:
    CONTRACT[claim](factory, lambda flow: by_hand(flow, answered)[0], embed=EMBED)


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with Server() as server:
        yield server.base_url


@pytest.mark.parametrize("claim", CONTRACT)
@pytest.mark.parametrize("factory", [dense, hybrid])
def test_they_keep_it_over_the_embedded_engine(factory: Any, claim: str, engine: str) -> None:
    CONTRACT[claim](factory, lambda flow: value(engine, flow), embed=replace(EMBED, id="embed-small"))


def test_the_embedded_engine_finds_the_passage_that_says_what_is_asked(tmp_path: Path) -> None:
    small = replace(EMBED, id="embed-small")
    texts = ("A refund takes five working days.", "The kettle holds two litres.", "Shipping to Norway is free.")
    with Server() as server:
        retriever = dense(pool(tmp_path, texts, small))
        run(server.base_url, [retriever.prepare()])
        found, calls = run(server.base_url, [retriever("how many litres does the kettle hold", 2)])[0]
    assert [each.id for each in found] == ["p1", found[1].id]
    assert found[0].score > found[1].score > -1
    assert [(call.purpose, call.error) for call in calls] == [("embed", "")]


def test_no_text_is_embedded_twice_not_by_another_corpus_or_process_either(tmp_path: Path) -> None:
    with Embedder() as server:
        first, _ = run(server.url, [dense(pool(tmp_path))("zebra", 4)])[0]
        again, _ = run(server.url, [dense(pool(tmp_path))("zebra", 4)])[0]
        wider = dense(pool(tmp_path, (*TEXTS, "one more", TEXTS[0])))
        assert wider.missing == ("one more",)
        run(server.url, [wider.prepare()])
        assert wider.missing == ()
        assert sorted(server.texts) == sorted([*TEXTS, "zebra", "zebra", "one more"])
    assert first == again
    assert first[0].id == "p1"


def test_another_model_or_endpoint_has_vectors_of_its_own(tmp_path: Path) -> None:
    by_hand(preparation(pool(tmp_path)), answered)
    others = [
        replace(EMBED, id="other"),
        replace(EMBED, params={"dimensions": 8}),
        replace(EMBED, endpoint=replace(EMBED.endpoint, base_url="http://elsewhere/v1")),
    ]
    for model in others:
        assert len(dense(pool(tmp_path, model=model)).missing) == 4


def test_texts_go_out_in_batches_and_the_first_tells_how_many_a_server_takes() -> None:
    texts = tuple(f"text {at}" for at in range(300))
    with Embedder(most=32) as server:
        rows = value(server.url, embedded(EMBED, texts))
        sizes = [len(seen.body["input"]) for seen in server.posts]
    assert rows.shape == (300, 27)
    assert sizes[0] == MOST_TEXTS
    assert max(sizes[1:]) == 32
    assert sum(sizes[1:]) == 300
    assert {tuple(sorted(seen.body)) for seen in server.posts} == {("encoding_format", "input", "model")}


def test_what_the_models_own_parameters_say_goes_with_every_request() -> None:
    model = replace(EMBED, params={"dimensions": 64, "encoding_format": "base64", "user": None})
    (asked,) = by_hand(embedded(model, ("text",)), answered)[1]
    assert asked.body == {"model": "e", "input": ["text"], "dimensions": 64, "encoding_format": "base64"}
    (usual,) = by_hand(embedded(EMBED, ("text",)), answered)[1]
    assert (asked.defaults, usual.defaults, usual.purpose) == ((), ("encoding_format",), "embed")


def test_a_batch_holds_no_more_bytes_than_a_server_can_be_expected_to_take() -> None:
    texts = tuple("ä" * 30_000 + str(at) for at in range(7))
    _, asked = by_hand(embedded(EMBED, texts), answered)
    sizes = [sum(len(text.encode()) for text in each.body["input"]) for each in asked]
    assert max(sizes) <= MOST_BYTES
    assert len(asked) == 3


def test_a_text_too_long_for_the_model_is_cut_at_a_word_and_the_others_of_its_batch_are_not() -> None:
    long = "word " * 100
    with Embedder(longest=140) as server:
        rows = value(server.url, embedded(EMBED, ("short", long, "brief")))
        lone = value(server.url, embedded(EMBED, (("word " * 25).strip(),)))
    assert np.array_equal(rows[1], lone[0])  # 500 characters, halved twice: 25 words
    assert server.texts[:3] == ["short", long, "brief"]
    assert ("word " * 50).strip() in server.texts


def test_a_model_that_takes_no_text_at_all_is_named() -> None:
    with Embedder(longest=0) as server, pytest.raises(EndpointUnusable, match="'e' of somewhere calls even a text"):
        value(server.url, embedded(EMBED, ("some words",)))


def test_a_blank_query_and_a_blank_passage_are_never_asked_for() -> None:
    retriever = dense(pool(texts=("", "full of words", " \n")))
    _, asked = by_hand(retriever.prepare(), answered)
    assert [each.body["input"] for each in asked] == [["full of words"]]
    assert by_hand(retriever("  ", 3), answered) == ((), [])
    found, _ = by_hand(retriever("words", 3), answered)
    assert [each.id for each in found] == ["p1"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[1.0, 2.0]] * 3, "3 vectors for 4 texts"),
        ([[1.0]] * 5, "5 vectors for 4 texts"),
        ([[1.0, 2.0]] * 3 + [[1.0]], "having 1 dimensions, the first 2"),
        ([[[1.0, 2.0]]] * 4, "nested"),
        ([[1.0, None]] * 4, "something else than finite numbers"),
    ],
)
def test_a_server_that_miscounts_is_an_error_and_nothing_is_kept(rows: Any, words: str, tmp_path: Path) -> None:
    with Embedder() as server:
        server.default = lambda body: embeddings(body["input"], rows)
        retriever = dense(pool(tmp_path))
        with pytest.raises(EndpointUnusable, match=words) as raised:
            run(server.url, [retriever.prepare()])
        assert {len(seen.body["input"]) for seen in server.posts} == {4}  # fewer texts would not mend it
    assert "The model that `retrieval.embedding` names" in str(raised.value)
    assert len(retriever.missing) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[1,2]]", "gave 1 vectors for 4 texts"),
        ("[[[1],[2]],[[1],[2]],[[1],[2]],[[1],[2]]]", "nested vectors, one per token"),
        ("[[1,2],[1,2],[1,2],[1]]", "vectors of several lengths"),
        ("[[1],[1],[1],[NaN]]", "something else than finite numbers"),
        ('[["a"],[1],[1],[1]]', "something else than finite numbers"),
        ("[3,3,3,3]", "something else than vectors"),
        ("what?", "no list of vectors"),
    ],
)
def test_answers_of_a_log_are_counted_as_well(text: str, words: str) -> None:
    with pytest.raises(EndpointUnusable, match=words) as raised:
        by_hand(preparation(pool()), lambda _: Completion(text))
    assert "retrieval.embedding" in str(raised.value)


def test_batches_of_several_dimensions_are_an_error(tmp_path: Path) -> None:
    texts = tuple(f"t{at}" for at in range(MOST_TEXTS + 1))

    def answer(request: Request) -> Completion:
        width = 3 if len(request.body["input"]) == MOST_TEXTS else 2
        return Completion(CANONICAL.encode([[1.0] * width] * len(request.body["input"])))

    with pytest.raises(EndpointUnusable, match="vectors of 2 and of 3 dimensions"):
        by_hand(preparation(pool(tmp_path, texts)), answer)


def test_a_model_that_changed_behind_its_name_is_found_out(tmp_path: Path) -> None:
    by_hand(preparation(pool(tmp_path)), answered)

    def other(request: Request) -> Completion:
        return Completion(CANONICAL.encode([[1.0, 0.5]] * len(request.body["input"])))

    with pytest.raises(EndpointUnusable, match=r"gives 2 dimensions, and the vectors kept .* have 27.*Delete"):
        by_hand(preparation(pool(tmp_path, (*TEXTS, "new"))), other)
    with pytest.raises(EndpointUnusable, match="gives 2 dimensions for a query, and gave 27"):
        by_hand(dense(pool(tmp_path))("zebra", 1), other)


def test_a_file_of_vectors_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    by_hand(preparation(pool(tmp_path)), answered)
    (file,) = (tmp_path / "vectors").iterdir()
    file.write_bytes(b"no database" * 100)
    with pytest.raises(BadInput, match=r"cannot be used.*Delete it"):
        by_hand(preparation(pool(tmp_path)), answered)


def test_a_corpus_that_cannot_be_embedded_goes_on_where_it_stopped(tmp_path: Path) -> None:
    texts = tuple(f"text number {at}" for at in range(2100))
    count = 0

    def failing(request: Request) -> Completion | CallFailed:
        nonlocal count
        count += len(request.body["input"])
        return answered(request) if count <= 2048 else CallFailed("HTTP 500")

    with pytest.raises(EndpointUnusable, match=r"2048 of 2100 texts are, and stay so"):
        by_hand(preparation(pool(tmp_path, texts)), failing)
    assert len(dense(pool(tmp_path, texts)).missing) == 2100 - 2048


def test_progress_is_told() -> None:
    heard: list[tuple[str, int, int]] = []
    watched = replace(pool(), progress=lambda *told: heard.append(told))
    by_hand(preparation(watched), answered)
    assert heard == [("embedding passages", 0, 4), ("embedding passages", 4, 4)]


def test_only_texts_that_are_new_count_as_progress(tmp_path: Path) -> None:
    """A run asks for all of them, and what is kept on disk answers for most."""
    by_hand(preparation(pool(tmp_path)), answered)
    heard: list[tuple[str, int, int]] = []
    for texts in (TEXTS, (*TEXTS, "new", "newer")):
        watched = replace(pool(tmp_path, texts), progress=lambda *told: heard.append(told), anew=True)
        by_hand(preparation(watched), answered)
    assert heard == [("embedding passages", 0, 2), ("embedding passages", 2, 2)]


def test_a_vector_of_nothing_but_zeros_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(EndpointUnusable, match=r"nothing but zeros for the text 'dogs bark'.*retrieval\.embedding"):
        by_hand(
            preparation(pool(tmp_path)),
            lambda request: Completion(
                CANONICAL.encode([[0.0 if text == "dogs bark" else 1.0] * 3 for text in request.body["input"]])
            ),
        )
    assert len(dense(pool(tmp_path)).missing) == 4


def test_a_pool_without_a_model_says_what_is_missing() -> None:
    with pytest.raises(BadInput, match="needs an embedding model"):
        dense(Pool.of(passages("a")))


def test_a_refused_passage_is_never_found_and_stops_nobody() -> None:
    def answer(request: Request) -> Completion:
        return Completion("", "content_filter") if "dogs bark" in request.body["input"] else answered(request)

    retriever = dense(pool())
    by_hand(retriever.prepare(), answer)
    found, _ = by_hand(retriever("dogs", 4), answer)
    assert sorted(each.id for each in found) == ["p0", "p1", "p3"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text("abc ", min_size=1, max_size=6), min_size=1, max_size=12),
    st.text("abc", min_size=1),
    st.integers(1, 15),
)
def test_the_search_is_exact_best_first_and_in_corpus_order_where_it_ties(texts: list[str], query: str, k: int) -> None:
    found, _ = by_hand(dense(pool(texts=tuple(texts)))(query, k), answered)
    full = {at: np.array(vector(text)) for at, text in enumerate(texts) if text.strip()}
    asked = np.array(vector(query))
    cosine = {at: v @ asked / np.sqrt(v @ v) / np.sqrt(asked @ asked) for at, v in full.items()}
    assert len(found) == min(k, len(full))
    assert len({each.id for each in found}) == len(found)
    scores = [each.score for each in found]
    assert scores == sorted(scores, reverse=True)
    for each in found:
        assert each.score == pytest.approx(cosine[int(each.id[1:])], abs=2e-3)
    assert [(-each.score, int(each.id[1:])) for each in found] == sorted((-e.score, int(e.id[1:])) for e in found)


@given(st.text(max_size=40), st.integers(0, 50))
def test_a_cut_text_is_a_beginning_of_it(text: str, most: int) -> None:
    found = cut(text, most)
    assert text.startswith(found)
    assert len(found) <= most or len(text) <= most


def test_a_server_without_embeddings_is_unusable() -> None:
    with Embedder() as server:
        server.default = lambda _: error(404, "no such route")
        with pytest.raises(EndpointUnusable):
            value(server.url, preparation(pool()))
        server.default = lambda _: raw("<html>hello</html>")
        with pytest.raises(EndpointUnusable):
            value(server.url, preparation(pool()))
