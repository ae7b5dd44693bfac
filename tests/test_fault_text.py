"""What servers say when something is wrong, read without crashing, broken lines or secrets."""

from __future__ import annotations

import inspect
import json
import sys

import pytest
from fault_server import FaultServer, raw
from hypothesis import given
from hypothesis import strategies as st
from test_endpoint import BODY, ask, run

from promptlab.endpoint import complaint, embeddings, redact, validate
from promptlab.endpoint.client import Answer
from promptlab.endpoint.fault import Fault, of_answer
from promptlab.endpoint.listing import models
from promptlab.endpoint.row import row
from promptlab.records import Completion, Endpoint, Model, Request


def test_what_a_text_holds_beside_its_label_is_kept_or_replaced_and_can_be_written() -> None:
    """Lone surrogates wherever they are, NUL, and the name of the model that really answered."""
    body = b'{"choices": [{"message": {"content": "a\\ud83d\\u0000", "reasoning": "\\udc00"}}], "model": "o\\ud800"}'
    with FaultServer() as server:
        server.script(raw(body), raw(b'{"error": {"message": "\\ud83d bad", "param": "x\\ud83d\\n"}}', 400))
        answered, turned_away = run(server, ask("a"), ask("b"))
    assert answered.completion is not None
    assert (answered.completion.text, answered.completion.reasoning) == ("a\ufffd\0", "\ufffd")
    assert (answered.completion.model, turned_away.error) == ("o\ufffd", "HTTP 400: bad")


NESTS = [("[", "]"), ('{"error":', "}"), ('{"detail":[', "]}"), ('{"error":{"code":[', "]}}")]


@pytest.mark.parametrize(("before", "after"), [*NESTS, ('{"data":[{"embedding":[', "]}]}")])
def test_no_depth_of_nesting_can_crash_the_reading(before: str, after: str) -> None:
    """Near the interpreter's limit what could be parsed cannot always be walked or written again."""
    limit = sys.getrecursionlimit() - len(inspect.stack(0))
    for depth in (10, limit // 2, *range(limit - 40, limit + 10), 100_000):
        bodies = (before * depth + "1" + after * depth).encode(), (before + "[" * depth + "]" * depth + after).encode()
        for body in bodies:
            assert complaint.read(body).text.isprintable()
            assert isinstance(validate.completion(body, {}), Fault)
            assert isinstance(embeddings.vectors(body, {"input": "a"}), Fault)


def test_the_name_of_a_rejected_parameter_is_short_and_printable() -> None:
    found = complaint.read(json.dumps({"error": {"message": "no", "param": "a\n\x1b[31m" * 50}}).encode())
    assert found.param.isprintable()
    assert len(found.param) <= 80


NOT_JSON = st.binary(max_size=50) | st.text(max_size=50).map(str.encode)
ERRORS = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 600) | st.text(max_size=8) | st.sampled_from(list(BODY)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["error", "errors", "message", "msg", "code", "type", "param", "detail", "details", "loc",
                         "reason", "metadata", "raw", "innererror", "status", "object"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(body=ERRORS.map(lambda value: json.dumps(value).encode()) | NOT_JSON, status=st.integers(300, 599))
def test_no_error_body_at_all_can_crash_the_judgement_or_break_a_line(body: bytes, status: int) -> None:
    fault = of_answer(Answer(status, {}, body), BODY)
    assert (fault.text + fault.param).isprintable()
    assert len(fault.text) < 320
    assert len(fault.param) <= 80


@pytest.mark.parametrize("room", range(250, 310))
@pytest.mark.parametrize("key", ["0123456789abcdef-none-like-it", "top secret key/with+signs"])
def test_a_text_that_is_cut_off_within_the_key_shows_no_part_of_it(room: int, key: str) -> None:
    said = complaint.read(json.dumps({"error": {"message": "x" * room + key + "y" * 300}}).encode()).text
    shown = redact.redact(said, redact.secrets("http://host/v1", key))
    assert key[:4] not in shown
    assert shown.startswith("x" * 250)


def test_a_key_is_hidden_as_it_is_written_in_urls_too() -> None:
    hidden = redact.secrets("http://u:p%20ssword1@host/v1?sig=abc%2Bdef%3Dghijk", "key/with+signs")
    shown = redact.redact("p%20ssword1 p ssword1 key%2Fwith%2Bsigns abc+def=ghijk abc%2Bdef%3Dghijk", hidden)
    assert shown == " ".join([redact.HIDDEN] * 5)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"data": [{"id": "a\\n\\ud83d b"}, {"id": 3}, 4, null]}', ("a b",)),
        (b'{"models": [{"name": "a"}]}', ("a",)),
        (b'["a", {"id": "b"}]', ("a", "b")),
        (b'{"data": 3}', ()),
        (b'{"data": null}', ()),
        (b"null", ()),
        (b"<html>", ()),
        (b"[" * 5000, ()),
    ],
)
def test_the_names_of_models_are_single_lines_in_whichever_shape_they_come(body: bytes, names: tuple[str, ...]) -> None:
    assert models(body) == names


def test_a_key_that_a_model_repeats_stays_out_of_what_is_kept() -> None:
    """And a short word that stands for no key at all is left alone."""
    request = Request(Model("m", Endpoint("http://x/v1"), "m"), "/chat/completions", {})
    said = Completion("the key is sk-live-0123456789", reasoning="sk-live-0123456789, none")
    call = row(request, said, 0.1, 1, ("sk-live-0123456789", "none"))
    assert call.completion is not None
    assert call.completion.text == "the key is [redacted]"
    assert call.completion.reasoning == "[redacted], none"
