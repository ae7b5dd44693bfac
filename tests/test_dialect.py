"""A dialect changes the words of a request for one model, never its key, and nothing where nothing differs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlab.endpoint.dialect import Dialect
from promptlab.records import Endpoint, Model, Request

MODEL = Model("m", Endpoint("http://host.invalid/v1"), "m")
SCHEMA = {"type": "object", "properties": {"label": {"type": "string"}}}
ENVELOPE = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


def ask(*turns: tuple[str, str], **settings: Any) -> Request:
    messages = [{"role": role, "content": text} for role, text in turns or [("user", "hello")]]
    return Request(MODEL, "/chat/completions", {"model": "m", "messages": messages, **settings})


def sent(dialect: Dialect, request: Request) -> dict[str, Any]:
    before = json.loads(request.content), request.key
    body: dict[str, Any] = json.loads(dialect.content(request))
    assert (json.loads(request.content), request.key) == before, "the canonical request stays what it was"
    return body


def turns(body: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["role"], each["content"]) for each in body["messages"]]


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(names={"max_tokens": "max_completion_tokens"}),
        Dialect(system="developer", one_system=True, schema="prompt", object="prompt"),
    ],
)
def test_where_nothing_differs_the_very_bytes_of_the_request_are_sent(dialect: Dialect) -> None:
    for request in (
        ask(("user", "hi"), temperature=0),
        Request(MODEL, "/embeddings", {"model": "m", "input": ["a", "b"], "encoding_format": "float"}),
    ):
        assert dialect.content(request) is request.content


def test_a_limit_goes_by_the_other_name_with_the_same_value_and_nothing_else_changes() -> None:
    request = ask(("user", "hi"), max_tokens=16, temperature=0)
    body = sent(Dialect(names={"max_tokens": "max_completion_tokens"}), request)
    assert body == {"model": "m", "messages": request.body["messages"], "max_completion_tokens": 16, "temperature": 0}


def test_a_name_is_left_alone_where_both_are_written() -> None:
    body = sent(Dialect(names={"max_tokens": "max_completion_tokens"}), ask(max_tokens=1, max_completion_tokens=2))
    assert (body["max_tokens"], body["max_completion_tokens"]) == (1, 2)


def test_system_becomes_developer_and_developer_system() -> None:
    chat = ask(("system", "a"), ("developer", "b"), ("user", "c"), ("assistant", "d"), ("user", "e"))
    assert turns(sent(Dialect(system="developer"), chat))[0] == ("developer", "a")
    assert turns(sent(Dialect(developer="system"), chat))[:2] == [("system", "a"), ("system", "b")]
    assert turns(sent(Dialect(developer="system", one_system=True), chat))[:2] == [("system", "a\n\nb"), ("user", "c")]


def test_system_text_goes_in_front_of_the_next_user_message_so_that_turns_still_alternate() -> None:
    user = Dialect(system="user")
    chat = ask(("system", "a"), ("system", "b"), ("user", "c"), ("assistant", "d"), ("system", "e"), ("user", "f"))
    assert turns(sent(user, chat)) == [("user", "a\n\nb\n\nc"), ("assistant", "d"), ("user", "e\n\nf")]
    assert turns(sent(user, ask(("system", "alone")))) == [("user", "alone")]
    assert turns(sent(user, ask(("system", "a"), ("assistant", "b")))) == [("user", "a"), ("assistant", "b")]


def test_the_ladder_asks_for_a_schema_by_the_next_rung() -> None:
    request = ask(("system", "s"), ("user", "hi"), response_format=ENVELOPE)
    rung = sent(Dialect(schema="json_object with schema"), request)
    assert rung["response_format"] == {"type": "json_object", "schema": SCHEMA}
    assert turns(rung) == [("system", "s"), ("user", "hi")]
    rung = sent(Dialect(schema="json_object"), request)
    assert rung["response_format"] == {"type": "json_object"}
    assert json.loads(turns(rung)[1][1].splitlines()[-1]) == SCHEMA, "what the rung cannot carry, the prompt says"
    rung = sent(Dialect(schema="prompt"), request)
    assert "response_format" not in rung
    assert json.loads(turns(rung)[1][1].splitlines()[-1]) == SCHEMA
    assert turns(rung)[0] == ("system", "s")


def test_json_object_goes_up_to_a_schema_of_any_object_or_down_to_the_prompt() -> None:
    request = ask(response_format={"type": "json_object"})
    up = sent(Dialect(object="json_schema"), request)
    assert up["response_format"]["json_schema"]["schema"] == {"type": "object"}
    down = sent(Dialect(object="prompt"), request)
    assert "response_format" not in down
    assert turns(down)[0][1].endswith("Answer with a JSON object and nothing else.")
    text = ask(response_format={"type": "text"})
    assert Dialect(object="prompt", schema="prompt").content(text) is text.content


roles = st.sampled_from(["system", "developer", "user", "assistant"])


@given(
    st.lists(st.tuples(roles, st.text(max_size=8)), min_size=1, max_size=8),
    st.sampled_from(["system", "developer", "user"]),
    st.sampled_from(["system", "developer", "user"]),
    st.booleans(),
)
def test_no_word_is_lost_doubled_or_moved_behind_what_followed_it(
    said: list[tuple[str, str]], system: Any, developer: Any, one: bool
) -> None:
    marked = [(role, f"<{place}>{text}") for place, (role, text) in enumerate(said)]
    found = turns(sent(Dialect(system=system, developer=developer, one_system=one), ask(*marked)))
    joined = "".join(text for _, text in found)
    assert all(joined.count(text) >= 1 for _, text in marked)
    assert [joined.count(f"<{place}>") for place in range(len(said))] == [
        sum(text.count(f"<{place}>") for _, text in marked) for place in range(len(said))
    ]
    if not one:
        places = [joined.index(text) for _, text in marked]
        assert places == sorted(places)
    if system != "system" and developer != "system":
        assert "system" not in {role for role, _ in found}
