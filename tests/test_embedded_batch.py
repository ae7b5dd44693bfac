"""Batches of the embedded server, through the real openai SDK."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from promptlab.embedded.batch import WINDOW
from promptlab.embedded.batches import Batches, shuffled
from promptlab.embedded.files import Files
from promptlab.embedded.lines import Line
from promptlab.embedded.server import Server

SYSTEM = {"role": "system", "content": "Classify the message. Answer with one of: billing, delivery, refund."}
TEXTS = [f"where is parcel {place}, or must I pay it again?" for place in range(30)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server() as server:
        yield server.base_url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="any key", max_retries=0) as made:
        yield made


def body(text: str, **params: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [SYSTEM, {"role": "user", "content": text}], **params}


def line(name: Any, what: Any, url: str = "/v1/chat/completions", method: str = "POST") -> dict[str, Any]:
    return {"custom_id": name, "method": method, "url": url, "body": what}


def jsonl(*lines: Any) -> bytes:
    return b"".join(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\n" for each in lines)


def sent(client: openai.OpenAI, content: bytes, endpoint: Any = "/v1/chat/completions", **params: Any) -> Any:
    """A batch of ``content``, waited for until it has ended."""
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **params)
    assert made.status == "validating"
    end = time.monotonic() + 30
    while made.status not in ("completed", "failed", "expired", "cancelled"):
        assert time.monotonic() < end
        time.sleep(0.01)
        made = client.batches.retrieve(made.id)
    return made


def rows(client: openai.OpenAI, file: str | None) -> list[dict[str, Any]]:
    return [json.loads(one) for one in client.files.content(file).text.splitlines()] if file else []


def test_a_batch_answers_every_line_as_the_route_does(client: openai.OpenAI) -> None:
    lines = [line(f"row {place}", body(text, temperature=1, seed=place)) for place, text in enumerate(TEXTS)]
    made = sent(client, jsonl(*lines), metadata={"run": "7"})
    assert (made.status, made.error_file_id, made.errors) == ("completed", None, None)
    assert (made.request_counts.total, made.request_counts.completed, made.request_counts.failed) == (30, 30, 0)
    assert made.metadata == {"run": "7"}
    assert made.created_at <= made.in_progress_at <= made.finalizing_at <= made.completed_at
    assert made.expires_at == made.created_at + WINDOW
    found = rows(client, made.output_file_id)
    assert client.files.retrieve(made.output_file_id).purpose == "batch_output"
    assert [row["custom_id"] for row in found] != [one["custom_id"] for one in lines], (
        "the order is not to be relied on"
    )
    by_name = {row["custom_id"]: row["response"] for row in found}
    assert len(found) == len(by_name) == 30
    used = 0
    for place, text in enumerate(TEXTS):
        direct = client.chat.completions.create(**body(text, temperature=1, seed=place))
        response = by_name[f"row {place}"]
        assert response["status_code"] == 200
        assert response["body"]["choices"] == [choice.model_dump(exclude_unset=True) for choice in direct.choices]
        assert direct.usage is not None
        used += direct.usage.total_tokens
    assert made.usage.total_tokens == used


def test_bad_requests_are_lines_of_the_error_file(client: openai.OpenAI) -> None:
    lines = [line("good", body("pay")), line("hot", body("x", temperature=9)), line("live", body("x", stream=True))]
    made = sent(client, jsonl(*lines))
    assert made.status == "completed"
    assert (made.request_counts.total, made.request_counts.completed, made.request_counts.failed) == (3, 1, 2)
    assert [row["custom_id"] for row in rows(client, made.output_file_id)] == ["good"]
    wrong = {row["custom_id"]: row["response"] for row in rows(client, made.error_file_id)}
    told = {name: (one["status_code"], one["body"]["error"]["param"]) for name, one in wrong.items()}
    assert told == {"hot": (400, "temperature"), "live": (400, "stream")}


def test_a_batch_of_bad_requests_alone_has_no_output_file(client: openai.OpenAI) -> None:
    made = sent(client, jsonl(line("a", body("x", n=0))))
    assert (made.status, made.output_file_id, made.request_counts.failed) == ("completed", None, 1)


def test_embeddings_in_a_batch(client: openai.OpenAI) -> None:
    lines = [
        line(str(place), {"model": "embed-small", "input": [text]}, "/v1/embeddings")
        for place, text in enumerate(TEXTS)
    ]
    made = sent(client, jsonl(*lines), "/v1/embeddings")
    found = {
        row["custom_id"]: row["response"]["body"]["data"][0]["embedding"] for row in rows(client, made.output_file_id)
    }
    direct = client.embeddings.create(model="embed-small", input=TEXTS, encoding_format="float")
    assert [found[str(one.index)] for one in direct.data] == [one.embedding for one in direct.data]


CHAT = line("a", body("x"))


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        ([CHAT, b"{broken\n"], "invalid_json_line", 2),
        ([CHAT, b"[1]\n"], "invalid_json_line", 2),
        ([CHAT, CHAT], "duplicate_custom_id", 2),
        ([line(None, body("x"))], "missing_required_parameter", 1),
        ([line("a", "x")], "missing_required_parameter", 1),
        ([line("a", body("x"), method="GET")], "invalid_method", 1),
        ([line("a", body("x"), "/v1/embeddings")], "mismatched_endpoint", 1),
        ([line("a", {"messages": []})], "model_not_found", 1),
        ([CHAT, b"\n", line("b", body("x") | {"model": "big"})], "mismatched_model", 3),
        ([b"\n\n"], "empty_file", None),
    ],
)
def test_a_file_with_a_flaw_fails_before_any_work(client: openai.OpenAI, lines: Any, code: str, number: Any) -> None:
    made = sent(client, jsonl(*lines))
    assert (made.status, made.output_file_id, made.error_file_id) == ("failed", None, None)
    assert [(one.code, one.line) for one in made.errors.data] == [(code, number)]
    assert made.errors.data[0].message
    assert made.failed_at


def test_more_lines_than_a_batch_may_have(client: openai.OpenAI) -> None:
    lines = b"".join(
        b'{"custom_id":"%d","method":"POST","url":"/v1/embeddings","body":{"model":"embed-small"}}\n' % n
        for n in range(50_001)
    )
    made = sent(client, lines, "/v1/embeddings")
    assert [one.code for one in made.errors.data] == ["too_many_requests"]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"endpoint": "/v1/responses"}, openai.BadRequestError),
        ({"completion_window": "1h"}, openai.BadRequestError),
        ({"input_file_id": "file-none"}, openai.NotFoundError),
        ({"input_file_id": ""}, openai.BadRequestError),
        ({"metadata": {"a": "b" * 513}}, openai.BadRequestError),
        ({"metadata": {"a": 1}}, openai.BadRequestError),
    ],
)
def test_a_wrong_batch_is_refused(client: openai.OpenAI, change: Any, error: type[openai.APIStatusError]) -> None:
    file = client.files.create(file=jsonl(CHAT), purpose="batch")
    asked = {"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    with pytest.raises(error) as caught:
        client.batches.create(**(asked | change))
    assert caught.value.param in change


def test_a_file_for_fine_tuning_is_no_batch(client: openai.OpenAI) -> None:
    file = client.files.create(file=jsonl(CHAT), purpose="fine-tune")
    with pytest.raises(openai.BadRequestError, match="upload it with purpose 'batch'"):
        client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")


def test_batches_are_listed_newest_first_with_their_metadata(client: openai.OpenAI) -> None:
    made = [sent(client, jsonl(CHAT), metadata={"place": str(place)}) for place in range(3)]
    found = list(client.batches.list(limit=2))
    assert [one.id for one in found[:3]] == [one.id for one in reversed(made)]
    assert [(one.metadata or {}).get("place") for one in found[:3]] == ["2", "1", "0"]
    with pytest.raises(openai.NotFoundError, match="No batch found"):
        client.batches.retrieve("batch_none")


def test_a_cancelled_batch_keeps_what_it_has(client: openai.OpenAI) -> None:
    """Cancelled amid its work: the lines answered by then are its output, no others; a second cancel is a conflict."""
    lines = jsonl(*(line(str(place), body(f"parcel {place}", n=20)) for place in range(3000)))
    file = client.files.create(file=lines, purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    while not (counts := client.batches.retrieve(made.id).request_counts) or not counts.completed:
        time.sleep(0.01)
    assert client.batches.cancel(made.id).status == "cancelling"
    while (ended := client.batches.retrieve(made.id)).status == "cancelling":
        time.sleep(0.01)
    assert ended.status == "cancelled"
    assert ended.cancelling_at
    assert ended.cancelled_at
    assert ended.request_counts is not None
    assert 0 < ended.request_counts.completed < 3000
    assert len(rows(client, ended.output_file_id)) == ended.request_counts.completed
    with pytest.raises(openai.ConflictError, match="cancelled"):
        client.batches.cancel(made.id)


def worked(files: Files, content: bytes, ticks: list[float]) -> dict[str, Any]:
    """What becomes of a batch whose clock shows ``ticks``, one after another, the last for ever."""

    def now() -> float:
        return ticks.pop(0) if len(ticks) > 1 else ticks[0]

    async def run() -> dict[str, Any]:
        batches = Batches(files, now)
        files.take(len(content))
        name = batches.create(
            {
                "input_file_id": files.add(content, "in.jsonl", "batch", 0).id,
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            }
        )["id"]
        while batches.show(name)["status"] not in ("completed", "failed", "expired"):
            await asyncio.sleep(0)
        await batches.close()
        return batches.show(name)

    return asyncio.run(run())


def test_a_batch_that_outlives_its_window_expires_with_every_line_told() -> None:
    """Three lines are answered, then a day has passed: the rest are error lines that say so."""
    files = Files()
    content = jsonl(*(line(str(place), body("x")) for place in range(5)))
    made = worked(files, content, [0.0] * 5 + [WINDOW + 1.0])
    assert made["status"] == "expired"
    assert made["request_counts"] == {"total": 5, "completed": 3, "failed": 2}
    output, errors = (
        [json.loads(one) for one in files.get(made[name]).content.splitlines()]
        for name in ("output_file_id", "error_file_id")
    )
    assert len({row["custom_id"] for row in output + errors}) == 5
    assert [(row["response"], row["error"]["code"]) for row in errors] == [(None, "batch_expired")] * 2


def test_a_batch_whose_answers_find_no_room_fails_and_frees_what_it_took() -> None:
    content = jsonl(*(line(str(place), body("x")) for place in range(20)))
    files = Files(room=len(content) + 20_000)
    made = worked(files, content, [0.0])
    assert (made["status"], made["errors"]["data"][0]["code"]) == ("failed", "storage_full")
    files.take(3_000)
    with pytest.raises(Exception, match="delete some first"):
        files.take(3_000)


def test_the_order_of_answers_is_never_the_order_sent() -> None:
    for size in range(2, 40):
        lines = [Line(str(place), b"") for place in range(size)]
        order = shuffled(lines)
        assert order != lines
        assert sorted(order, key=lambda one: int(one.custom_id)) == lines
        assert order == shuffled(lines)


def test_a_server_that_stops_drops_its_batches() -> None:
    with Server() as server, openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        file = client.files.create(file=jsonl(*(line(str(n), body("x", n=50)) for n in range(5000))), purpose="batch")
        client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
