"""Reads multipart/form-data (RFC 7578) that lies in memory: bytes in, parts out.

The web framework has a reader of its own, but it sets the process's warning filters while it reads, which no server
that runs in a thread beside other code may do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser

from promptlab.embedded.checks import ApiError

_LARGEST_HEADERS = 16 * 2**10


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a form: its content is ``data[start:end]``; ``filename`` is None where none is given."""

    name: str
    filename: str | None
    start: int
    end: int


def _broken(why: str) -> ApiError:
    return ApiError(f"The form cannot be read: {why}.", None, "invalid_multipart")


def _boundary(content_type: str) -> bytes:
    header = Message()
    header["content-type"] = content_type
    found = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not found:
        raise _broken("its content type must be multipart/form-data with a boundary")
    return b"--" + found.encode()


def _part(data: bytearray, start: int, end: int) -> Part:
    body = data.find(b"\r\n\r\n", start, min(end, start + _LARGEST_HEADERS))
    if body < 0:
        raise _broken("a part has no headers, or too long ones")
    header = HeaderParser().parsestr(data[start:body].decode("utf-8", "replace").lstrip("\r\n"))
    name = header.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise _broken("a part has no name")
    return Part(name, header.get_filename(), body + 4, end)


def parts(data: bytearray, content_type: str) -> Iterator[Part]:
    """The parts of a form, in order; ApiError where it is none."""
    mark = _boundary(content_type)
    place = data.find(mark)
    if place < 0:
        raise _broken("its boundary is not in it")
    while data[place + len(mark) : place + len(mark) + 2] != b"--":
        start = place + len(mark)
        place = data.find(b"\r\n" + mark, start)
        if place < 0:
            raise _broken("it has no end")
        yield _part(data, start, place)
        place += 2
