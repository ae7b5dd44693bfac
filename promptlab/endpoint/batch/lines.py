"""The files of a batch: requests as lines, and what a line of the output says to a request."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeAlias

from promptlab.endpoint.client import MAX_BYTES, Answer
from promptlab.endpoint.complaint import line, of
from promptlab.endpoint.embeddings import vectors
from promptlab.endpoint.fault import Fault, of_answer, of_status
from promptlab.endpoint.retry import asked_wait
from promptlab.endpoint.validate import completion
from promptlab.records import Completion, Request

Line: TypeAlias = dict[str, Any]
"""A line of an output or error file: custom_id, response (status_code, body) or null, error (code, message) or null."""

# JSON may hold these as they are, but to a server that splits text into lines each would end one.
ENDS = {"\x85": b"\\u0085", "\u2028": b"\\u2028", "\u2029": b"\\u2029"}
READERS = {"/chat/completions": completion, "/embeddings": vectors}
UNSENT = ("batch_expired", "batch_cancelled", "request_timeout")


def written(custom_id: str, route: str, content: bytes) -> bytes:
    """One line of an input file, its end included."""
    for char, escaped in ENDS.items():
        content = content.replace(char.encode(), escaped)
    head = json.dumps({"custom_id": custom_id, "method": "POST", "url": f"/v1{route}"}, separators=(",", ":"))
    return head[:-1].encode() + b',"body":' + content + b"}\n"


def found(files: Iterable[bytes], wanted: set[str]) -> dict[str, list[Line]]:
    """The lines of the output and error files by custom_id; garbage and what nobody asked for are left out."""
    lines: dict[str, list[Line]] = {}
    for value, size in (each for file in files for each in _lines(file)):
        name = value.get("custom_id")
        if isinstance(name, str) and name in wanted:
            large = {"error": {"message": f"the answer is larger than {MAX_BYTES // 1_000_000} MB"}}
            lines.setdefault(name, []).append(large if size > MAX_BYTES else value)
    return lines


def garbled(file: bytes) -> bool:
    """Whether a file holds something, and not one line that could be an answer."""
    return bool(file.strip()) and not any(True for _ in _lines(file))


def _lines(file: bytes) -> Iterator[tuple[Line, int]]:
    """The JSON objects in a file, each with its size in bytes."""
    for each in file.split(b"\n"):
        try:
            value = json.loads(each.decode("utf-8-sig", "replace")) if each.strip() else None
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value, len(each)


def outcome(lines: Iterable[Line], asked: Request, sent: Collection[str], status: str) -> Completion | Fault:
    """What the lines with a request's custom_id say: the first completion, else the first fault.

    ``sent`` are the keys of the body as it was sent; ``status`` is the batch's own, for a request without a line.
    """
    fault: Fault | None = None
    for each in lines:
        said = _said(each, asked, sent)
        if isinstance(said, Completion):
            return said
        fault = fault or said
    return fault or Fault("transient", f"the batch is {line(status)}, but its files hold no line for this request")


def _said(found: Line, asked: Request, sent: Collection[str]) -> Completion | Fault:
    response, error = found.get("response"), found.get("error")
    if isinstance(response, dict) and (response.get("body") is not None or not error):
        return _answer(response, asked, sent)
    if not error:
        return Fault("invalid", f"a line of the output has neither response nor error: {line(json.dumps(found))[:100]}")
    said = of(error)
    if said.code.split(" ")[0] in UNSENT:
        return Fault("transient", said.text)
    return of_status(0, said, asked_wait({}, json.dumps(error)[:20_000]), sent)


def _answer(response: dict[str, Any], asked: Request, sent: Collection[str]) -> Completion | Fault:
    """The answer in a line, judged as if it had come alone."""
    body = response.get("body")
    data = (body if isinstance(body, str) else json.dumps(body)).encode("utf-8", "replace")
    status = response.get("status_code", 200)
    if not isinstance(status, int):
        return Fault("invalid", f"a line of the output has the status {line(json.dumps(status))[:60]}")
    if not 200 <= status < 300:
        return of_answer(Answer(status, {}, data), sent)
    return READERS[asked.route](data, asked.body)
