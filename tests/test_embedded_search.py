"""The embedded engine reranks and rewrites by words, as retrieval asks it to, in the very words of the requests."""

from __future__ import annotations

import json

import pytest
from retrieval_parts import MODEL, by_hand, passages

from promptlab.embedded.searching import searching, wants_search
from promptlab.records import Completion, Example, Request
from promptlab.retrieve.query import query
from promptlab.retrieve.rerank import rerank

ROW = Example("r", {"question": "How long does the battery of the Aria headphones last?"})


def answer(request: Request) -> Completion:
    chat = [(each["role"], each["content"]) for each in request.body["messages"]]
    assert wants_search(chat)
    return Completion(searching(chat))


def test_passages_are_ordered_by_the_rare_words_of_the_query() -> None:
    found = passages("The shop opens at nine.", "The headphones are blue.", "The Aria's battery lasts 30 hours.")
    best, _ = by_hand(rerank(found, ROW.inputs["question"], MODEL), answer)
    assert [each.id for each in best] == ["p2", "p1", "p0"]


def test_equal_passages_keep_their_order() -> None:
    found = passages("one", "two", "three")
    assert by_hand(rerank(found, "nothing of it", MODEL), answer)[0] == found


def test_a_query_is_the_words_that_carry_meaning() -> None:
    text, _ = by_hand(query("rewrite", ROW, MODEL), answer)
    assert text.casefold().split()[:1] != ["how"]
    assert {"battery", "aria", "headphones"} <= set(text.casefold().split())
    assert not {"the", "of", "how"} & set(text.casefold().split())


def test_a_supposed_passage_says_no_more_than_the_message() -> None:
    text, _ = by_hand(query("hyde", ROW, MODEL), answer)
    assert text.startswith(ROW.inputs["question"] + "\n")
    assert {"battery", "aria"} <= set(text.casefold().split("\n")[1].replace(".", "").split())


@pytest.mark.parametrize("data", ["", "no json", "[1]", json.dumps({"query": 5, "passages": "x"}), '{"passages": [3]}'])
def test_odd_data_is_answered(data: str) -> None:
    for word in (
        "Order the passages by how much they help to answer the query",
        "Write the search query that finds the passages",
    ):
        assert isinstance(searching([("system", word), ("user", data)]), str)


def test_other_chats_are_not_taken_for_it() -> None:
    assert not wants_search([("system", "Answer the question."), ("user", "Order the passages by how much they help")])
