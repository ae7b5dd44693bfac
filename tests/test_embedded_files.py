"""Files of the embedded server, through the real openai SDK and as raw forms."""

from __future__ import annotations

import json
import logging
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from promptlab.embedded.files import Files
from promptlab.embedded.server import Server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Server() as server:
        yield server.base_url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="any key", max_retries=0) as made:
        yield made


def test_a_file_is_kept_listed_read_and_deleted(client: openai.OpenAI) -> None:
    content = bytes(range(256)) * 5000
    made = client.files.create(file=("data \u00e9.jsonl", content), purpose="fine-tune")
    assert (made.bytes, made.purpose, made.object) == (len(content), "fine-tune", "file")
    assert made.filename == "data \u00e9.jsonl"
    assert abs(made.created_at - time.time()) < 60
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == content
    other = client.files.create(file=b"{}", purpose="batch")
    assert [one.id for one in client.files.list()][:2] == [other.id, made.id]
    assert made.id in [one.id for one in client.files.list(purpose="fine-tune")]
    assert other.id not in [one.id for one in client.files.list(purpose="fine-tune")]
    assert [one.id for one in client.files.list(order="asc", limit=1)][-1] == other.id, "the SDK turns the pages"
    assert client.files.delete(made.id).deleted
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match="No such File"):
            gone(made.id)


KIND = "multipart/form-data; boundary=b"
FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\ndata\r\n'
PURPOSE = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'


def posted(url: str, kind: str, content: bytes) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url + "/files", content, {"Content-Type": kind}), timeout=20
        ) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        (KIND, FILE + b"--b--", "'purpose'"),
        (KIND, PURPOSE + b"--b--", "'file'"),
        (KIND, FILE + PURPOSE.replace(b"batch", b"vision" * 50) + b"--b--", "Invalid 'purpose'"),
        (KIND, FILE + PURPOSE, "no end"),
        (KIND, b"nothing of the kind", "boundary is not in it"),
        (KIND, b"--b\r\n" + b"x" * 20_000 + b"\r\n--b--", "no headers"),
        (KIND, b"--b\r\na: b\r\n\r\nx\r\n--b--", "no name"),
        ("multipart/form-data", FILE, "must be multipart/form-data"),
        ("multipart/mixed; boundary=b", FILE + PURPOSE + b"--b--", "must be multipart/form-data"),
        ("application/json", b"{}", "must be multipart/form-data"),
    ],
)
def test_a_broken_upload_is_a_400(url: str, kind: str, content: bytes, told: str) -> None:
    status, error = posted(url, kind, content)
    assert status == 400
    assert told in error["message"]
    assert len(error["message"]) < 200


def test_forms_are_read_whatever_their_order_and_edges(url: str, client: openai.OpenAI) -> None:
    """Before the first boundary and behind the last anything may stand; a file may hold what looks like a boundary."""
    like = b"-b--b\n\r\n--\r\n-b\r\n\r\n"
    odd = FILE.removesuffix(b"data\r\n") + like + b"\r\n"
    other = b'--b\r\ncontent-disposition: form-data; name="more"\r\n\r\n\r\n'
    for content in (FILE + PURPOSE, b"preamble\r\n" + PURPOSE + other + FILE, odd + PURPOSE):
        status, made = posted(url, KIND, content + b"--b--\r\nepilogue")
        assert status == 200
        wanted = like if content.startswith(odd) else b"data"
        assert client.files.content(made["id"]).read() == wanted


def test_what_files_may_be(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="'batch' or 'fine-tune'"):
        client.files.create(file=b"x", purpose="assistants")
    with pytest.raises(openai.BadRequestError, match="empty"):
        client.files.create(file=b"", purpose="batch")
    with pytest.raises(openai.BadRequestError, match="limit"):
        client.files.list(limit=0)
    with pytest.raises(openai.BadRequestError, match="after"):
        client.files.list(after="file-none")


def test_memory_has_a_bound_and_what_is_deleted_or_refused_is_free_again() -> None:
    with (
        Server(Files(room=1_000_000)) as server,
        openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client,
    ):
        first = client.files.create(file=b"x" * 600_000, purpose="batch")
        for _ in range(3):
            with pytest.raises(openai.APIStatusError, match="delete some first") as caught:
                client.files.create(file=b"x" * 600_000, purpose="batch")
            assert caught.value.status_code == 413
        client.files.create(file=b"x" * 390_000, purpose="batch")
        client.files.delete(first.id)
        padded = b'--b\r\ncontent-disposition: form-data; name="more"\r\n\r\n' + b"x" * 500_000 + b"\r\n"
        assert posted(server.base_url, KIND, padded + FILE + PURPOSE + b"--b--")[0] == 200
        client.files.create(file=b"x" * 600_000, purpose="batch")


def test_a_client_that_goes_away_in_the_middle_of_an_upload_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    """A killed process leaves half a file on the wire: the server says nothing of it, and serves the next."""
    caplog.set_level(logging.DEBUG)
    with Server() as server:
        address = urllib.parse.urlsplit(server.base_url)
        head = "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        with socket.create_connection((address.hostname, address.port)) as cut:
            cut.sendall(f"{head}Content-Length: 5000000\r\n\r\n".encode() + b"x" * 100_000)
            time.sleep(0.2)  # so that the body is being read
        with openai.OpenAI(base_url=server.base_url, api_key="any key", max_retries=0) as client:
            assert client.files.list().data == []
    assert not [each for each in caplog.records if each.exc_info or each.levelno >= logging.ERROR]
