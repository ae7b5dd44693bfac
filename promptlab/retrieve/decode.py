"""The text of a file's bytes."""

from __future__ import annotations

import codecs

from promptlab.errors import BadInput, Problem

_HEAD = 8_192


def binary(data: bytes) -> bool:
    """Whether bytes are no text: a NUL near their start, as git tells. UTF-16 is text, although not ours."""
    return b"\0" in data[:_HEAD] and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def decoded(data: bytes, path: str, encoding: str = "utf-8") -> str:
    """The text, without a byte order mark. Raises BadInput, with the line, for bytes that are no such text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadInput(Problem("is UTF-16, not UTF-8", path, 1, "Save it as UTF-8."))
    if data.startswith(codecs.BOM_UTF8):
        data, encoding = data.removeprefix(codecs.BOM_UTF8), "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = error.start - data.rfind(b"\n", 0, error.start)
        said = f"byte 0x{data[error.start]:02X} (byte {place} of line {line}) is not {encoding.upper()}"
        raise BadInput(Problem(said, path, line, "Save it as UTF-8.")) from None
